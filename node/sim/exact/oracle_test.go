package exact

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"rushlight/node/engine"
	"rushlight/protocol/message"
	"rushlight/storage/record"
)

var inviteOptions = engine.InviteOptions{Uses: 1, Life: 300 * 24 * time.Hour}

// note is one message that a person wrote, as the person remembers it.
type note struct {
	label    string
	from, to int
	text     string
	id       message.ID
	before   []string // labels of what its author had seen last
	lost     bool     // an older copy of its author's profile was restored
	failed   bool     // its recipient may refuse it and did

	sent    time.Time
	life    message.Lifetime
	unsent  bool      // its author took it back
	seen    time.Time // when its recipient was first shown it; zero is not yet
	touched bool      // it was edited or reacted to
}

// ends reports whether a message doesn't stay where it is.
func (n *note) ends() bool { return n.unsent || n.life != (message.Lifetime{}) }

// oracle is what was promised.
type oracle struct {
	notes []*note
	by    map[string]*note
	ids   map[message.ID]*note
	// Of each profile: what it was seen to hold, what it held before an older
	// copy was restored, and its newest event.
	holds   []map[string]bool
	forgot  []map[string]bool
	lastSeq []uint64
}

func (o *oracle) init(n int) {
	o.by, o.ids = map[string]*note{}, map[message.ID]*note{}
	o.lastSeq = make([]uint64, n)
	for range n {
		o.holds = append(o.holds, map[string]bool{})
		o.forgot = append(o.forgot, map[string]bool{})
	}
}

// line is one message as a profile shows it.
type line struct {
	engine.View
	label string
}

func (w *world) lineOf(v engine.View) line {
	label, _, _ := strings.Cut(v.Text, "|")
	if n := w.oracle.ids[v.ID]; v.Deleted && n != nil {
		label = n.label
	}
	return line{v, label}
}

// conversation is what p shows of its conversation with q.
func (w *world) conversation(p, q *profile, limit int) (out []line) {
	if p.eng.Contact(q.account) == nil {
		return nil
	}
	views, err := p.eng.Read(w.ctx, engine.Read{With: q.account, Limit: limit, Peek: true})
	w.must(err)
	for _, v := range views {
		out = append(out, w.lineOf(v))
	}
	return out
}

// say lets a write to b. So often in a hundred a dies between the commit and
// its answer; what it wrote is there nevertheless.
func (w *world) say(a, b *profile, death int) {
	c := a.eng.Contact(b.account)
	if c == nil {
		return
	}
	n := &note{label: fmt.Sprintf("%d>%d/%d", a.n, b.n, len(w.oracle.notes)), from: a.n, to: b.n}
	for _, l := range w.conversation(a, b, 12) {
		if !l.Waiting {
			n.before = append(n.before, l.label)
		}
	}
	n.text = n.label + "|"
	if w.chance(8) {
		n.text += strings.Repeat("long ", 1+w.rng.IntN(4000))
	}
	n.life = w.lifetime()
	var sent engine.Sent
	var err error
	a.mortal(death, func() { sent, err = a.eng.Send(w.ctx, engine.Send{To: b.account, Text: n.text, Life: n.life}) })
	if errors.Is(err, engine.ErrNotApproved) && c.State == record.ContactPending {
		return
	}
	w.must(err)
	n.id, n.sent = sent.ID, sent.At
	w.oracle.ids[n.id] = n
	w.oracle.notes = append(w.oracle.notes, n)
	w.oracle.by[n.label] = n
	w.oracle.holds[a.n][n.label] = true
}

// excuseFailed notes which messages from a to b have failed after a refusal
// that may be.
func (w *world) excuseFailed(a, b *profile) {
	for _, l := range w.conversation(a, b, 0) {
		if n := w.oracle.by[l.label]; l.State == record.StateFailed && n != nil {
			n.failed = true
		}
	}
}

// copyOf is an older copy of a profile's whole directory, as a disk image is.
type copyOf struct {
	p   *profile
	dir string
}

func (w *world) backUp(p *profile) *copyOf {
	c := &copyOf{p, w.newDir()}
	w.must(copyDir(p.dir, c.dir))
	return c
}

// restore puts a profile back to an older copy of itself.
func (w *world) restore(c *copyOf) {
	p := c.p
	had := w.all(p)
	p.moveTo(c.dir)
	has := w.all(p)
	forgot := 0
	for _, n := range w.oracle.notes {
		if n.to == p.n {
			n.seen = time.Time{}
		}
	}
	for label := range had {
		if has[label] {
			continue
		}
		forgot++
		if n := w.oracle.by[label]; n == nil {
			continue
		} else if n.from == p.n {
			n.lost = true
		} else {
			w.oracle.forgot[p.n][label] = true
		}
	}
	w.oracle.holds[p.n], w.oracle.lastSeq[p.n] = has, 0
	p.rolled++
	for _, q := range w.people {
		if q != p {
			// What its lost life had on the wire ended with its streams.
			w.lanes[p.n][q.n].parcels, w.lanes[p.n][q.n].archive = nil, nil
		}
	}
	w.count["messages forgotten by restored copies"] += forgot
}

// all is the set of labels that a profile holds.
func (w *world) all(p *profile) map[string]bool {
	out := map[string]bool{}
	for _, q := range w.people {
		if p != q {
			for _, l := range w.conversation(p, q, 0) {
				out[l.label] = true
			}
		}
	}
	return out
}
