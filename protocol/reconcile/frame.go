package reconcile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"

	"rushlight/protocol/wire"
)

// Limits of a [Frame] (spec §16.2).
const (
	MaxFrame = 60000 // bytes
	MaxList  = 64    // items of one range
)

// ErrFrame is returned for what is no frame.
var ErrFrame = errors.New("reconcile: not a frame")

// Item is one id, and where it stands in the order that both sides keep.
type Item struct {
	At uint64
	ID [16]byte
}

// last is behind every item.
var last = Item{1<<64 - 1, [16]byte(bytes.Repeat([]byte{0xff}, 16))}

// Compare orders items.
func (a Item) Compare(b Item) int {
	return cmp.Or(cmp.Compare(a.At, b.At), bytes.Compare(a.ID[:], b.ID[:]))
}

// Mode is what a frame says of a range.
type Mode uint8

// The modes.
const (
	Same  Mode = 0 // nothing more is to be said
	Sum   Mode = 1 // how many there are, and their fingerprint
	Lists Mode = 2 // all that there are
	Wants Mode = 3 // those of the other side's list that aren't there
)

// Range is the items before End, from the end of the range before it on.
type Range struct {
	End   Item
	Mode  Mode
	Count uint32
	Sum   [16]byte
	Items []Item
}

// Frame is what one side says: ranges that cover everything, in order.
type Frame []Range

// Marshal encodes f.
func (f Frame) Marshal() []byte {
	w := wire.NewWriter(nil).U8(1)
	for _, r := range f {
		w.U64(r.End.At).Raw(r.End.ID[:]).U8(uint8(r.Mode))
		switch r.Mode {
		case Same:
		case Sum:
			w.U32(r.Count).Raw(r.Sum[:])
		case Lists, Wants:
			w.U8(uint8(len(r.Items)))
			for _, i := range r.Items {
				w.U64(i.At).Raw(i.ID[:])
			}
		}
	}
	return w.Out()
}

// size is the length of the encoded frame.
func (f Frame) size() int {
	n := 1
	for _, r := range f {
		n += 8 + 16 + 1
		switch r.Mode {
		case Same:
		case Sum:
			n += 4 + 16
		case Lists, Wants:
			n += 1 + (8+16)*len(r.Items)
		}
	}
	return n
}

// ParseFrame decodes a frame. The error is [ErrFrame].
func ParseFrame(b []byte) (Frame, error) {
	r := wire.NewReader(b)
	if len(b) > MaxFrame || r.U8() != 1 {
		r.Fail("unknown version")
	}
	var f Frame
	var from Item
	said := false
	for r.Err() == nil && (len(f) == 0 || f[len(f)-1].End != last) {
		x := Range{End: Item{r.U64(), r.A16()}, Mode: Mode(r.U8())}
		if r.Err() == nil && x.End.Compare(from) <= 0 {
			r.Fail("ranges out of order")
		}
		switch x.Mode {
		case Same:
			if len(f) > 0 && f[len(f)-1].Mode == Same {
				r.Fail("two ranges that are one")
			}
		case Sum:
			if x.Count, x.Sum = r.U32(), r.A16(); x.Count == 0 {
				r.Fail("fingerprint of nothing")
			}
		case Lists, Wants:
			x.Items = parseItems(r, from, x.End)
			if x.Mode == Wants && len(x.Items) == 0 {
				r.Fail("nothing is wanted")
			}
		default:
			r.Fail("unknown mode")
		}
		said = said || x.Mode != Same
		f, from = append(f, x), x.End
	}
	if !said {
		r.Fail("nothing is said")
	}
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFrame, err)
	}
	return f, nil
}

func parseItems(r *wire.Reader, from, end Item) (out []Item) {
	n := int(r.U8())
	if n > MaxList {
		r.Fail("a list over its limit")
		n = 0
	}
	for i := range n {
		x := Item{r.U64(), r.A16()}
		if x.Compare(from) < 0 || x.Compare(end) >= 0 || i > 0 && x.Compare(out[i-1]) <= 0 {
			r.Fail("a list out of order")
		}
		out = append(out, x)
	}
	return out
}
