package history

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

const labelVector suite.Label = "rushlight/history/vector/1"

// head is a placed message without placed children.
type head struct {
	id    message.ID
	order uint64
}

// State is what a device knows of the shape of one conversation. It changes
// only in [State.Insert] and [State.Place], and not at all when they fail.
type State struct {
	conv  message.ConversationID
	clock uint64 // highest order placed
	heads []head // sorted by id
	logs  []Log  // sorted by author
}

// NewState is the state of a conversation without messages.
func NewState(conv message.ConversationID) *State { return &State{conv: conv} }

// Heads returns the placed messages without placed children, sorted: the
// parents of the next own message. There are at most 8; beyond that the oldest
// are left out.
func (s *State) Heads() []message.ID {
	ids := make([]message.ID, 0, len(s.heads))
	for _, h := range s.heads {
		ids = append(ids, h.id)
	}
	return ids
}

// Logs returns what is known of each author device, sorted by author. The
// caller must not change it.
func (s *State) Logs() []Log { return s.logs }

// Log returns what is known of one author device.
func (s *State) Log(author identity.DeviceID) (Log, bool) {
	if i, ok := s.find(author); ok {
		return s.logs[i], true
	}
	return Log{}, false
}

func (s *State) find(author identity.DeviceID) (int, bool) {
	return slices.BinarySearchFunc(s.logs, author, func(l Log, a identity.DeviceID) int {
		return bytes.Compare(l.Author[:], a[:])
	})
}

// VDig is the digest of which messages of which authors are held (spec §9.5).
// Two devices with equal digests miss nothing that the other has.
func (s *State) VDig() (d [8]byte) {
	w := wire.NewWriter(nil)
	for i := range s.logs {
		w.Raw(s.logs[i].Author[:])
		s.logs[i].Held.Append(w)
	}
	h := suite.Hash(labelVector, s.conv[:], w.Out())
	copy(d[:], h[:])
	return d
}

// Next returns the header of the next message of an own device. The message
// must be inserted before Next is called again.
func (s *State) Next(own identity.DeviceID, now time.Time) message.Header {
	h := message.Header{
		Conversation: s.conv,
		Author:       own,
		Seq:          1,
		Parents:      s.Heads(),
		HLC:          message.Tick(s.clock, now),
		VDig:         s.VDig(),
	}
	if l, ok := s.Log(own); ok {
		h.Seq, h.Prev = l.Held.Last()+1, l.Last
	}
	return h
}

// Insert takes a message that was received or just made. An error means it is
// refused: the state is unchanged, nothing may be kept or acknowledged.
func (s *State) Insert(m *message.Message, st Store, now time.Time) (Outcome, error) {
	if m.Conversation != s.conv {
		return Outcome{}, ErrOtherConversation
	}
	i, known := s.find(m.Author)
	l := Log{Author: m.Author}
	if known {
		l = s.logs[i]
		l.Held, l.Forks = l.Held.Clone(), slices.Clone(l.Forks)
	} else if len(s.logs) == MaxAuthors {
		return Outcome{}, ErrTooManyAuthors
	}
	hash := m.Hash()
	dup, fork, err := l.take(m, hash, st)
	if err != nil {
		return Outcome{}, fmt.Errorf("inserting a message: %w", err)
	}
	if dup {
		return Outcome{Verdict: Duplicate}, nil
	}
	if known {
		s.logs[i] = l
	} else {
		s.logs = slices.Insert(s.logs, i, l)
	}
	out := s.place(m, message.ID(hash[:16]), st, now)
	out.Fork = fork
	return out, nil
}

// Place finds the place of a message that [State.Insert] took before, now that
// more of its parents may have come. Call it once for each message that waits
// until it returns New; received is when the message came.
func (s *State) Place(m *message.Message, st Store, received time.Time) Outcome {
	return s.place(m, m.ID(), st, received)
}

func (s *State) place(m *message.Message, id message.ID, st Store, received time.Time) Outcome {
	out := Outcome{Verdict: New}
	parents := uint64(0)
	for _, p := range m.Parents {
		order, ok := s.order(p, st)
		if !ok {
			out.Verdict = Waiting
			out.Missing = append(out.Missing, p)
			continue
		}
		parents = max(parents, order)
	}
	out.Position = Position{message.Order(m.HLC, parents, received), id}
	if out.Verdict == New {
		s.addHead(head{id, out.Position.Order}, m.Parents)
		s.clock = max(s.clock, out.Position.Order)
	}
	return out
}

// order returns the order of a placed message. Most parents are heads, for
// which the store is not asked.
func (s *State) order(id message.ID, st Store) (uint64, bool) {
	for i := range s.heads {
		if s.heads[i].id == id {
			return s.heads[i].order, true
		}
	}
	if !st.Has(id) {
		return 0, false
	}
	return st.Order(id), true
}

// addHead makes a message a head in the place of its parents.
func (s *State) addHead(h head, parents []message.ID) {
	s.heads = slices.DeleteFunc(s.heads, func(o head) bool {
		return o.id == h.id || slices.Contains(parents, o.id)
	})
	s.heads = append(s.heads, h)
	if len(s.heads) > maxHeads {
		oldest := slices.MinFunc(s.heads, func(a, b head) int {
			return Position{a.order, a.id}.Compare(Position{b.order, b.id})
		})
		s.heads = slices.DeleteFunc(s.heads, func(o head) bool { return o == oldest })
	}
	slices.SortFunc(s.heads, func(a, b head) int { return bytes.Compare(a.id[:], b.id[:]) })
}

// Marshal encodes the state (spec §9.5).
func (s *State) Marshal() []byte {
	w := wire.NewWriter(nil).U8(1).Raw(s.conv[:]).U64(s.clock).U8(uint8(len(s.heads)))
	for _, h := range s.heads {
		w.Raw(h.id[:]).U64(h.order)
	}
	w.U16(uint16(len(s.logs)))
	for i := range s.logs {
		s.logs[i].append(w)
	}
	return w.Out()
}

// ParseState reverses [State.Marshal].
func ParseState(b []byte) (*State, error) {
	r := wire.NewReader(b)
	if r.U8() != 1 {
		r.Fail("unknown version")
	}
	s := &State{conv: r.A16(), clock: r.U64()}
	nHeads := int(r.U8())
	if nHeads > maxHeads {
		r.Fail("too many heads")
		nHeads = 0
	}
	for i := range nHeads {
		h := head{r.A16(), r.U64()}
		if i > 0 && bytes.Compare(s.heads[i-1].id[:], h.id[:]) >= 0 || h.order > s.clock {
			r.Fail("bad heads")
		}
		s.heads = append(s.heads, h)
	}
	n := int(r.U16())
	if n > MaxAuthors {
		r.Fail("too many author devices")
		n = 0
	}
	for i := range n {
		var l Log
		l.read(r)
		if i > 0 && bytes.Compare(s.logs[i-1].Author[:], l.Author[:]) >= 0 {
			r.Fail("logs out of order")
		}
		if r.Err() != nil {
			break
		}
		s.logs = append(s.logs, l)
	}
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("reading the state of a conversation: %w", err)
	}
	return s, nil
}
