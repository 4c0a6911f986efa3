// Package wire turns structures into bytes and back, in exactly one way.
//
// It is not a serialisation library: there is no reflection and no schema.
// Each package writes its own layouts with [Writer] and reads them with
// [Reader]. It promises that what a Reader accepts re-encodes to the same
// bytes: lengths are checked before anything is allocated, trailing bytes are
// refused, and text forms have one spelling (spec §1).
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrMalformed is wrapped by every error about bytes that do not follow their
// layout.
var ErrMalformed = errors.New("malformed")

// Reader reads one encoded value. The first error sticks: later reads return
// zero values, and [Reader.Close] returns it. Byte slices it returns alias
// the input.
type Reader struct {
	b   []byte
	err error
}

// NewReader reads from b.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Fail records that the value is malformed, if no earlier error has.
func (r *Reader) Fail(why string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrMalformed, why)
	}
}

// Err returns the first error so far.
func (r *Reader) Err() error { return r.err }

// Len returns how many bytes are left.
func (r *Reader) Len() int { return len(r.b) }

// Bytes reads n bytes.
func (r *Reader) Bytes(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.b) {
		r.Fail("too short")
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

// Rest reads everything that is left.
func (r *Reader) Rest() []byte { return r.Bytes(len(r.b)) }

// U8 reads one byte.
func (r *Reader) U8() uint8 {
	if b := r.Bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// U16 reads a big-endian integer of two bytes.
func (r *Reader) U16() uint16 {
	if b := r.Bytes(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// U24 reads a big-endian integer of three bytes.
func (r *Reader) U24() uint32 {
	if b := r.Bytes(3); b != nil {
		return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])
	}
	return 0
}

// U32 reads a big-endian integer of four bytes.
func (r *Reader) U32() uint32 {
	if b := r.Bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// U64 reads a big-endian integer of eight bytes.
func (r *Reader) U64() uint64 {
	if b := r.Bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Bool reads one byte that must be 0 or 1.
func (r *Reader) Bool() bool {
	v := r.U8()
	if v > 1 {
		r.Fail("boolean is neither 0 nor 1")
	}
	return v == 1
}

// Fill reads len(dst) bytes into dst.
func (r *Reader) Fill(dst []byte) { copy(dst, r.Bytes(len(dst))) }

// A16 reads 16 bytes.
func (r *Reader) A16() (out [16]byte) { r.Fill(out[:]); return out }

// A32 reads 32 bytes.
func (r *Reader) A32() (out [32]byte) { r.Fill(out[:]); return out }

// Vec8 reads a vector with a one-byte length of at most limit bytes.
func (r *Reader) Vec8(limit int) []byte { return r.vec(int(r.U8()), limit) }

// Vec16 reads a vector with a two-byte length of at most limit bytes.
func (r *Reader) Vec16(limit int) []byte { return r.vec(int(r.U16()), limit) }

// Vec24 reads a vector with a three-byte length of at most limit bytes.
func (r *Reader) Vec24(limit int) []byte { return r.vec(int(r.U24()), limit) }

func (r *Reader) vec(n, limit int) []byte {
	if n > limit {
		r.Fail("vector over its limit")
		return nil
	}
	return r.Bytes(n)
}

// Close returns the first error, or that bytes are left over.
func (r *Reader) Close() error {
	if r.err == nil && len(r.b) != 0 {
		r.Fail("trailing bytes")
	}
	return r.err
}
