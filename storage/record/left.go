package record

import (
	"rushlight/protocol/message"
	"rushlight/protocol/stamp"
	"rushlight/protocol/wire"
	"rushlight/storage"
)

// Left is what may lie at relays of one own message, so that it can be taken
// back there.
type Left struct{ Copies []LeftCopy }

// LeftCopy is one envelope at one relay.
type LeftCopy struct {
	Relay  [32]byte
	Addrs  [][]byte // of the relay
	Stamp  stamp.Stamp
	Object [16]byte
	Cure   [16]byte // the right to delete it
	Made   int64    // unix seconds
}

// MaxLeft bounds the copies of one message that are remembered.
const MaxLeft = 24

// LeftKey is the key of the [Left] of one message.
func LeftKey(id message.ID) storage.Key { return key(FamilyLeft, id[:]) }

func (c *LeftCopy) write(w *wire.Writer) {
	w.Raw(c.Relay[:])
	writeAddrs(w, c.Addrs)
	w.Raw(c.Stamp[:]).Raw(c.Object[:]).Raw(c.Cure[:]).U64(uint64(c.Made))
}

func readLeftCopy(r *wire.Reader) LeftCopy {
	c := LeftCopy{Relay: r.A32(), Addrs: readAddrs(r)}
	r.Fill(c.Stamp[:])
	c.Object, c.Cure, c.Made = r.A16(), r.A16(), int64(r.U64())
	return c
}

// Marshal encodes l.
func (l *Left) Marshal() []byte {
	w := wire.NewWriter(nil).U8(1).U8(uint8(len(l.Copies)))
	for i := range l.Copies {
		l.Copies[i].write(w)
	}
	return w.Out()
}

// ParseLeft decodes a [Left].
func ParseLeft(b []byte) (*Left, error) {
	r := wire.NewReader(b)
	version(r)
	l := &Left{}
	n := int(r.U8())
	if n > MaxLeft {
		r.Fail("too many copies")
	}
	for ; n > 0 && r.Err() == nil; n-- {
		l.Copies = append(l.Copies, readLeftCopy(r))
	}
	return l, r.Close()
}

// Withdrawal is an envelope that is to be deleted at a relay.
type Withdrawal struct {
	LeftCopy
	Due   int64 // unix seconds of the next attempt
	Until int64 // unix seconds after which no relay has it any more
	Sure  bool  // the relay has had time to store it: what it doesn't know now is gone
}

// WithdrawalKey is the key of one [Withdrawal]. Two deposits of one envelope
// differ in their stamps.
func WithdrawalKey(n Namer, w *Withdrawal) storage.Key {
	p := n.Pseudonym("relay", w.Relay[:])
	return key(FamilyWithdrawal, p[:], w.Object[:], w.Stamp[1:13])
}

// WithdrawalPrefix is the prefix of all.
func WithdrawalPrefix() storage.Key { return key(FamilyWithdrawal) }

// Marshal encodes w.
func (w *Withdrawal) Marshal() []byte {
	out := wire.NewWriter(nil).U8(1)
	w.write(out)
	return out.U64(uint64(w.Due)).U64(uint64(w.Until)).Bool(w.Sure).Out()
}

// ParseWithdrawal decodes a [Withdrawal].
func ParseWithdrawal(b []byte) (*Withdrawal, error) {
	r := wire.NewReader(b)
	version(r)
	w := &Withdrawal{LeftCopy: readLeftCopy(r)}
	w.Due, w.Until, w.Sure = int64(r.U64()), int64(r.U64()), r.Bool()
	return w, r.Close()
}
