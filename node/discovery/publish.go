package discovery

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"rushlight/node/host"
	"rushlight/protocol/beacon"
)

// When this device's beacon is put (spec §14.1).
const (
	republish    = 8 * time.Hour
	early        = 2 * time.Hour    // before an epoch begins
	retryFirst   = 10 * time.Second // after a put in vain
	retryLast    = 30 * time.Minute
	maxInvited   = 4 // invites that have a beacon
	putTime      = 30 * time.Second
	lastsLong    = 20 * time.Hour // a beacon is found for this long, and then some
	thriftLater  = time.Hour
	poorlyPlaced = 15 * time.Second // until a beacon with few copies is put again
	poorTimes    = 3                // each four times as long after the one before
)

// publication is how far this device's beacon is.
type publication struct {
	busy   bool
	rev    int  // what was put
	again  bool // something happened meanwhile that asks for another put
	full   bool // it is new, or there were few copies: put all, and read all back
	next   time.Time
	pause  time.Duration
	done   time.Time
	copies int
	poor   int // times in a row with few copies
	work   map[workKey]beacon.Work
}

type workKey struct {
	owner beacon.Reader
	place beacon.Place
}

// publish puts the beacon at all its places, and those of open invites.
func (f *Finder) publish(ctx context.Context) {
	if f.postpone(time.Now()) {
		f.ring()
		return
	}
	copies, err := f.putAll(ctx, time.Now())
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	p := &f.pub
	p.busy = false
	switch {
	case err != nil:
		p.pause = min(max(retryFirst, 2*p.pause), retryLast)
		if now.Sub(f.begun()) < settling {
			p.pause = retryFirst
		}
		p.next = now.Add(p.pause)
		if ctx.Err() == nil && !errors.Is(err, ErrNobody) {
			f.log.Debug("putting the beacon", "error", err)
		}
	default:
		p.placed(copies, now, f.nextPut(now))
	}
	if p.again {
		p.again, p.next = false, now
	}
	f.ring()
}

// postpone puts off the beacon while this day's upkeep is spent, unless
// contacts would no longer find it, or would find what is no longer true.
func (f *Finder) postpone(now time.Time) bool {
	saving := f.cfg.Host.Thrift()
	f.mu.Lock()
	defer f.mu.Unlock()
	p := &f.pub
	if saving == host.Ample || now.Sub(p.done) > lastsLong || p.rev != f.rev {
		p.begin(f.rev)
		return false
	}
	p.busy, p.next = false, now.Add(thriftLater)
	return true
}

// begin says what is put now. What is new may have few copies at first, however
// it went with what was put before.
func (p *publication) begin(rev int) {
	p.full = p.rev != rev || p.done.IsZero() || p.poor > 0
	if p.rev != rev {
		p.rev, p.poor = rev, 0
	}
}

// placed says how many copies there are of what was put, which is put again at
// next. In a network that is just beginning, or is in pieces, that is sooner.
func (p *publication) placed(copies int, now, next time.Time) {
	p.pause, p.done, p.copies, p.next = 0, now, copies, next
	if copies >= enoughCopies || p.poor == poorTimes {
		p.poor = 0
		return
	}
	p.next = now.Add(poorlyPlaced << (2 * p.poor))
	p.poor++
}

// nextPut is when the beacon is put next: after eight hours, or before the next
// epoch. The caller holds the lock.
func (f *Finder) nextPut(now time.Time) time.Time {
	next := now.Add(republish)
	r := f.owner.Reader()
	if soon := r.Begin(r.Epoch(now.Add(early)) + 1).Add(-early); soon.Before(next) && soon.After(now) {
		next = soon
	}
	return next.Add(-rand.N(10 * time.Minute)).Add(10 * time.Minute)
}

// task is one put.
type task struct {
	owner *beacon.Owner
	place beacon.Place
	check bool // read it back
}

// putAll puts everything and returns how many copies the least of this
// device's own places has.
func (f *Finder) putAll(ctx context.Context, now time.Time) (copies int, err error) {
	f.mu.Lock()
	owner, body, full := f.owner, bodyOf(f.hints, f.relays), f.pub.full
	f.mu.Unlock()
	invites := f.cfg.Invites()
	if len(body.Peers)+len(body.Relays) == 0 || len(f.cfg.Contacts()) == 0 && len(invites) == 0 {
		return enoughCopies, nil // there is nothing to say, or nobody to read it
	}
	var tasks []task
	// Of what was put not long ago, only the epoch that begins is put, and one
	// place read back.
	r := owner.Reader()
	first, last, sample := r.Epoch(now), r.Epoch(now.Add(early)), rand.N(uint8(beacon.Places))
	if !full {
		first = last
	}
	for n := range uint8(beacon.Places) {
		for e := first; e <= last; e++ {
			tasks = append(tasks, task{owner, beacon.Place{Epoch: e, N: n}, full || n == sample})
		}
	}
	for _, secret := range invites[:min(len(invites), maxInvited)] {
		o := beacon.InviteOwner(secret)
		tasks = append(tasks, task{o, beacon.Place{Epoch: o.Reader().Epoch(now)}, full})
	}
	rand.Shuffle(len(tasks), func(i, j int) { tasks[i], tasks[j] = tasks[j], tasks[i] })
	copies = enoughCopies
	err = f.ask(ctx, func(t *Table) error {
		ctx, cancel := context.WithTimeout(ctx, f.patience(putTime))
		defer cancel()
		var mu sync.Mutex
		var wg sync.WaitGroup
		var failed []error
		done := 0
		for _, x := range tasks {
			wg.Go(func() {
				n, err := f.put(ctx, t, x, body, now)
				mu.Lock()
				defer mu.Unlock()
				if x.owner == owner && x.check {
					copies = min(copies, n)
				}
				if err != nil {
					failed = append(failed, err)
				} else {
					done++
				}
			})
		}
		wg.Wait()
		f.note(t)
		if done == 0 {
			return errors.Join(failed...)
		}
		return nil
	})
	return copies, err
}

func (f *Finder) put(ctx context.Context, t *Table, x task, body *beacon.Body, now time.Time) (int, error) {
	at := workKey{x.owner.Reader(), x.place}
	f.mu.Lock()
	work := f.pub.work[at]
	f.mu.Unlock()
	key, value, err := x.owner.SealWith(x.place, body, work, now)
	if err != nil {
		return 0, err
	}
	f.mu.Lock()
	if f.pub.work == nil || len(f.pub.work) > 64 {
		f.pub.work = map[workKey]beacon.Work{}
	}
	f.pub.work[at] = beacon.WorkOf(value)
	f.mu.Unlock()
	if !x.check {
		return 0, t.put(ctx, BeaconKey(key), value)
	}
	return t.Put(ctx, BeaconKey(key), value)
}
