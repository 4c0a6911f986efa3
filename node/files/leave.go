package files

import (
	"context"
	"slices"
	"time"

	"rushlight/protocol/file"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/stamp"
	"rushlight/storage/blob"
)

// Relays leaves stretches of files at relays, and knows where one's own wait.
type Relays interface {
	// Waiting is the relay at which mail for this device is waited for, and how
	// many bytes its mailbox may hold.
	Waiting() (relay [32]byte, quota uint64, ok bool)
	// Look has everything in the mailbox at a relay looked at again, and its
	// stamps filled up. It must not block.
	Look(relay [32]byte)
	// Leave deposits n envelopes at a relay of a contact, as part makes them, and
	// returns how many of the first were answered when it fails. What part
	// returned isn't used any more when part is called again.
	Leave(ctx context.Context, to identity.AccountID, relay [32]byte, n int, part func(i int) (stamp.Stamp, []byte, error)) (left int, err error)
}

// Bounds on what others order. They pay for it with room in their own mailbox,
// so this is against mistakes.
const (
	maxOrders  = 16               // of one contact that wait
	orderTries = 8                // times that an order is tried
	orderPause = 2 * time.Second  // after the first, doubling
	maxPause   = 30 * time.Second //
)

// Ordered implements engine.Porter.
func (m *Manager) Ordered(by identity.AccountID, o *message.FileOrder) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.open || m.cfg.Relays == nil || len(m.orders[by]) >= maxOrders {
		return // it is ordered again
	}
	m.orders[by] = append(m.orders[by], o)
	if len(m.orders[by]) > 1 {
		return // somebody is at it
	}
	ctx := m.ctx
	m.wg.Add(1)
	go func() {
		defer m.wg.Done()
		defer processMemory.begin()()
		for o := o; o != nil; o = m.nextOrder(by) {
			m.leave(ctx, by, o)
		}
	}()
}

// nextOrder takes an order away that is done with.
func (m *Manager) nextOrder(by identity.AccountID) *message.FileOrder {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.orders[by] = m.orders[by][1:]
	if len(m.orders[by]) == 0 {
		delete(m.orders, by)
		return nil
	}
	return m.orders[by][0]
}

// overtaken reports whether the same file was ordered at another relay
// meanwhile.
func (m *Manager) overtaken(by identity.AccountID, o *message.FileOrder) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.orders[by], func(x *message.FileOrder) bool {
		return x.Message == o.Message && x.Nth == o.Nth && x.Relay != o.Relay
	})
}

// orderedAgain reports whether a stretch stands in a later order that waits,
// too: that one pays for it.
func (m *Manager) orderedAgain(by identity.AccountID, o *message.FileOrder, n uint32) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := slices.Index(m.orders[by], o)
	return slices.ContainsFunc(m.orders[by][at+1:], func(x *message.FileOrder) bool {
		return x.Message == o.Message && x.Nth == o.Nth && x.Device == o.Device &&
			slices.ContainsFunc(x.Runs, func(r message.Run) bool { return n-r.First < uint32(r.N) })
	})
}

// whole opens a file that is here whole, of a message in the conversation with
// somebody; nil is that it isn't.
func (m *Manager) whole(r ref) (of message.File, with identity.AccountID, b *blob.Blob) {
	a, err := m.cfg.Engine.AttachedTo(r.id)
	if err != nil || r.nth >= len(a.Files) {
		return of, with, nil
	}
	of = a.Files[r.nth]
	if !m.cfg.Dir.Whole(of.Key.Place()) {
		return of, a.With, nil
	}
	if b, err = m.cfg.Dir.Open(of.Key, of.Size, of.Root); err != nil {
		m.log.Warn("a file that is to be left at a relay can't be opened", "err", err)
		return of, a.With, nil
	}
	return of, a.With, b
}

// leave leaves at a relay what was ordered, unless the contact can fetch it.
func (m *Manager) leave(ctx context.Context, by identity.AccountID, o *message.FileOrder) {
	of, with, b := m.whole(ref{o.Message, int(o.Nth)})
	if b == nil {
		return
	}
	defer func() { _ = b.Close() }()
	if with != by {
		return
	}
	p, done := m.uploading(upload{ref: ref{o.Message, int(o.Nth)}}, of.Size)
	defer done()
	d := &delivery{m: m, o: o, b: b, p: p, keys: of.Key.Mailing(o.Device), nths: o.Nths(), stamps: o.Stamps, buf: make([]byte, 1+file.Stretch)}
	m.cfg.Hurry(by) // it can't be reached otherwise
	pause := orderPause
	for range orderTries {
		if len(m.cfg.Peers.Peers(by)) > 0 || !m.cfg.Engine.Allowed(by) || !m.there(d.ref()) || m.overtaken(by, o) {
			return
		}
		if d.skip(by); len(d.nths) == 0 {
			return
		}
		left, err := m.cfg.Relays.Leave(ctx, by, o.Relay, len(d.nths), d.part)
		if err == nil || d.failed || ctx.Err() != nil {
			return
		}
		m.log.Debug("a file can't be left at a relay now", "err", err)
		d.nths, d.stamps = d.nths[left:], d.stamps[left:]
		if left > 0 {
			pause = orderPause
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, maxPause)
	}
}

// delivery is an order on its way.
type delivery struct {
	m    *Manager
	o    *message.FileOrder
	b    *blob.Blob
	p    *progress
	keys file.Mailing
	buf  []byte // of a stretch, behind a byte
	env  []byte

	nths   []uint32 // what is left of it
	stamps []stamp.Stamp

	failed bool // it can't be read here
}

func (d *delivery) ref() ref { return ref{d.o.Message, int(d.o.Nth)} }

// skip leaves out what was ordered again meanwhile.
func (d *delivery) skip(by identity.AccountID) {
	var nths []uint32
	var stamps []stamp.Stamp
	for i, n := range d.nths {
		if !d.m.orderedAgain(by, d.o, n) {
			nths, stamps = append(nths, n), append(stamps, d.stamps[i])
		}
	}
	d.nths, d.stamps = nths, stamps
}

// part makes the envelope of one stretch. The same is made again when it is
// tried again.
func (d *delivery) part(i int) (s stamp.Stamp, env []byte, err error) {
	l := d.b.Layout()
	raw, err := l.ReadStretch(d.buf[1:], d.b.Raw(), d.nths[i])
	if !d.m.there(d.ref()) {
		err = errEnded
	}
	if err != nil {
		d.failed = true
		return s, nil, err
	}
	d.env, err = d.keys.Seal(d.env[:0], d.o.Relay, d.nths[i], d.buf[:1+len(raw)])
	d.p.came(len(raw))
	d.p.set(min(d.p.have()+uint64(len(raw)), l.Size()))
	d.m.mu.Lock()
	d.p.mailed = time.Now()
	d.m.mu.Unlock()
	return d.stamps[i], d.env, err
}
