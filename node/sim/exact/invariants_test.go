package exact

import (
	"errors"
	"fmt"
	"slices"

	"rushlight/node/engine"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

// invariant is something that must hold whatever the driver does. It returns
// what is wrong. settled says that the network has healed and everything was
// given time to arrive.
type invariant struct {
	name string
	hold func(w *world, settled bool) error
}

var invariants = []invariant{
	{"NothingLost", NothingLost},
	{"NothingTwice", NothingTwice},
	{"OutboxDrains", OutboxDrains},
	{"StoreChecks", StoreChecks},
	{"CausalOrder", CausalOrder},
	{"EventsDense", EventsDense},
	{"ExpiredIsGone", ExpiredIsGone},
	{"SameViewEverywhere", SameViewEverywhere},
}

// check fails the test when an invariant doesn't hold.
func (w *world) check(settled bool) {
	w.t.Helper()
	for _, i := range invariants {
		if err := i.hold(w, settled); err != nil {
			w.fatal("%s: %v", i.name, err)
		}
	}
}

// NothingLost: a message whose Send returned nil is in its author's store for
// ever; what its author shows as delivered is in the recipient's; once
// everything had time to arrive, all of it is; and what a profile was seen to
// hold, it holds. A restored copy excuses what it forgot, and nobody else.
func NothingLost(w *world, settled bool) error {
	type place struct{ p, q int }
	at := map[place]map[string]line{}
	w.each(func(p, q *profile) {
		m := map[string]line{}
		for _, l := range w.conversation(p, q, 0) {
			m[l.label] = l
			w.oracle.holds[p.n][l.label] = true
		}
		at[place{p.n, q.n}] = m
	})
	for _, p := range w.people {
		for label := range w.oracle.holds[p.n] {
			n := w.oracle.by[label]
			if n == nil || n.ends() {
				continue // NothingTwice and ExpiredIsGone say more
			}
			if _, ok := at[place{p.n, n.from + n.to - p.n}][label]; !ok {
				return fmt.Errorf("%s is gone from profile %d", label, p.n)
			}
		}
	}
	for _, n := range w.oracle.notes {
		if n.ends() {
			continue
		}
		own, ok := at[place{n.from, n.to}][n.label]
		if !ok {
			if n.lost {
				continue
			}
			return fmt.Errorf("%s is not with its author", n.label)
		}
		if own.State == record.StateFailed {
			if !n.failed {
				return fmt.Errorf("%s failed", n.label)
			}
			continue
		}
		if w.oracle.forgot[n.to][n.label] {
			continue
		}
		if _, ok := at[place{n.to, n.from}][n.label]; !ok && (settled || own.State >= record.StateDelivered) {
			return fmt.Errorf("%s is not with its recipient, and its author shows state %d: %s", n.label, own.State, w.explain(n))
		}
	}
	return nil
}

// NothingTwice: every profile shows a message at most once, in the right
// conversation, with the text and the author it had.
func NothingTwice(w *world, _ bool) (err error) {
	w.each(func(p, q *profile) {
		seen := map[string]bool{}
		for _, l := range w.conversation(p, q, 0) {
			n := w.oracle.by[l.label]
			switch {
			case n == nil || l.Text != n.text && !l.Deleted && !l.Edited:
				err = fmt.Errorf("profile %d shows what nobody wrote", p.n)
			case seen[l.label]:
				err = fmt.Errorf("profile %d shows %s twice", p.n, l.label)
			case n.from+n.to != p.n+q.n || n.from != p.n && n.from != q.n || l.Mine != (n.from == p.n) || l.From != w.people[n.from].account:
				err = fmt.Errorf("profile %d shows %s in the wrong place", p.n, l.label)
			}
			seen[l.label] = true
		}
	})
	return err
}

// OutboxDrains: once everything had time to arrive no outbox holds anything,
// and no message waits for delivery.
func OutboxDrains(w *world, settled bool) (err error) {
	if !settled {
		return nil
	}
	for _, p := range w.people {
		n := 0
		w.must(p.store.View(func(tx *storage.Tx) error {
			return tx.ScanKeys(record.OutboxFamily(), nil, false, func(storage.Key) (bool, error) { n++; return true, nil })
		}))
		if n > 0 || p.eng.Queued() != 0 {
			return fmt.Errorf("%d entries left in the outbox of profile %d, which counts %d", n, p.n, p.eng.Queued())
		}
	}
	w.each(func(p, q *profile) {
		for _, l := range w.conversation(p, q, 0) {
			if l.Mine && l.State == record.StateQueued && !l.Deleted {
				err = fmt.Errorf("%s waits for delivery without standing in the outbox", l.label)
			}
		}
	})
	return err
}

// StoreChecks: every profile's own check finds no fault.
func StoreChecks(w *world, _ bool) error {
	for _, p := range w.people {
		if err := w.checkStore(p); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) checkStore(p *profile) error {
	r, err := p.eng.Check(w.ctx)
	if err != nil {
		return err
	}
	if len(r.Faults) > 0 {
		return fmt.Errorf("profile %d: %+v", p.n, r.Faults)
	}
	return nil
}

// CausalOrder: no placed message stands before its parents, or before what its
// author had seen when writing it; and two profiles show what both have placed
// in the same order.
func CausalOrder(w *world, _ bool) (err error) {
	for _, p := range w.people {
		if err := w.parentsFirst(p); err != nil {
			return err
		}
	}
	w.each(func(p, q *profile) {
		at := map[string]int{}
		for i, l := range w.conversation(p, q, 0) {
			if !l.Waiting {
				at[l.label] = i
			}
		}
		for label, i := range at {
			n := w.oracle.by[label]
			if n == nil {
				continue
			}
			for _, b := range n.before {
				if j, ok := at[b]; ok && j > i {
					err = fmt.Errorf("profile %d shows %s before %s, which its author had seen", p.n, label, b)
				}
			}
		}
		last := -1
		for _, l := range w.conversation(q, p, 0) {
			i, ok := at[l.label]
			if l.Waiting || !ok {
				continue
			}
			if i < last {
				err = fmt.Errorf("profiles %d and %d show %s in different places", p.n, q.n, l.label)
			}
			last = i
		}
	})
	return err
}

// parentsFirst reads the records themselves.
func (w *world) parentsFirst(p *profile) error {
	return p.store.View(func(tx *storage.Tx) error {
		here, placed := map[message.ID]bool{}, map[message.ID]bool{}
		if err := tx.Scan(record.MessageFamily(), nil, false, func(k storage.Key, _ []byte) (bool, error) {
			here[message.ID(k[len(k)-16:])] = true
			return true, nil
		}); err != nil {
			return err
		}
		return tx.Scan(record.MessageFamily(), nil, false, func(_ storage.Key, v []byte) (bool, error) {
			rec, err := record.ParseMessage(v)
			if err != nil {
				return false, err
			}
			m, err := contentOf(rec)
			if err != nil {
				return false, err
			}
			b, err := tx.Get(record.IndexKey(m.ID()))
			if err != nil {
				return false, err
			}
			x, err := record.ParseIndex(b)
			if err != nil {
				return false, err
			}
			if x.Missing > 0 {
				return true, nil
			}
			for _, parent := range m.Parents {
				if here[parent] && !placed[parent] {
					return false, fmt.Errorf("profile %d: a message stands before its parent", p.n)
				}
			}
			placed[m.ID()] = true
			return true, nil
		})
	})
}

// EventsDense: the event log of each profile has no holes and takes nothing
// back; every message is announced exactly once, and its states in order.
func EventsDense(w *world, _ bool) error {
	for _, p := range w.people {
		if err := w.eventsDense(p); err != nil {
			return fmt.Errorf("profile %d: %w", p.n, err)
		}
	}
	return nil
}

var errRead = errors.New("read all")

func (w *world) eventsDense(p *profile) error {
	last := p.eng.LastEvent()
	if last < w.oracle.lastSeq[p.n] {
		return fmt.Errorf("the newest event was %d and is %d", w.oracle.lastSeq[p.n], last)
	}
	w.oracle.lastSeq[p.n] = last
	next := uint64(1)
	announced := map[message.ID]record.MessageState{}
	err := errRead
	if last > 0 {
		err = p.eng.Watch(w.ctx, 0, nil, func(ev engine.Event) error {
			if ev.Seq != next {
				return fmt.Errorf("event %d comes where %d should", ev.Seq, next)
			}
			before, known := announced[ev.Message]
			switch {
			case ev.Type == record.EventMessage && known:
				return fmt.Errorf("event %d announces a message again", ev.Seq)
			case ev.Type == record.EventExpired:
				delete(announced, ev.Message)
			case ev.Type > record.EventExpired && !known:
				return fmt.Errorf("event %d is about a message that was not announced", ev.Seq)
			case ev.Type == record.EventState && (!known || ev.State <= before):
				return fmt.Errorf("event %d takes a message from state %d to %d", ev.Seq, before, ev.State)
			}
			if ev.Type != record.EventContact && ev.Type != record.EventExpired {
				announced[ev.Message] = ev.State
			}
			if next++; next > last {
				return errRead
			}
			return nil
		})
	}
	if !errors.Is(err, errRead) {
		return err
	}
	w.each(func(a, b *profile) {
		if a != p {
			return
		}
		for _, l := range w.conversation(p, b, 0) {
			state, ok := announced[l.ID]
			if !ok || state != l.State {
				err = fmt.Errorf("%s is announced (%v) with state %d and has %d", l.label, ok, state, l.State)
			}
			delete(announced, l.ID)
		}
	})
	for id := range announced {
		if n := w.oracle.ids[id]; n != nil && n.life != (message.Lifetime{}) {
			delete(announced, id) // it is hidden, and will end
		}
	}
	if errors.Is(err, errRead) && len(announced) > 0 {
		err = fmt.Errorf("%d messages are announced and not there", len(announced))
	}
	if errors.Is(err, errRead) {
		return nil
	}
	return err
}

// broken returns the names of the invariants that don't hold.
func (w *world) broken(settled bool) (names []string) {
	for _, i := range invariants {
		if err := i.hold(w, settled); err != nil {
			w.t.Logf("%s: %v", i.name, err)
			names = append(names, i.name)
		}
	}
	slices.Sort(names)
	return names
}
