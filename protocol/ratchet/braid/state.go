package braid

import (
	"rushlight/protocol/ratchet/kem"
	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

// Format is a way to save the state.
type Format uint8

const (
	// Whole has every text that the state may need: how states were saved.
	Whole Format = 1
	// Short leaves out what can be made again from what is there. It is how
	// they are saved now.
	Short Format = 2
)

// MarshalTo writes the state in the format [Short] (spec §6.10). It is secret.
func (b *Braid) MarshalTo(w *wire.Writer) {
	w.U8(uint8(b.state)).U32(b.epoch).Raw(b.root[:]).Raw(b.mac[:])
	switch b.state {
	case KeysSampled:
		b.marshalOut(w.Raw(b.seed[:]))
	case HeaderSent:
		b.marshalOut(w.Raw(b.seed[:]))
		b.marshalIn(w)
	case Ct1Received:
		b.marshalOut(w.Raw(b.seed[:]))
		w.Raw(b.ct1)
	case HeaderReceived:
		w.Raw(b.header[:])
	case Ct1Sampled:
		w.Raw(b.header[:]).Raw(b.m[:]).U16(b.next)
		b.marshalIn(w)
	case EkReceivedCt1Sampled:
		b.marshalOut(w)
		w.Raw(b.later)
	case Ct1Acknowledged:
		w.Raw(b.header[:]).Raw(b.m[:])
		b.marshalIn(w)
	case Ct2Sampled:
		b.marshalOut(w)
	default: // KeysUnsampled and NoHeaderReceived have nothing more
	}
}

func (b *Braid) marshalOut(w *wire.Writer) { w.Raw(b.out).U16(b.next) }

func (b *Braid) marshalIn(w *wire.Writer) {
	w.U8(uint8(len(b.in.pieces)))
	for i := range b.in.pieces {
		w.U16(b.in.pieces[i].index).Raw(b.in.pieces[i].data[:])
	}
}

// Parse reads what [Braid.MarshalTo] wrote, or wrote when it wrote the format
// [Whole]. It accepts one spelling of each state and refuses states in which no
// party can be between two messages.
func Parse(r *wire.Reader, f Format) *Braid {
	b := &Braid{state: State(r.U8()), epoch: r.U32(), root: r.A32(), mac: r.A32()}
	if b.epoch == 0 {
		r.Fail("braid epoch 0")
	}
	switch b.state {
	case KeysUnsampled:
	case KeysSampled:
		r.Fill(b.seed[:])
		b.parseOut(r, headerMACSize)
		if f == Whole {
			_, vector := kem.Public(&b.seed)
			same(r, vector)
		}
	case HeaderSent:
		r.Fill(b.seed[:])
		b.parseOut(r, kem.VectorSize)
		b.parseIn(r, kem.CT1Size, 1)
	case Ct1Received:
		r.Fill(b.seed[:])
		b.parseOut(r, kem.VectorSize)
		b.ct1 = copied(r, kem.CT1Size)
	case NoHeaderReceived:
		b.rest()
	case HeaderReceived:
		r.Fill(b.header[:])
	case Ct1Sampled:
		r.Fill(b.header[:])
		r.Fill(b.m[:])
		if f == Whole {
			same(r, b.ciphertext())
		}
		b.next = number(r)
		b.parseIn(r, kem.VectorSize, 0)
	case EkReceivedCt1Sampled:
		b.parseOut(r, kem.CT1Size)
		b.later = copied(r, ct2MACSize)
	case Ct1Acknowledged:
		r.Fill(b.header[:])
		r.Fill(b.m[:])
		if f == Whole {
			same(r, b.ciphertext())
		}
		b.parseIn(r, kem.VectorSize, 1)
	case Ct2Sampled:
		b.parseOut(r, ct2MACSize)
	default: // EkSentCt1Received included
		r.Fail("no such resting state of a braid")
	}
	return b
}

func (b *Braid) parseOut(r *wire.Reader, size int) {
	b.out, b.next = copied(r, size), number(r)
}

// parseIn reads the chunks of an incomplete text, at least atLeast of them.
func (b *Braid) parseIn(r *wire.Reader, size, atLeast int) {
	b.in.size = size
	n := int(r.U8())
	if n < atLeast || n >= chunksFor(size) {
		r.Fail("impossible number of chunks")
		return
	}
	for i := range n {
		p := piece{index: number(r)}
		r.Fill(p.data[:])
		if i > 0 && p.index <= b.in.pieces[i-1].index {
			r.Fail("chunks out of order")
		}
		b.in.pieces = append(b.in.pieces, p)
	}
}

// number reads the number of a chunk.
func number(r *wire.Reader) uint16 {
	v := r.U16()
	if v >= indexes {
		r.Fail("chunk number too large")
	}
	return v
}

// same reads a text that can be made again from what was read before.
func same(r *wire.Reader, text []byte) {
	if b := r.Bytes(len(text)); b != nil && !suite.Equal(b, text) {
		r.Fail("a text that doesn't belong to its key")
	}
}

// copied reads n bytes that do not alias the input.
func copied(r *wire.Reader, n int) []byte {
	return append([]byte(nil), r.Bytes(n)...)
}
