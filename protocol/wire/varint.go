package wire

import "encoding/binary"

// Uvarint appends v in base 128, least significant group first, in as few
// bytes as possible (spec §1.1).
func (w *Writer) Uvarint(v uint64) *Writer { w.b = binary.AppendUvarint(w.b, v); return w }

// Uvarint reads a base-128 integer of at most limit. A longer spelling of the
// same value is refused.
func (r *Reader) Uvarint(limit uint64) uint64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.b)
	switch {
	case n <= 0:
		r.Fail("bad variable-length integer")
	case n > 1 && r.b[n-1] == 0:
		r.Fail("variable-length integer not in its shortest form")
	case v > limit:
		r.Fail("variable-length integer over its limit")
	default:
		r.b = r.b[n:]
		return v
	}
	return 0
}
