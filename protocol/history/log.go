package history

import (
	"slices"

	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/wire"
)

// Log is what is known of one author device in one conversation.
type Log struct {
	Author identity.DeviceID
	Held   Intervals    // numbers inserted, placed or waiting
	Last   [32]byte     // hash of the message with the highest number
	Forked bool         // the device has contradicted itself
	Forks  []message.ID // messages that came second under their number
}

// take records a message. It reports that the message was taken before, or
// what other message of the author it contradicts: one with its number, one
// that it should follow, or one that should follow it.
func (l *Log) take(m *message.Message, hash [32]byte, s Store) (dup bool, fork *Fork, err error) {
	id := message.ID(hash[:16])
	if l.Held.Has(m.Seq) {
		e, ok := s.At(m.Author, m.Seq)
		if !ok || e.ID == id || slices.Contains(l.Forks, id) {
			return true, nil, nil
		}
		if len(l.Forks) == MaxForks {
			return false, nil, ErrTooManyForks
		}
		l.Forks = append(l.Forks, id)
		l.Forked = true
		return false, &Fork{m.Author, m.Seq, id, e.ID}, nil
	}
	last := l.Held.Last()
	if err := l.Held.Add(m.Seq); err != nil {
		return false, nil, ErrTooManyGaps
	}
	// The message before is mostly the newest, whose hash is here.
	if m.Seq == last+1 {
		if last > 0 && l.Last != m.Prev {
			fork = &Fork{m.Author, m.Seq, id, message.ID(l.Last[:16])}
		}
	} else if e, ok := s.At(m.Author, m.Seq-1); ok && e.ID != message.ID(m.Prev[:16]) {
		fork = &Fork{m.Author, m.Seq, id, e.ID}
	}
	if m.Seq > last {
		l.Last = hash
	} else if e, ok := s.At(m.Author, m.Seq+1); ok && e.Prev != hash {
		fork = &Fork{m.Author, m.Seq, id, e.ID}
	}
	l.Forked = l.Forked || fork != nil
	return false, fork, nil
}

func (l *Log) append(w *wire.Writer) {
	w.Raw(l.Author[:])
	l.Held.Append(w)
	w.Raw(l.Last[:]).Bool(l.Forked).U8(uint8(len(l.Forks)))
	for _, id := range l.Forks {
		w.Raw(id[:])
	}
}

func (l *Log) read(r *wire.Reader) {
	l.Author = r.A16()
	l.Held.Read(r)
	if l.Held.Empty() {
		r.Fail("empty log")
	}
	l.Last, l.Forked = r.A32(), r.Bool()
	n := int(r.U8())
	if n > MaxForks || n > 0 && !l.Forked {
		r.Fail("bad forks")
		return
	}
	for range n {
		l.Forks = append(l.Forks, r.A16())
	}
}
