package ratchet

import (
	"fmt"

	"rushlight/protocol/ratchet/braid"
	"rushlight/protocol/wire"
)

// stateFormat is the first byte of a saved state: the format of its braid.
const stateFormat = byte(braid.Short)

// Marshal returns the state (spec §6.10). It is secret, and superseded by the
// next successful Encrypt or Decrypt: erase it then.
func (s *Session) Marshal() []byte {
	w := wire.NewWriter(make([]byte, 0, 4096))
	w.U8(stateFormat).Bool(s.initiator)
	w.Raw(s.id[:]).Raw(s.transcript[:]).Raw(s.exporter[:])
	w.U64(s.sent).U64(s.received).U64(s.seen)
	s.ec.marshalTo(w)
	s.pq.marshalTo(w)
	return w.Out()
}

// Load reads what [Session.Marshal] returned, or returned when states had
// format 1. It accepts one spelling of each state, and returns [ErrRolledBack]
// for a well-formed state whose Version is less than atLeast.
func Load(state []byte, atLeast uint64) (*Session, error) {
	r := wire.NewReader(state)
	format := braid.Format(r.U8())
	if format != braid.Whole && format != braid.Short {
		r.Fail("unknown format of a ratchet state")
	}
	s := &Session{initiator: r.Bool(), id: r.A16(), transcript: r.A32(), exporter: r.A32()}
	s.sent, s.received, s.seen = r.U64(), r.U64(), r.U64()
	if s.sent>>63 != 0 || s.received>>63 != 0 || (s.received == 0) != (s.seen == 0) {
		r.Fail("impossible counters")
	}
	s.ec.parse(r, s.initiator, s.received > 0)
	s.pq.parse(r, s.initiator, format)
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("load a ratchet state: %w", err)
	}
	if s.Version() < atLeast {
		return nil, ErrRolledBack
	}
	return s, nil
}

func (c *classic) marshalTo(w *wire.Writer) {
	w.Raw(c.root[:]).Raw(c.nextSend[:]).Raw(c.nextRecv[:]).U8(uint8(c.turn))
	if c.turn == due {
		w.Raw(c.peer[:])
	} else {
		w.Raw(c.own.private[:]).Raw(c.own.public[:])
	}
	if c.turn != never {
		w.U32(c.previous)
	}
	if c.turn == on {
		w.Raw(c.send.header[:]).Raw(c.send.ck[:]).U32(c.send.n)
	}
	if c.recv == nil { // exactly when nothing was received
		return
	}
	w.Raw(c.recv.header[:]).Raw(c.recv.ck[:]).U32(c.recv.n)
	marshalWaiting(w, c.recv.waiting)
	w.U8(uint8(len(c.old)))
	for i := range c.old {
		w.Raw(c.old[i].header[:]).U16(c.old[i].age)
		marshalWaiting(w, c.old[i].waiting)
	}
}

func (c *classic) parse(r *wire.Reader, initiator, received bool) {
	c.root, c.nextSend, c.nextRecv, c.turn = r.A32(), r.A32(), r.A32(), turn(r.U8())
	// Before the first message an initiator can send and a responder cannot.
	impossible := c.turn == never && (initiator || received) ||
		c.turn == due && !received ||
		c.turn == on && !initiator && !received
	if c.turn < never || c.turn > on || impossible {
		r.Fail("impossible turn")
		return
	}
	if c.turn == due {
		c.peer = r.A32()
	} else {
		c.own = pair{private: r.A32(), public: r.A32()}
	}
	if c.turn != never {
		c.previous = r.U32()
	}
	if c.turn == on {
		c.send = sendChain{r.A32(), r.A32(), r.U32()}
	}
	if !received {
		return
	}
	c.recv = &recvChain{header: r.A32(), ck: r.A32(), n: r.U32()}
	if c.recv.n == 0 {
		r.Fail("receiving chain without a message")
	}
	c.recv.waiting = parseWaiting(r, c.recv.n)
	n := int(r.U8())
	if n > MaxOldChains {
		r.Fail("too many old chains")
		return
	}
	for i := range n {
		o := oldChain{header: r.A32(), age: r.U16(), waiting: parseWaiting(r, maxNumber)}
		if len(o.waiting) == 0 || o.age > MaxAge || i > 0 && o.age >= c.old[i-1].age {
			r.Fail("impossible old chain")
		}
		if r.Err() != nil {
			return
		}
		c.old = append(c.old, o)
	}
	if c.stored() > MaxStored {
		r.Fail("too many stored keys")
	}
}

func (q *quantum) marshalTo(w *wire.Writer) {
	q.braid.MarshalTo(w)
	w.Raw(q.root[:])
	for i := range q.epochs {
		e := &q.epochs[i]
		if q.first+uint32(i) >= q.sending() {
			w.Raw(e.send.ck[:]).U32(e.send.n)
		}
		w.Raw(e.recv.ck[:]).U32(e.recv.n)
		marshalWaiting(w, e.waiting)
	}
}

// parse reads the epochs that the state of the braid calls for.
func (q *quantum) parse(r *wire.Reader, initiator bool, f braid.Format) {
	q.initiator = initiator
	q.braid = braid.Parse(r, f)
	if r.Err() != nil {
		return
	}
	q.root = r.A32()
	q.first = oldest(q.sending())
	count := q.sending() - q.first + 1
	if q.braid.Ahead() {
		count++
	}
	stored := 0
	for i := uint32(0); i < count && r.Err() == nil; i++ {
		var e epoch
		if q.first+i >= q.sending() {
			e.send = chain{r.A32(), r.U32()}
		}
		e.recv = chain{r.A32(), r.U32()}
		e.waiting = parseWaiting(r, e.recv.n)
		stored += len(e.waiting)
		q.epochs = append(q.epochs, e)
	}
	if stored > MaxStored {
		r.Fail("too many stored keys")
	}
}
