package world

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"rushlight/node/api"
)

// invariant is something that must hold once everybody is switched on, the
// network is whole and everything had time to arrive. The names mean what they
// mean in the replay simulation.
type invariant struct {
	name string
	hold func(w *world) error
}

var invariants = []invariant{
	{"NothingLost", NothingLost},
	{"NothingTwice", NothingTwice},
	{"OutboxDrains", OutboxDrains},
	{"StoreChecks", StoreChecks},
}

// check fails the test when an invariant doesn't hold.
func (w *world) check() {
	w.t.Helper()
	for _, i := range invariants {
		if err := i.hold(w); err != nil {
			w.fatal("%s: %v", i.name, err)
		}
	}
}

// NothingLost: a message whose Send returned nil is with its author and with
// its recipient.
func NothingLost(w *world) error {
	type place struct{ p, q int }
	at := map[place]map[string]string{}
	w.each(func(p, q *person) {
		m := map[string]string{}
		for _, l := range w.conversation(p, q) {
			m[l.label] = l.State
		}
		at[place{p.n, q.n}] = m
	})
	for _, n := range w.oracle.notes {
		state, ok := at[place{n.from, n.to}][n.label]
		if !ok {
			return fmt.Errorf("%s is not with its author", n.label)
		}
		if _, ok := at[place{n.to, n.from}][n.label]; !ok {
			return fmt.Errorf("%s is not with its recipient, and its author shows it as %s", n.label, state)
		}
	}
	return nil
}

// NothingTwice: every device shows a message at most once, in the right
// conversation, with the text and the author it had.
func NothingTwice(w *world) (err error) {
	w.each(func(p, q *person) {
		seen := map[string]bool{}
		for _, l := range w.conversation(p, q) {
			n := w.oracle.by[l.label]
			switch {
			case n == nil || n.text != l.Text:
				err = fmt.Errorf("person %d is shown what nobody wrote", p.n)
			case seen[l.label]:
				err = fmt.Errorf("person %d is shown %s twice", p.n, l.label)
			case n.from+n.to != p.n+q.n || n.from != p.n && n.from != q.n || l.Mine != (n.from == p.n) || l.From != w.people[n.from].account:
				err = fmt.Errorf("person %d is shown %s in the wrong place", p.n, l.label)
			}
			seen[l.label] = true
		}
	})
	return err
}

// OutboxDrains: nothing waits for delivery any more.
func OutboxDrains(w *world) (err error) {
	for _, p := range w.people {
		s, err := p.node.Status(w.ctx)
		w.must(err)
		if s.Outbox > 0 {
			return fmt.Errorf("%d entries are left in the outbox of person %d", s.Outbox, p.n)
		}
	}
	w.each(func(p, q *person) {
		for _, l := range w.conversation(p, q) {
			if l.Mine && l.State == api.StateQueued {
				err = fmt.Errorf("%s waits for delivery without standing in the outbox", l.label)
			}
		}
	})
	return err
}

// StoreChecks: everybody's own check finds no fault.
func StoreChecks(w *world) error {
	for _, p := range w.people {
		if err := p.checkStore(); err != nil {
			return err
		}
	}
	return nil
}

func (p *person) checkStore() error {
	r, err := p.node.Check(p.w.ctx)
	if err != nil {
		return err
	}
	if !r.OK {
		return fmt.Errorf("person %d: %+v", p.n, r.Problems)
	}
	return nil
}

// broken returns the names of the invariants that don't hold.
func (w *world) broken() (names []string) {
	for _, i := range invariants {
		if err := i.hold(w); err != nil {
			w.t.Logf("%s: %v", i.name, err)
			names = append(names, i.name)
		}
	}
	return names
}

// wantBroken fails the test unless exactly these invariants don't hold.
func (w *world) wantBroken(names ...string) {
	w.t.Helper()
	slices.Sort(names)
	if got := w.broken(); !slices.Equal(got, names) {
		w.fatal("control: %v should not hold, and %v don't", names, got)
	}
}

var errLate = errors.New("not everything has arrived")

// settleTime is how long everything is given to arrive once nothing is in its
// way: the longest pause between two calls, and then some.
const settleTime = 6 * time.Minute

// settle gives everything time to arrive. Nobody presses anything.
func (w *world) settle() error {
	w.t.Helper()
	took, ok := w.until(settleTime, time.Second, func() bool {
		for _, p := range w.people {
			if s, err := p.node.Status(w.ctx); err != nil || s.Outbox > 0 {
				return false
			}
		}
		return true
	})
	if !ok {
		return errLate
	}
	w.note("settled after %v", took)
	return nil
}
