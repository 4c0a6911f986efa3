package file

import (
	"fmt"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

// Protocol is the id of the stream on which pieces are fetched (spec §15.4).
const Protocol = "/rushlight/blob/1"

// Types of frames on such a stream.
const (
	FrameAsk  = 0x30 // [Ask], once, by who fetches
	FrameHas  = 0x31 // [Has], the answer, and again when there is more
	FrameGet  = 0x32 // [Get]
	FramePart = 0x33 // [PartHeader] ‖ the piece from there on
	FrameNo   = 0x34 // [No], in place of a Has or a Part
)

const (
	labelCapability suite.Label = "rushlight/file/capability/1"
	labelAsk        suite.Label = "rushlight/file/ask/1"
)

// Lengths of frames.
const (
	AskSize    = 32 + 16 + 32
	GetSize    = 4 + 4
	PartHeader = 4 + 4
	NoSize     = 1
	// MaxHas holds a bit for each piece of the largest file.
	MaxHas = 1 + 1 + (MaxSize/ChunkSize+MaxSize/ChunkSize/fanout+1024)/8
)

// Ask names a file by its root and proves that whoever asks has its key.
type Ask struct {
	Root  Name
	Nonce [16]byte
	MAC   [32]byte
}

// capability is what proves that one has the key of a file.
func (k Key) capability() []byte { return suite.Expand(k, 32, labelCapability) }

func (k Key) askMAC(root Name, nonce [16]byte, from, to []byte) [32]byte {
	return suite.MAC(k.capability(), labelAsk, root[:], nonce[:], from, to)
}

// NewAsk asks the peer with one network name, by another (spec §15.4).
func (k Key) NewAsk(root Name, from, to []byte) Ask {
	a := Ask{Root: root}
	suite.Random(a.Nonce[:])
	a.MAC = k.askMAC(root, a.Nonce, from, to)
	return a
}

// Allows reports whether the peer that asks has the key.
func (k Key) Allows(a Ask, from, to []byte) bool {
	want := k.askMAC(a.Root, a.Nonce, from, to)
	return suite.Equal(want[:], a.MAC[:])
}

// Marshal encodes a.
func (a Ask) Marshal() []byte {
	return wire.NewWriter(make([]byte, 0, AskSize)).Raw(a.Root[:]).Raw(a.Nonce[:]).Raw(a.MAC[:]).Out()
}

// ParseAsk decodes an [Ask].
func ParseAsk(b []byte) (Ask, error) {
	r := wire.NewReader(b)
	a := Ask{Root: r.A32(), Nonce: r.A16(), MAC: r.A32()}
	return a, closed(r)
}

// Has says which pieces a holder has: all, or a set of them.
type Has struct {
	All  bool
	Some Set
}

// Set is a set of pieces, a bit for each, the first in the highest bit.
type Set []byte

// NewSet is an empty set of the pieces of a file.
func (l Layout) NewSet() Set { return make(Set, (l.total+7)/8) }

// Has reports whether piece i is in the set.
func (s Set) Has(i uint32) bool { return int(i/8) < len(s) && s[i/8]&(0x80>>(i%8)) != 0 }

// Add puts piece i into the set.
func (s Set) Add(i uint32) { s[i/8] |= 0x80 >> (i % 8) }

// Marshal encodes h: 1 for all; or 0 and the set.
func (h Has) Marshal() []byte {
	if h.All {
		return []byte{1}
	}
	return append([]byte{0}, h.Some...)
}

// ParseHas decodes a [Has] about a file of a layout.
func (l Layout) ParseHas(b []byte) (h Has, err error) {
	r := wire.NewReader(b)
	h.All = r.Bool()
	if !h.All && r.Err() == nil {
		h.Some = r.Rest()
		if len(h.Some) != len(l.NewSet()) {
			r.Fail("set of another length")
		} else if spare := uint32(len(h.Some))*8 - l.total; h.Some[len(h.Some)-1]&(1<<spare-1) != 0 {
			r.Fail("set with pieces that don't exist")
		}
	}
	return h, closed(r)
}

// Get asks for a piece, from an offset on that is a multiple of [PartSize].
type Get struct{ Piece, Offset uint32 }

// Marshal encodes g.
func (g Get) Marshal() []byte { return wire.NewWriter(nil).U32(g.Piece).U32(g.Offset).Out() }

// ParseGet decodes a [Get] about a file of a layout.
func (l Layout) ParseGet(b []byte) (Get, error) {
	r := wire.NewReader(b)
	g := Get{Piece: r.U32(), Offset: r.U32()}
	l.check(r, g)
	return g, closed(r)
}

// ParsePart decodes the beginning of a frame that answers a [Get] and has
// length bytes. What follows it is the piece from the offset on.
func (l Layout) ParsePart(head []byte, length int) (Get, error) {
	r := wire.NewReader(head)
	g := Get{Piece: r.U32(), Offset: r.U32()}
	if l.check(r, g); r.Err() == nil && length-PartHeader != l.Sealed(g.Piece)-int(g.Offset) {
		r.Fail("part of a wrong length")
	}
	return g, closed(r)
}

func (l Layout) check(r *wire.Reader, g Get) {
	if g.Piece >= l.total || g.Offset%PartSize != 0 || int(g.Offset) >= l.Sealed(g.Piece) {
		r.Fail("no such piece or part")
	}
}

// No is why there is no piece.
type No uint8

// Reasons.
const (
	NoUnknown No = 1 // no such file, or no right to it: the same to who asks
	NoPiece   No = 2 // this piece isn't here
	NoBusy    No = 3 // ask again later
)

// ParseNo decodes a [No].
func ParseNo(b []byte) (No, error) {
	r := wire.NewReader(b)
	n := No(r.U8())
	if n < NoUnknown || n > NoBusy {
		r.Fail("unknown reason")
	}
	return n, closed(r)
}

func closed(r *wire.Reader) error {
	if err := r.Close(); err != nil {
		return fmt.Errorf("file: reading a frame: %w", err)
	}
	return nil
}

// Limit is the longest body of a frame that a holder, or who fetches, takes; a
// negative number for none.
func Limit(holder bool) func(typ uint8) int {
	return func(typ uint8) int {
		switch {
		case holder && typ == FrameAsk:
			return AskSize
		case holder && typ == FrameGet:
			return GetSize
		case !holder && typ == FrameHas:
			return MaxHas
		case !holder && typ == FramePart:
			return PartHeader + Slot
		case !holder && typ == FrameNo:
			return NoSize
		}
		return -1
	}
}
