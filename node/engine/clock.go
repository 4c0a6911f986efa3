package engine

import (
	"context"
	"sync"
	"time"

	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

const (
	// maxJump is how far the time may have moved unobserved and still be
	// believed.
	maxJump = 24 * time.Hour
	// punctureEvery is how long the keys of replaced states live at most.
	punctureEvery = 30 * time.Second
)

// life is when the next message ends, and whether the clock can be trusted to
// say so: what has expired is hidden at once, but destroyed only when the time
// has not jumped, or somebody has confirmed it.
type life struct {
	mu      sync.Mutex
	next    time.Time // when tend is to be called; zero is never
	changed chan struct{}
	doubt   bool
	noted   bool      // the store holds a record of the doubt
	wall    time.Time // when the clock was looked at last
	mono    time.Time
}

func (l *life) init() {
	l.changed = make(chan struct{}, 1)
	l.next = time.Unix(1, 0) // whatever ended meanwhile
	l.look(time.Now())
}

// load begins a run: in doubt if the last one was, or ended too long ago.
func (l *life) load(tx *storage.Tx, away time.Duration) (err error) {
	l.noted, err = tx.Has(record.DoubtKey())
	l.doubt = l.noted || away > maxJump
	return err
}

// noteDoubt keeps in the store whether the time is in doubt. It is part of
// every transaction: the time that a transaction records would otherwise be
// believed by the next run.
func (t *txn) noteDoubt() error {
	l := &t.e.life
	doubt := !l.trusted()
	l.mu.Lock()
	noted := l.noted
	l.mu.Unlock()
	if doubt == noted {
		return nil
	}
	t.after = append(t.after, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.noted = doubt
	})
	if doubt {
		return t.put(record.DoubtKey(), []byte{1})
	}
	return t.del(record.DoubtKey())
}

// look notices a jump of the clock.
func (l *life) look(now time.Time) {
	if wall := now.Round(0); !l.wall.IsZero() && wall.Sub(l.wall)-now.Sub(l.mono) > maxJump {
		l.doubt = true
	}
	l.wall, l.mono = now.Round(0), now
}

func (l *life) trusted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.look(time.Now())
	return !l.doubt
}

func (l *life) confirm() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.doubt {
		l.doubt, l.next = false, time.Unix(1, 0)
		l.ring()
	}
}

// sooner and until set when tend is to be called.
func (l *life) sooner(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next.IsZero() || at.Before(l.next) {
		l.next = at
		l.ring()
	}
}

func (l *life) until(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = at
	l.ring()
}

func (l *life) ring() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// wait is how long tend isn't to be called; never is false.
func (l *life) wait(now time.Time) (d time.Duration, ever bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next.IsZero() || l.doubt {
		return 0, false
	}
	return max(l.next.Sub(now), 0), true
}

// ClockInDoubt reports whether the clock has jumped ahead by more than a day,
// or this device was off for as long, and nobody has confirmed the time since:
// what has expired is hidden and not yet destroyed.
func (e *Engine) ClockInDoubt() bool { return !e.life.trusted() }

// ConfirmClock says that the system's clock is right: what has expired by it is
// destroyed, and a time that ran ahead of it is corrected.
func (e *Engine) ConfirmClock(ctx context.Context) error {
	return e.do(ctx, 1024, func(t *txn) error {
		if now := t.e.store.Wall(); t.e.store.Now().Sub(now) > time.Minute {
			t.e.store.CorrectClock(now)
		}
		t.after = append(t.after, func() { t.e.life.confirm() })
		return t.keepCounter()
	})
}

// agrees lets an authenticated contact's fresh message confirm the time.
func (t *txn) agrees(claimed uint64) {
	if d := message.ClockTime(claimed).Sub(t.now); d > -message.Agreement && d < message.Agreement && t.e.ClockInDoubt() {
		t.after = append(t.after, func() { t.e.life.confirm() })
	}
}
