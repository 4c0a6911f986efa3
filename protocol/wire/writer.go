package wire

import "encoding/binary"

// Writer appends encoded values to a byte slice. The zero value is ready; a
// vector longer than its length field is a bug of the caller and panics.
type Writer struct{ b []byte }

// NewWriter appends to dst, which may be nil.
func NewWriter(dst []byte) *Writer { return &Writer{b: dst} }

// Out returns what was written.
func (w *Writer) Out() []byte { return w.b }

// Raw appends b as it is.
func (w *Writer) Raw(b []byte) *Writer { w.b = append(w.b, b...); return w }

// U8 appends one byte.
func (w *Writer) U8(v uint8) *Writer { w.b = append(w.b, v); return w }

// U16 appends a big-endian integer of two bytes.
func (w *Writer) U16(v uint16) *Writer { w.b = binary.BigEndian.AppendUint16(w.b, v); return w }

// U24 appends a big-endian integer of three bytes.
func (w *Writer) U24(v uint32) *Writer {
	check(int(v), 1<<24)
	w.b = append(w.b, byte(v>>16), byte(v>>8), byte(v))
	return w
}

// U32 appends a big-endian integer of four bytes.
func (w *Writer) U32(v uint32) *Writer { w.b = binary.BigEndian.AppendUint32(w.b, v); return w }

// U64 appends a big-endian integer of eight bytes.
func (w *Writer) U64(v uint64) *Writer { w.b = binary.BigEndian.AppendUint64(w.b, v); return w }

// Bool appends 0 or 1.
func (w *Writer) Bool(v bool) *Writer {
	if v {
		return w.U8(1)
	}
	return w.U8(0)
}

// Vec8 appends b after a one-byte length.
func (w *Writer) Vec8(b []byte) *Writer { check(len(b), 1<<8); return w.U8(uint8(len(b))).Raw(b) }

// Vec16 appends b after a two-byte length.
func (w *Writer) Vec16(b []byte) *Writer { check(len(b), 1<<16); return w.U16(uint16(len(b))).Raw(b) }

// Vec24 appends b after a three-byte length.
func (w *Writer) Vec24(b []byte) *Writer { check(len(b), 1<<24); return w.U24(uint32(len(b))).Raw(b) }

func check(n, limit int) {
	if n >= limit {
		panic("wire: value does not fit its length field")
	}
}
