// Package pow is a proof of work that needs memory to make and almost nothing
// to check: Equihash(60,3) over BLAKE2b with modular addition, and a gate that
// says how many such solutions were looked through.
//
// It is not a currency and it does not stop anybody who is willing to pay. It
// promises that a proof is good for one challenge only, has one spelling, and
// is checked with eight hashes (spec §11.5).
//
// The construction is that of Biryukov and Khovratovich (Equihash, NDSS 2016),
// with the additions of Tor's proposal 327: sums instead of xor, and the effort
// gate. Where it differs: BLAKE2b in place of HashX, so that no code is
// generated at run time.
package pow

import (
	"encoding/binary"
	"math"

	"golang.org/x/crypto/blake2b"

	"rushlight/protocol/suite"
)

// Size is the length of a proof in bytes.
const Size = 8 + 2*indexes

// Proof is nonce u64 ‖ eight indexes u16 (spec §11.5).
type Proof [Size]byte

const (
	indexes   = 8       // of one solution
	listSize  = 1 << 16 // values of one nonce
	valueBits = 60
	stepBits  = 15 // of the sum that each level makes zero
	perHash   = 8  // values that one hash gives
	valueMask = 1<<valueBits - 1
)

const labelGate suite.Label = "rushlight/pow/gate/1"

// block hashes eight values of the list of a nonce: the b-th eight.
func block(challenge *[32]byte, nonce uint64, b uint32) [blake2b.Size]byte {
	var in [32 + 8 + 4]byte
	copy(in[:], challenge[:])
	binary.BigEndian.PutUint64(in[32:], nonce)
	binary.BigEndian.PutUint32(in[40:], b)
	return blake2b.Sum512(in[:])
}

func value(sum *[blake2b.Size]byte, i int) uint64 {
	return binary.BigEndian.Uint64(sum[8*i:]) & valueMask
}

// Verify reports whether p solves the challenge and was worth the effort: on
// average, effort solutions have to be found before one passes (spec §11.5).
// Effort 0 is passed by nothing.
func Verify(challenge [32]byte, p Proof, effort uint32) bool {
	return effort > 0 && solves(&challenge, &p) && passes(&challenge, &p, effort)
}

func passes(challenge *[32]byte, p *Proof, effort uint32) bool {
	h := suite.Hash(labelGate, challenge[:], p[:])
	return uint64(binary.BigEndian.Uint32(h[:]))*uint64(effort) <= math.MaxUint32
}

func solves(challenge *[32]byte, p *Proof) bool {
	nonce := binary.BigEndian.Uint64(p[:])
	var idx [indexes]uint16
	for i := range idx {
		idx[i] = binary.BigEndian.Uint16(p[8+2*i:])
	}
	if !ordered(&idx) {
		return false
	}
	var sum [indexes]uint64
	for i, n := range idx {
		h := block(challenge, nonce, uint32(n)/perHash)
		sum[i] = value(&h, int(n)%perHash)
	}
	for width, bits := 1, uint(stepBits); width < indexes; width, bits = 2*width, bits+stepBits {
		if 2*width == indexes {
			bits = valueBits
		}
		for i := 0; i < indexes; i += 2 * width {
			sum[i] = (sum[i] + sum[i+width]) & valueMask
			if sum[i]&(1<<bits-1) != 0 {
				return false
			}
		}
	}
	return true
}

// ordered reports whether the indexes are different and stand in the one order
// that counts: of two halves, at each level, the one with the smaller first
// index comes first.
func ordered(idx *[indexes]uint16) bool {
	for width := 1; width < indexes; width *= 2 {
		for i := 0; i < indexes; i += 2 * width {
			if idx[i] >= idx[i+width] {
				return false
			}
		}
	}
	for i := range idx {
		for j := range i {
			if idx[i] == idx[j] {
				return false
			}
		}
	}
	return true
}
