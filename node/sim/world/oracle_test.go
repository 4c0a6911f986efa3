package world

import (
	"context"
	"fmt"
	"strings"
	"time"

	"rushlight/node/api"
)

// note is one message that a person wrote, as the person remembers it.
type note struct {
	label    string
	from, to int
	text     string
	id       string
}

// oracle is what was promised.
type oracle struct {
	notes []*note
	by    map[string]*note
}

func (o *oracle) init() { o.by = map[string]*note{} }

func (o *oracle) add(n *note) {
	o.notes = append(o.notes, n)
	o.by[n.label] = n
}

// draft is a message from a to b that nobody has sent yet.
func (w *world) draft(a, b *person) *note {
	n := &note{label: fmt.Sprintf("%d>%d/%d", a.n, b.n, len(w.oracle.notes)), from: a.n, to: b.n}
	n.text = n.label + "|"
	if w.rng.IntN(100) < 5 {
		n.text += strings.Repeat("long ", 1+w.rng.IntN(3000))
	}
	return n
}

// say lets a write to b; it returns when a's device has promised delivery.
func (w *world) say(a, b *person) *note {
	w.t.Helper()
	n := w.draft(a, b)
	s, err := a.node.Send(w.ctx, api.SendRequest{To: b.account, Text: n.text})
	w.must(err)
	n.id = s.ID
	w.oracle.add(n)
	return n
}

// delivered waits until the author of a message sees that it has arrived, and
// returns how long that took.
func (w *world) delivered(n *note, within time.Duration) (took time.Duration, ok bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, within)
	defer cancel()
	began := time.Now()
	state, err := w.people[n.from].node.Wait(ctx, n.id, api.StateDelivered)
	if ctx.Err() != nil {
		return within, false
	}
	w.must(err)
	if state != api.StateDelivered && state != api.StateRead {
		w.fatal("%s is %s", n.label, state)
	}
	return time.Since(began), true
}

// arrive fails the test unless all of the messages are delivered in time.
func (w *world) arrive(what string, within time.Duration, notes ...*note) (took time.Duration) {
	w.t.Helper()
	for _, n := range notes {
		d, ok := w.delivered(n, within-took)
		if took += d; !ok {
			w.fatal("%s: %s is not delivered after %v", what, n.label, within)
		}
	}
	w.t.Logf("%s: %d messages delivered after %v", what, len(notes), took)
	return took
}

// line is one message as a person's device shows it.
type line struct {
	api.Message
	label string
}

// conversation is what p shows of its conversation with q.
func (w *world) conversation(p, q *person) (out []line) {
	w.t.Helper()
	list, err := p.node.Read(w.ctx, api.ReadRequest{Who: q.account, Peek: true})
	w.must(err)
	for _, m := range list {
		label, _, _ := strings.Cut(m.Text, "|")
		out = append(out, line{m, label})
	}
	return out
}

// read marks what a was sent by b as read.
func (w *world) read(a, b *person) {
	w.t.Helper()
	_, err := a.node.Read(w.ctx, api.ReadRequest{Who: b.account})
	w.must(err)
}
