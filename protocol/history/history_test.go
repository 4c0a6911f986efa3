package history_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"rushlight/protocol/history"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
)

var (
	conv = message.ConversationID{1}
	t0   = time.UnixMilli(1_700_000_000_000)
)

type slot struct {
	author identity.DeviceID
	seq    uint64
}

// device is one holder of the conversation: a state, and a store in memory.
type device struct {
	id      identity.DeviceID
	state   *history.State
	at      map[slot]history.Entry
	placed  map[message.ID]history.Position
	waiting map[message.ID]*message.Message
	got     map[message.ID]time.Time
}

func newDevice(n byte) *device {
	return &device{
		id:      identity.DeviceID{n},
		state:   history.NewState(conv),
		at:      map[slot]history.Entry{},
		placed:  map[message.ID]history.Position{},
		waiting: map[message.ID]*message.Message{},
		got:     map[message.ID]time.Time{},
	}
}

func (d *device) At(author identity.DeviceID, seq uint64) (history.Entry, bool) {
	e, ok := d.at[slot{author, seq}]
	return e, ok
}

func (d *device) Has(id message.ID) bool { _, ok := d.placed[id]; return ok }

func (d *device) Order(id message.ID) uint64 { return d.placed[id].Order }

// make writes the device's next message and takes it.
func (d *device) make(t fataler, text string, now time.Time) *message.Message {
	body, err := message.NewBody(text, message.Lifetime{})
	if err != nil {
		t.Fatal(err)
	}
	m := &message.Message{Header: d.state.Next(d.id, now), Type: message.TypeText, Body: body}
	if out := d.take(t, m, now); out.Verdict != history.New || out.Fork != nil {
		t.Fatal("an own message is not new:", out.Verdict)
	}
	return m
}

type fataler interface{ Fatal(...any) }

// take inserts a message as an engine does, and reloads the state.
func (d *device) take(t fataler, m *message.Message, now time.Time) history.Outcome {
	out, err := d.state.Insert(m, d, now)
	if err != nil {
		t.Fatal(err)
	}
	id := m.ID()
	switch out.Verdict {
	case history.Duplicate:
		return out
	case history.New:
		d.placed[id] = out.Position
	case history.Waiting:
		d.waiting[id] = m
	}
	d.got[id] = now
	if _, ok := d.at[slot{m.Author, m.Seq}]; !ok {
		d.at[slot{m.Author, m.Seq}] = history.Entry{ID: id, Prev: m.Prev}
	}
	for moved := true; moved; {
		moved = false
		for id, w := range d.waiting {
			if p := d.state.Place(w, d, d.got[id]); p.Verdict == history.New {
				d.placed[id] = p.Position
				delete(d.waiting, id)
				moved = true
			}
		}
	}
	d.reload(t)
	return out
}

func (d *device) reload(t fataler) {
	b := d.state.Marshal()
	s, err := history.ParseState(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(s.Marshal(), b) {
		t.Fatal("the state changes when it is reloaded")
	}
	d.state = s
}

func TestInsert(t *testing.T) {
	a, b := newDevice(1), newDevice(2)
	m1 := a.make(t, "one", t0)
	m2 := a.make(t, "two", t0)
	m3 := a.make(t, "three", t0)
	if m1.Seq != 1 || m3.Seq != 3 || m2.Prev != m1.Hash() || len(m3.Parents) != 1 || m3.Parents[0] != m2.ID() {
		t.Fatal("own messages do not follow one another")
	}
	if out := b.take(t, m3, t0); out.Verdict != history.Waiting || len(out.Missing) != 1 || out.Missing[0] != m2.ID() {
		t.Errorf("a message before its parent: %+v", out)
	}
	if out := b.take(t, m3, t0); out.Verdict != history.Duplicate {
		t.Errorf("a waiting message again: %+v", out)
	}
	l, _ := b.state.Log(a.id)
	if got := l.Held.Missing(3, 10); len(got) != 1 || got[0] != (history.Range{First: 1, Last: 2}) {
		t.Errorf("missing %v", got)
	}
	if out := b.take(t, m1, t0); out.Verdict != history.New {
		t.Errorf("the first message: %+v", out)
	}
	if out := b.take(t, m2, t0); out.Verdict != history.New {
		t.Errorf("the second message: %+v", out)
	}
	if len(b.waiting) != 0 || len(b.state.Heads()) != 1 || b.state.Heads()[0] != m3.ID() {
		t.Error("the waiting message was not placed last")
	}
	if b.state.VDig() != a.state.VDig() {
		t.Error("two holders of the same have two digests")
	}
	m4 := b.make(t, "four", t0.Add(-time.Hour))
	if b.placed[m4.ID()].Compare(b.placed[m3.ID()]) <= 0 {
		t.Error("an answer stands before the question")
	}
	if b.state.VDig() == a.state.VDig() {
		t.Error("control: the digest does not change")
	}
}

func TestErasedStaysDuplicate(t *testing.T) {
	a, b := newDevice(1), newDevice(2)
	m := a.make(t, "one", t0)
	b.take(t, m, t0)
	delete(b.at, slot{m.Author, m.Seq})
	delete(b.placed, m.ID())
	if out := b.take(t, m, t0); out.Verdict != history.Duplicate {
		t.Errorf("an erased message again: %+v", out)
	}
}

func TestForks(t *testing.T) {
	a, copied, b := newDevice(1), newDevice(1), newDevice(2)
	x1, y1 := a.make(t, "x", t0), copied.make(t, "y", t0)
	if out := b.take(t, x1, t0); out.Fork != nil {
		t.Errorf("control: one history is a fork: %+v", out)
	}
	out := b.take(t, y1, t0)
	if out.Verdict != history.New || out.Fork == nil || out.Fork.Held != x1.ID() || out.Fork.Got != y1.ID() {
		t.Errorf("a second first message: %+v", out)
	}
	if l, _ := b.state.Log(a.id); !l.Forked || len(l.Forks) != 1 {
		t.Errorf("the device is not flagged: %+v", l)
	}
	if out := b.take(t, y1, t0); out.Verdict != history.Duplicate {
		t.Errorf("the fork again: %+v", out)
	}
	if out := b.take(t, x1, t0); out.Verdict != history.Duplicate {
		t.Errorf("the first again: %+v", out)
	}
	x2, y2, y3 := a.make(t, "x2", t0), copied.make(t, "y2", t0), copied.make(t, "y3", t0)

	c := newDevice(3)
	c.take(t, x1, t0)
	if out := c.take(t, y2, t0); out.Fork == nil || out.Fork.Held != x1.ID() {
		t.Errorf("a message that follows another history: %+v", out)
	}
	if out := c.take(t, y2, t0); out.Verdict != history.Duplicate {
		t.Errorf("it again: %+v", out)
	}

	d := newDevice(4)
	d.take(t, y3, t0)
	if out := d.take(t, x2, t0); out.Fork == nil || out.Fork.Held != y3.ID() {
		t.Errorf("a message that another history follows: %+v", out)
	}
}

func TestRefused(t *testing.T) {
	b := newDevice(2)
	forge := func(author identity.DeviceID, seq uint64, text string) *message.Message {
		body, err := message.NewBody(text, message.Lifetime{})
		if err != nil {
			t.Fatal(err)
		}
		m := &message.Message{Header: message.Header{Conversation: conv, Author: author, Seq: seq, HLC: 1}, Type: 1, Body: body}
		if seq > 1 {
			m.Prev = [32]byte{1}
		}
		return m
	}
	refused := func(m *message.Message, want error) {
		t.Helper()
		before := b.state.Marshal()
		if _, err := b.state.Insert(m, b, t0); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
		if !bytes.Equal(b.state.Marshal(), before) {
			t.Errorf("%v changes the state", want)
		}
	}
	other := forge(identity.DeviceID{9}, 1, "x")
	other.Conversation = message.ConversationID{8}
	refused(other, history.ErrOtherConversation)

	one := identity.DeviceID{1}
	for i := range uint64(message.MaxRanges) {
		b.take(t, forge(one, 2+2*i, "x"), t0)
	}
	refused(forge(one, 1000, "x"), history.ErrTooManyGaps)
	for i := range history.MaxForks {
		b.take(t, forge(one, 2, strings.Repeat("y", 1+i)), t0)
	}
	refused(forge(one, 2, "one more"), history.ErrTooManyForks)
	for i := range history.MaxAuthors - 1 {
		b.take(t, forge(identity.DeviceID{7, byte(i)}, 1, "x"), t0)
	}
	refused(forge(identity.DeviceID{8}, 1, "x"), history.ErrTooManyAuthors)
}

func TestHeadsAreBounded(t *testing.T) {
	b := newDevice(1)
	for i := range 20 {
		b.take(t, newDevice(byte(10+i)).make(t, "x", t0.Add(time.Duration(i)*time.Second)), t0.Add(time.Hour))
	}
	m := b.make(t, "joins", t0.Add(time.Hour))
	if len(m.Parents) != message.MaxParents {
		t.Errorf("%d parents", len(m.Parents))
	}
	for _, p := range m.Parents {
		if b.placed[p].Order < message.ClockOf(t0.Add(12*time.Second)) {
			t.Error("an old head was kept for a newer one")
		}
	}
	if _, err := m.Marshal(); err != nil {
		t.Error(err)
	}
}

func TestFarFuture(t *testing.T) {
	a, b := newDevice(1), newDevice(2)
	m := a.make(t, "x", t0.Add(1000*time.Hour))
	out := b.take(t, m, t0)
	if out.Position.Order != message.ClockOf(t0) {
		t.Errorf("placed at %v", message.ClockTime(out.Position.Order))
	}
	if got := b.make(t, "y", t0.Add(time.Second)).HLC; message.ClockTime(got).Sub(t0) > time.Minute {
		t.Errorf("the next message claims %v", message.ClockTime(got))
	}
}

func FuzzState(f *testing.F) {
	a := newDevice(1)
	f.Add(a.state.Marshal())
	a.make(f, "x", t0)
	a.make(f, "y", t0)
	a.take(f, newDevice(2).make(f, "z", t0), t0)
	a.take(f, newDevice(1).make(f, "fork", t0), t0)
	f.Add(a.state.Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := history.ParseState(b); err == nil && !bytes.Equal(s.Marshal(), b) {
			t.Fatal("two spellings")
		}
	})
}

func BenchmarkInsert(b *testing.B) {
	a, c := newDevice(1), newDevice(2)
	msgs := make([]*message.Message, 500)
	for i := range msgs {
		msgs[i] = a.make(b, "hello", t0)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i == len(msgs) {
			c, i = newDevice(2), 0
		}
		c.take(b, msgs[i], t0)
		i++
	}
}
