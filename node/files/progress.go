package files

import (
	"context"
	"math"
	"sync"
	"time"

	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage/record"
)

// progress measures how a transfer goes on.
type progress struct {
	mu    sync.Mutex
	size  uint64
	at    uint64 // bytes of the file that are there, or were sent
	rate  float64
	since time.Time
	bytes int // since then

	// Of uploads; the manager's.
	streams int
	live    bool
	mailed  time.Time // when something of it was mailed last
}

func newProgress(size uint64) *progress { return &progress{size: size} }

func (p *progress) start(at uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at, p.since, p.bytes, p.rate = at, time.Now(), 0, 0
}

// came notes bytes that passed.
func (p *progress) came(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes += n
	p.fold()
}

// fold takes what passed in the last while into the rate, which forgets what is
// older than some seconds.
func (p *progress) fold() {
	const every, memory = 500 * time.Millisecond, 4 * time.Second
	d := time.Since(p.since)
	if p.since.IsZero() || d < every {
		return
	}
	now := float64(p.bytes) / d.Seconds()
	if p.rate == 0 {
		p.rate = now
	} else {
		old := math.Exp(-d.Seconds() / memory.Seconds())
		p.rate = old*p.rate + (1-old)*now
	}
	p.since, p.bytes = time.Now(), 0
}

func (p *progress) set(at uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = at
}

func (p *progress) have() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}

// now is how far it is, how many bytes pass in a second, and how long it takes
// at that rate; zero is not known.
func (p *progress) now() (at uint64, rate float64, left time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fold()
	rate = p.rate
	if rate == 0 && !p.since.IsZero() {
		if d := time.Since(p.since).Seconds(); d > 0.05 {
			rate = float64(p.bytes) / d
		}
	}
	if rate > 1 && p.at < p.size {
		left = time.Duration(float64(p.size-p.at) / rate * float64(time.Second))
	}
	return p.at, rate, left
}

// State is how a transfer stands.
type State string

// The states.
const (
	Preparing State = "preparing" // it is sealed, and belongs to no message yet
	Waiting   State = "waiting"   // for somebody who has it, room, or its turn
	Running   State = "running"   //
	Done      State = "done"      // all of it is here
	Left      State = "left"      // it isn't fetched unless asked for
	Cancelled State = "cancelled" // by the person
	Failed    State = "failed"    // it is not what the message says
)

// Transfer is a file on its way.
type Transfer struct {
	Message message.ID
	Nth     int
	With    identity.AccountID
	Out     bool // from here
	Name    string
	Size    uint64
	Have    uint64
	Rate    float64 // bytes a second
	Left    time.Duration
	State   State
}

// Transfers lists what is on its way, or waits for that.
func (m *Manager) Transfers() (out []Transfer) {
	free := m.free()
	m.mu.Lock()
	defer m.mu.Unlock()
	one := func(r ref) *Transfer {
		h := m.heldLocked(r)
		if h == nil {
			return nil
		}
		out = append(out, Transfer{Message: r.id, Nth: r.nth, With: h.with, Name: h.name, Size: h.size})
		return &out[len(out)-1]
	}
	for r, f := range m.in {
		if t := one(r); t != nil {
			t.State = Running
			if t.Have, t.Rate, t.Left = f.meter.now(); t.Rate < 1 {
				t.State = Waiting
			}
		}
	}
	for r := range m.waiting {
		if m.in[r] != nil {
			continue
		}
		if t := one(r); t != nil {
			h := m.heldLocked(r)
			t.State, t.Have = Waiting, h.have
			if h.wish == record.FileLeft {
				t.State = Cancelled
			} else if !m.wants(h, free) {
				t.State = Left
			}
		}
	}
	for u, p := range m.out {
		if !p.live && time.Since(p.mailed) > mailedFor {
			continue
		}
		if t := one(u.ref); t != nil {
			t.Out, t.State = true, Running
			t.Have, t.Rate, t.Left = p.now()
		}
	}
	return out
}

// announce wakes those who follow the transfers.
func (m *Manager) announce() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for c := range m.changed {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// followEvery is how often those who follow are told of what runs.
const followEvery = 500 * time.Millisecond

// Follow calls fn with every transfer that began, goes on or ended, as it is,
// until ctx ends or fn fails.
func (m *Manager) Follow(ctx context.Context, fn func(Transfer) error) error {
	c := make(chan struct{}, 1)
	m.mu.Lock()
	m.changed[c] = struct{}{}
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		delete(m.changed, c)
		m.mu.Unlock()
	}()
	type key struct {
		id  message.ID
		nth int
		out bool
	}
	var last map[key]Transfer
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		now := map[key]Transfer{}
		running := false
		for _, t := range m.Transfers() {
			k := key{t.Message, t.Nth, t.Out}
			now[k] = t
			running = running || t.State == Running
			if old, ok := last[k]; last == nil || ok && old == t {
				continue
			}
			if err := fn(t); err != nil {
				return err
			}
		}
		for k, t := range last {
			if _, ok := now[k]; ok {
				continue
			}
			if t = m.ended(t); t.Name == "" {
				continue // with its message
			}
			if err := fn(t); err != nil {
				return err
			}
		}
		if last = now; running {
			tick.Reset(followEvery)
		} else {
			tick.Reset(time.Hour)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c:
		case <-tick.C:
		}
	}
}

// ended is what became of a transfer that is not on its way any more.
func (m *Manager) ended(t Transfer) Transfer {
	t.Rate, t.Left = 0, 0
	if !t.Out {
		h, f := m.Have(t.Message, t.Nth)
		t.Have = h
		t.State = f
		if f == "" {
			return Transfer{}
		}
		return t
	}
	t.State, t.Have = Done, t.Size
	return t
}

// Have is how many bytes of a file are here, and how it stands; empty for one
// that no message has.
func (m *Manager) Have(id message.ID, nth int) (uint64, State) {
	m.mu.Lock()
	_, known := m.known[id]
	m.mu.Unlock()
	if !known { // the event that tells of it is on its way
		if a, err := m.cfg.Engine.AttachedTo(id); err == nil {
			m.note(a)
			m.kick()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.heldLocked(ref{id, nth})
	if h == nil {
		return 0, ""
	}
	if f := m.in[ref{id, nth}]; f != nil {
		return f.meter.have(), Running
	}
	switch {
	case h.fault != "":
		return 0, Failed
	case m.cfg.Dir.Whole(h.place):
		return h.size, Done
	case h.wish == record.FileLeft:
		return h.have, Cancelled
	case !h.mine && !m.wants(h, m.free()):
		return h.have, Left
	}
	return h.have, Waiting
}
