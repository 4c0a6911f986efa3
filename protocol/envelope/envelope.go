// Package envelope is what a message looks like to everybody who carries it:
// bytes of one of three sizes under a tag that means nothing to the carrier.
//
// It is not the end-to-end encryption: what it wraps is already encrypted for
// each device of the recipient by a ratchet. It promises that envelopes of one
// class differ in nothing but random-looking bytes, that two copies of one
// message for two relays share no byte, that neither a relay nor a contact can
// count the recipient's devices, and that the recipient finds the key of an
// envelope by looking its tag up (spec §7).
package envelope

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

// Class is one of the three sizes of an envelope (spec §7.1).
type Class uint8

// The classes: 2, 16 and 64 KiB.
const (
	S Class = 1
	M Class = 2
	L Class = 3
)

const (
	headSize   = 32 // tag ‖ cure hash
	lengthSize = 2
)

// ErrTooLarge is returned when something does not fit the largest class.
var ErrTooLarge = errors.New("envelope: too large for any class")

// ErrOpen is returned when an envelope does not open under the keys given.
// Nothing in it is usable.
var ErrOpen = errors.New("envelope: does not open")

// Valid reports whether c is a known class.
func (c Class) Valid() bool { return c >= S && c <= L }

// Size is the length of a whole envelope of the class in bytes, 0 for an
// unknown class.
func (c Class) Size() int {
	switch c {
	case S:
		return 2048
	case M:
		return 16384
	case L:
		return 65536
	}
	return 0
}

// Capacity is the length of the longest payload of the class in bytes: 1,998,
// 16,334 or 65,486.
func (c Class) Capacity() int {
	if !c.Valid() {
		return 0
	}
	return c.Size() - headSize - suite.OnceOverhead - lengthSize
}

// ClassFor returns the smallest class whose envelope holds a payload of n
// bytes, or [ErrTooLarge].
func ClassFor(n int) (Class, error) {
	for c := S; c <= L; c++ {
		if n <= c.Capacity() {
			return c, nil
		}
	}
	return 0, ErrTooLarge
}

// ParseClass returns the class of an envelope by its length in bytes.
func ParseClass(size int) (Class, error) {
	for c := S; c <= L; c++ {
		if size == c.Size() {
			return c, nil
		}
	}
	return 0, fmt.Errorf("envelope: %w: not the length of a class", wire.ErrMalformed)
}

// TagOf returns the tag of an envelope, or zeros when env is too short to have
// one.
func TagOf(env []byte) (tag [16]byte) {
	if len(env) >= headSize {
		copy(tag[:], env)
	}
	return tag
}

// CureHashOf returns the cure hash of an envelope, or zeros when env is too
// short to have one.
func CureHashOf(env []byte) (h [16]byte) {
	if len(env) >= headSize {
		copy(h[:], env[16:])
	}
	return h
}

const labelAD suite.Label = "rushlight/envelope/ad/1"

// ad is the associated data of an envelope: tag ‖ cure hash ‖ class.
func ad(k *Keys, c Class) []byte {
	return suite.Frame(labelAD, k.Tag[:], k.CureHash[:], []byte{byte(c)})
}

// Seal appends the envelope of a payload to dst. Sealing the same payload
// again gives the same bytes; another payload or class needs the keys of
// another index, because the key is used with one nonce (spec §7.1). The error
// is [ErrTooLarge].
func Seal(dst []byte, keys Keys, c Class, payload []byte) ([]byte, error) {
	if !c.Valid() || len(payload) > c.Capacity() {
		return nil, fmt.Errorf("sealing an envelope: %w", ErrTooLarge)
	}
	dst = slices.Grow(dst, c.Size())
	dst = append(dst, keys.Tag[:]...)
	dst = append(dst, keys.CureHash[:]...)
	// The plaintext is written where the ciphertext will stand.
	pt := dst[len(dst):][:lengthSize+c.Capacity()]
	pt[0], pt[1] = byte(len(payload)>>8), byte(len(payload))
	clear(pt[lengthSize+copy(pt[lengthSize:], payload):])
	return suite.SealOnce(dst, keys.Key[:], ad(&keys, c), pt), nil
}

// Open returns the payload of an envelope. It fails with [ErrOpen] when tag,
// cure hash, class, length or any byte is not what the holder of the keys
// sealed, or when the padding is not zero.
func Open(keys Keys, c Class, env []byte) ([]byte, error) {
	if !c.Valid() || len(env) != c.Size() || TagOf(env) != keys.Tag || CureHashOf(env) != keys.CureHash {
		return nil, ErrOpen
	}
	pt, err := suite.OpenOnce(nil, keys.Key[:], ad(&keys, c), env[headSize:])
	if err != nil {
		return nil, ErrOpen
	}
	n := int(pt[0])<<8 | int(pt[1])
	if n > c.Capacity() {
		return nil, ErrOpen
	}
	// All bytes are zero when the first is and each equals the one before.
	if pad := pt[lengthSize+n:]; len(pad) > 0 && (pad[0] != 0 || !bytes.Equal(pad[1:], pad[:len(pad)-1])) {
		return nil, ErrOpen
	}
	return pt[lengthSize : lengthSize+n : lengthSize+n], nil
}
