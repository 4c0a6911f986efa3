package history_test

import (
	"testing"

	"rushlight/protocol/history"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
)

// asked counts what a state asks of its store.
type asked struct {
	*device
	times int
}

func (a *asked) At(author identity.DeviceID, seq uint64) (history.Entry, bool) {
	a.times++
	return a.device.At(author, seq)
}

func (a *asked) Has(id message.ID) bool {
	a.times++
	return a.device.Has(id)
}

// TestInOrderTheStoreIsNotAsked holds what most messages cost: the state knows
// the newest message of each author and the newest of the conversation. The
// control is a message that comes late.
func TestInOrderTheStoreIsNotAsked(t *testing.T) {
	a, b, c := newDevice(1), newDevice(2), newDevice(3)
	st := &asked{device: c}
	insert := func(m *message.Message) {
		t.Helper()
		out, err := c.state.Insert(m, st, t0)
		if err != nil || out.Fork != nil {
			t.Fatal(out, err)
		}
		c.at[slot{m.Author, m.Seq}] = history.Entry{ID: m.ID(), Prev: m.Prev}
		if out.Verdict == history.New {
			c.placed[m.ID()] = out.Position
		}
	}
	for range 3 {
		m := a.make(t, "from a", t0)
		b.take(t, m, t0)
		insert(m)
		m = b.make(t, "from b", t0)
		a.take(t, m, t0)
		insert(m)
	}
	if st.times != 0 {
		t.Errorf("%d questions for messages in order", st.times)
	}
	late, next := a.make(t, "late", t0), a.make(t, "next", t0)
	insert(next)
	if st.times == 0 {
		t.Error("control: no question for a message whose parent is missing")
	}
	insert(late)
}

// TestForkAtTheEnd contradicts the newest message of an author, which the
// state knows by itself.
func TestForkAtTheEnd(t *testing.T) {
	a, c := newDevice(1), newDevice(3)
	c.take(t, a.make(t, "first", t0), t0)
	c.take(t, a.make(t, "second", t0), t0)
	twin := newDevice(1)
	twin.make(t, "another first", t0)
	twin.make(t, "another second", t0)
	third := twin.make(t, "third", t0)
	out, err := c.state.Insert(third, c, t0)
	if err != nil || out.Fork == nil || out.Fork.Seq != 3 || out.Fork.Held != c.at[slot{a.id, 2}].ID {
		t.Errorf("%+v, %v", out.Fork, err)
	}
}
