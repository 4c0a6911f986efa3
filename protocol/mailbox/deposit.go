package mailbox

import (
	"rushlight/protocol/envelope"
	"rushlight/protocol/pow"
	"rushlight/protocol/receipt"
	"rushlight/protocol/stamp"
	"rushlight/protocol/wire"
)

// flagReceipt asks for a signed receipt.
const flagReceipt uint8 = 1

// Deposit puts an envelope into the mailbox that its stamp is for (spec
// §12.3).
type Deposit struct {
	ID       uint32 // chosen by the sender, stands in the answer
	TTL      uint8  // days that the relay should keep it, at least 1
	Receipt  bool   // whether a signed receipt is wanted
	Stamp    stamp.Stamp
	Envelope []byte
}

// Append encodes the frame behind dst.
func (d *Deposit) Append(dst []byte) []byte {
	return frame(dst, TypeDeposit, func(w *wire.Writer) {
		w.U32(d.ID).U8(d.TTL).U8(flags(d.Receipt)).Raw(d.Stamp[:]).Raw(d.Envelope)
	})
}

func flags(receipt bool) uint8 {
	if receipt {
		return flagReceipt
	}
	return 0
}

func readFlags(r *wire.Reader) bool {
	f := r.U8()
	if f&^flagReceipt != 0 {
		r.Fail("unknown flags")
	}
	return f&flagReceipt != 0
}

// ParseDeposit reads the body of a frame. The envelope aliases it.
func ParseDeposit(b []byte) (d Deposit, err error) {
	r := wire.NewReader(b)
	d = Deposit{ID: r.U32(), TTL: r.U8(), Receipt: readFlags(r)}
	r.Fill(d.Stamp[:])
	if d.TTL == 0 {
		r.Fail("no time to live")
	}
	d.Envelope = envelopeOf(r, envelope.L)
	return d, done("deposit", r)
}

// Stored says that an envelope is on the relay's disk (spec §12.3).
type Stored struct {
	ID      uint32
	ExpDay  uint16 // last day on which the relay keeps it
	Dup     bool   // it was there already
	Receipt *receipt.Receipt
}

// Append encodes the frame behind dst.
func (s *Stored) Append(dst []byte) []byte {
	return frame(dst, TypeStored, func(w *wire.Writer) {
		w.U32(s.ID).U16(s.ExpDay).Bool(s.Dup)
		if s.Receipt != nil {
			w.Raw(s.Receipt.Append(nil))
		}
	})
}

// ParseStored reads the body of a frame.
func ParseStored(b []byte) (s Stored, err error) {
	r := wire.NewReader(b)
	s = Stored{ID: r.U32(), ExpDay: r.U16(), Dup: r.Bool()}
	if r.Err() == nil && r.Len() > 0 {
		got := receipt.Read(r)
		s.Receipt = &got
	}
	return s, done("stored", r)
}

// Request puts a stranger's envelope, of class S or M, into a request lane
// (spec §12.4).
type Request struct {
	ID       uint32
	Receipt  bool
	Lane     [32]byte
	Day      uint16
	Effort   uint32
	Proof    pow.Proof
	Envelope []byte
}

const requestHead = 4 + 1 + 32 + 2 + 4 + pow.Size

// Append encodes the frame behind dst.
func (q *Request) Append(dst []byte) []byte {
	return frame(dst, TypeRequest, func(w *wire.Writer) {
		w.U32(q.ID).U8(flags(q.Receipt)).Raw(q.Lane[:]).U16(q.Day).U32(q.Effort).Raw(q.Proof[:]).Raw(q.Envelope)
	})
}

// ParseRequest reads the body of a frame. The envelope aliases it.
func ParseRequest(b []byte) (q Request, err error) {
	r := wire.NewReader(b)
	q = Request{ID: r.U32(), Receipt: readFlags(r), Lane: r.A32(), Day: r.U16(), Effort: r.U32()}
	r.Fill(q.Proof[:])
	q.Envelope = envelopeOf(r, envelope.M)
	return q, done("request", r)
}

// Unsend deletes an envelope that was deposited with the stamp, for whoever
// knows its cure (spec §12.3).
type Unsend struct {
	ID     uint32
	Stamp  stamp.Stamp
	Object [16]byte
	Cure   [16]byte
}

// Append encodes the frame behind dst.
func (u *Unsend) Append(dst []byte) []byte {
	return frame(dst, TypeUnsend, func(w *wire.Writer) {
		w.U32(u.ID).Raw(u.Stamp[:]).Raw(u.Object[:]).Raw(u.Cure[:])
	})
}

// ParseUnsend reads the body of a frame.
func ParseUnsend(b []byte) (u Unsend, err error) {
	r := wire.NewReader(b)
	u.ID = r.U32()
	r.Fill(u.Stamp[:])
	u.Object, u.Cure = r.A16(), r.A16()
	return u, done("unsend", r)
}

// AppendUnsent encodes the answer to Unsend behind dst.
func AppendUnsent(dst []byte, id uint32) []byte {
	return frame(dst, TypeUnsent, func(w *wire.Writer) { w.U32(id) })
}

// ParseUnsent reads the body of a frame.
func ParseUnsent(b []byte) (id uint32, err error) {
	r := wire.NewReader(b)
	id = r.U32()
	return id, done("unsent", r)
}
