package braid

import "rushlight/protocol/wire"

// Type says what the chunk of a message is a chunk of (spec §6.4).
type Type uint8

// The types of messages.
const (
	None     Type = iota // no chunk
	Hdr                  // header ‖ MAC of an encapsulation key
	Ek                   // its vector
	EkCt1Ack             // its vector, and ct1 is complete
	Ct1                  // first part of the ciphertext
	Ct2                  // second part ‖ MAC of both
	types
)

// MsgSize is the length of every encoded message in bytes:
// epoch u32 ‖ type (3 bits), chunk number (13 bits) ‖ chunk[192].
const MsgSize = 4 + 2 + ChunkSize

// Msg is what one party tells the other with each message of the session.
// With type None, Index is 0 and Chunk is zero.
type Msg struct {
	Epoch uint32
	Type  Type
	Index uint16 // less than 2^13
	Chunk Chunk
}

// MarshalTo writes the message, always [MsgSize] bytes.
func (m *Msg) MarshalTo(w *wire.Writer) {
	w.U32(m.Epoch).U16(uint16(m.Type)<<13 | m.Index).Raw(m.Chunk[:])
}

// ParseMsg reads a message. It accepts one spelling: a message of type None
// is zero after its epoch, and an epoch is never 0.
func ParseMsg(r *wire.Reader) (m Msg) {
	m.Epoch = r.U32()
	v := r.U16()
	m.Type, m.Index = Type(v>>13), v&(indexes-1)
	r.Fill(m.Chunk[:])
	switch {
	case m.Epoch == 0:
		r.Fail("braid epoch 0")
	case m.Type >= types:
		r.Fail("unknown braid message")
	case m.Type == None && (m.Index != 0 || m.Chunk != Chunk{}):
		r.Fail("braid message of no type with a chunk")
	}
	return m
}
