package mailbox

import (
	"slices"

	"rushlight/protocol/envelope"
	"rushlight/protocol/stamp"
	"rushlight/protocol/wire"
)

// Hosting is what a relay asks of who wants a mailbox (spec §12.6).
type Hosting uint8

// The kinds of hosting.
const (
	HostOpen  Hosting = iota // nothing
	HostWork                 // a proof of work
	HostToken                // a token that the operator gave out
	HostList                 // that the operator has listed the mailbox's key
)

// Hello is the relay's first frame (spec §12.5).
type Hello struct {
	Nonce      [32]byte
	Unix       uint64  // the relay's clock, in seconds
	Hosting    Hosting // what a new mailbox needs
	HostEffort uint32  // with HostWork
	LaneEffort uint32  // least effort of a request
	TTL        uint8   // longest that the relay keeps an envelope, in days
	Quota      uint64  // bytes of a mailbox
	Lane       uint16  // requests that a lane holds
}

const (
	ownerVersion uint8 = 1
	helloSize          = 1 + 32 + 8 + 1 + 4 + 4 + 1 + 8 + 2
)

// Append encodes the frame behind dst.
func (h *Hello) Append(dst []byte) []byte {
	return frame(dst, TypeHello, func(w *wire.Writer) {
		w.U8(ownerVersion).Raw(h.Nonce[:]).U64(h.Unix).U8(uint8(h.Hosting)).U32(h.HostEffort).
			U32(h.LaneEffort).U8(h.TTL).U64(h.Quota).U16(h.Lane)
	})
}

// ParseHello reads the body of a frame.
func ParseHello(b []byte) (h Hello, err error) {
	r := wire.NewReader(b)
	if r.U8() != ownerVersion {
		r.Fail("unknown version")
	}
	h = Hello{
		Nonce: r.A32(), Unix: r.U64(), Hosting: Hosting(r.U8()), HostEffort: r.U32(),
		LaneEffort: r.U32(), TTL: r.U8(), Quota: r.U64(), Lane: r.U16(),
	}
	return h, done("hello", r)
}

// Auth is the owner's proof; see [SignAuth].
type Auth struct {
	Mailbox [32]byte
	Sig     [64]byte
}

// Append encodes the frame behind dst.
func (a *Auth) Append(dst []byte) []byte {
	return frame(dst, TypeAuth, func(w *wire.Writer) { w.Raw(a.Mailbox[:]).Raw(a.Sig[:]) })
}

// ParseAuth reads the body of a frame.
func ParseAuth(b []byte) (a Auth, err error) {
	r := wire.NewReader(b)
	a.Mailbox = r.A32()
	r.Fill(a.Sig[:])
	return a, done("auth", r)
}

// State is how the mailbox stands (spec §12.5). Found is false, and all else
// zero, when the relay has no such mailbox.
type State struct {
	Found    bool
	Log      [16]byte // another one means that the relay has lost the log
	Next     uint64   // number that the next envelope gets; the first is 1
	First    uint64   // lowest number that is still there; Next when none is
	Live     uint64   // bytes that are there
	Quota    uint64   // bytes that may be there
	Overflow uint32   // deposits refused for want of room, since Create
	Lane     uint16   // requests that are there
	Lost     uint32   // requests displaced by others with more work
	LeaseDay uint16   // last day on which the mailbox is kept if nobody comes
	Serial   uint32   // number that the next stamp gets
	Batch    uint64   // the relay's last commit
}

const stateSize = 1 + 16 + 8 + 8 + 8 + 8 + 4 + 2 + 4 + 2 + 4 + 8

// Append encodes the frame behind dst.
func (s *State) Append(dst []byte) []byte {
	return frame(dst, TypeState, func(w *wire.Writer) {
		if w.Bool(s.Found); s.Found {
			w.Raw(s.Log[:]).U64(s.Next).U64(s.First).U64(s.Live).U64(s.Quota).U32(s.Overflow).
				U16(s.Lane).U32(s.Lost).U16(s.LeaseDay).U32(s.Serial).U64(s.Batch)
		}
	})
}

// ParseState reads the body of a frame.
func ParseState(b []byte) (s State, err error) {
	r := wire.NewReader(b)
	if s.Found = r.Bool(); s.Found {
		s = State{
			Found: true, Log: r.A16(), Next: r.U64(), First: r.U64(), Live: r.U64(), Quota: r.U64(), Overflow: r.U32(),
			Lane: r.U16(), Lost: r.U32(), LeaseDay: r.U16(), Serial: r.U32(), Batch: r.U64(),
		}
	}
	return s, done("state", r)
}

// Create makes the mailbox, or changes its lane and quota; State answers it
// (spec §12.6).
type Create struct {
	Lane      bool     // whether strangers may ask
	LaneNonce [16]byte // of the lane's address, see [LaneAddr]
	Quota     uint64   // bytes; 0 is what the relay gives
	Proof     []byte   // what the relay's hosting asks for
}

// Append encodes the frame behind dst.
func (c *Create) Append(dst []byte) []byte {
	return frame(dst, TypeCreate, func(w *wire.Writer) {
		w.Bool(c.Lane).Raw(c.LaneNonce[:]).U64(c.Quota).Vec8(c.Proof)
	})
}

// ParseCreate reads the body of a frame.
func ParseCreate(b []byte) (c Create, err error) {
	r := wire.NewReader(b)
	c = Create{Lane: r.Bool(), LaneNonce: r.A16(), Quota: r.U64(), Proof: r.Vec8(MaxProof)}
	return c, done("create", r)
}

// Stamps asks for fresh stamps; Minted answers it.
type Stamps struct {
	Class envelope.Class
	Count uint16 // 1 to MaxMint
}

// Append encodes the frame behind dst.
func (s *Stamps) Append(dst []byte) []byte {
	return frame(dst, TypeStamps, func(w *wire.Writer) { w.U8(uint8(s.Class)).U16(s.Count) })
}

// ParseStamps reads the body of a frame.
func ParseStamps(b []byte) (s Stamps, err error) {
	r := wire.NewReader(b)
	s = Stamps{Class: envelope.Class(r.U8()), Count: r.U16()}
	if !s.Class.Valid() {
		r.Fail("unknown class")
	}
	if s.Count == 0 || s.Count > MaxMint {
		r.Fail("count out of range")
	}
	return s, done("stamps", r)
}

// Minted are stamps with consecutive serials.
type Minted struct {
	First  uint32 // serial of the first
	Stamps []stamp.Stamp
}

// Append encodes the frame behind dst.
func (m *Minted) Append(dst []byte) []byte {
	return frame(dst, TypeMinted, func(w *wire.Writer) {
		w.U32(m.First)
		for i := range m.Stamps {
			w.Raw(m.Stamps[i][:])
		}
	})
}

// ParseMinted reads the body of a frame.
func ParseMinted(b []byte) (m Minted, err error) {
	r := wire.NewReader(b)
	m.First = r.U32()
	n := r.Len() / stamp.Size
	if n > MaxMint {
		r.Fail("too many stamps")
		n = 0
	}
	m.Stamps = make([]stamp.Stamp, n)
	for i := range m.Stamps {
		r.Fill(m.Stamps[i][:])
	}
	return m, done("minted", r)
}

// Revoke takes back stamps by their serials; the answer says how many were
// unused.
type Revoke struct{ Ranges []Range[uint32] }

// Trim deletes envelopes by their numbers; Trimmed answers it.
type Trim struct{ Ranges []Range[uint64] }

// Range is from one number to another, both included.
type Range[T uint32 | uint64] struct{ From, To T }

// Append encodes the frame behind dst.
func (v *Revoke) Append(dst []byte) []byte {
	return frame(dst, TypeRevoke, func(w *wire.Writer) {
		for _, g := range v.Ranges {
			w.U32(g.From).U32(g.To)
		}
	})
}

// ParseRevoke reads the body of a frame.
func ParseRevoke(b []byte) (v Revoke, err error) {
	r := wire.NewReader(b)
	v.Ranges = readRanges(r, r.U32)
	return v, done("revoke", r)
}

// Append encodes the frame behind dst.
func (t *Trim) Append(dst []byte) []byte {
	return frame(dst, TypeTrim, func(w *wire.Writer) {
		for _, g := range t.Ranges {
			w.U64(g.From).U64(g.To)
		}
	})
}

// ParseTrim reads the body of a frame.
func ParseTrim(b []byte) (t Trim, err error) {
	r := wire.NewReader(b)
	t.Ranges = readRanges(r, r.U64)
	return t, done("trim", r)
}

// readRanges reads the rest as ranges, ascending and with a gap between two,
// so that a set of numbers has one spelling.
func readRanges[T uint32 | uint64](r *wire.Reader, next func() T) (out []Range[T]) {
	for r.Err() == nil && r.Len() > 0 {
		g := Range[T]{From: next(), To: next()}
		switch {
		case len(out) == MaxRanges:
			r.Fail("too many ranges")
		case g.From > g.To:
			r.Fail("range from high to low")
		case len(out) > 0 && (g.From <= out[len(out)-1].To || g.From-1 == out[len(out)-1].To):
			r.Fail("ranges out of order, or without a gap")
		}
		out = append(out, g)
	}
	return out
}

// RangesOf returns numbers as ranges. It sorts its argument.
func RangesOf[T uint32 | uint64](numbers []T) (out []Range[T]) {
	slices.Sort(numbers)
	for _, n := range numbers {
		if k := len(out) - 1; k >= 0 && (n == out[k].To || n-1 == out[k].To) {
			out[k].To = n
		} else {
			out = append(out, Range[T]{n, n})
		}
	}
	return out
}

// Trimmed says how many envelopes were deleted, and how many bytes are left.
type Trimmed struct {
	Count uint32
	Live  uint64
}

// Append encodes the frame behind dst.
func (t *Trimmed) Append(dst []byte) []byte {
	return frame(dst, TypeTrimmed, func(w *wire.Writer) { w.U32(t.Count).U64(t.Live) })
}

// ParseTrimmed reads the body of a frame.
func ParseTrimmed(b []byte) (t Trimmed, err error) {
	r := wire.NewReader(b)
	t = Trimmed{Count: r.U32(), Live: r.U64()}
	return t, done("trimmed", r)
}

// AppendRevoked encodes the answer to Revoke behind dst.
func AppendRevoked(dst []byte, count uint32) []byte {
	return frame(dst, TypeRevoked, func(w *wire.Writer) { w.U32(count) })
}

// ParseRevoked reads the body of a frame.
func ParseRevoked(b []byte) (count uint32, err error) {
	r := wire.NewReader(b)
	count = r.U32()
	return count, done("revoked", r)
}

// AppendClose encodes the end of a mailbox behind dst. moved is what senders
// are told for 90 days, at most MaxMoved bytes, sealed by the owner.
func AppendClose(dst, moved []byte) []byte {
	return frame(dst, TypeClose, func(w *wire.Writer) { w.Raw(moved) })
}

// AppendClosed encodes the answer to it.
func AppendClosed(dst []byte) []byte { return frame(dst, TypeClosed, func(*wire.Writer) {}) }
