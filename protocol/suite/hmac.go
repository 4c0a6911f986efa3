package suite

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
)

const (
	blockSize = sha256.BlockSize
	// onStack is how long a frame may be for its MAC to need no allocation.
	onStack = 448
)

var (
	innerPad = [blockSize]byte(bytes.Repeat([]byte{0x36}, blockSize))
	outerPad = [blockSize]byte(bytes.Repeat([]byte{0x5c}, blockSize))
)

// hmacSHA256 is HMAC-SHA-256 (RFC 2104).
// crypto/hmac gives the same bytes and allocates two hash states a call; this
// is the innermost loop of every ratchet step and of every key on disk.
func hmacSHA256(key, text []byte) [32]byte {
	var stack [blockSize + onStack]byte
	return hmacBehind(key, append(stack[:blockSize], text...))
}

// hmacBehind is the HMAC of what stands in b behind a block, into which it
// writes.
func hmacBehind(key, b []byte) [32]byte {
	if len(key) > blockSize {
		h := sha256.Sum256(key)
		key = h[:]
	}
	var outer [blockSize + 32]byte
	copy(outer[:], key)
	subtle.XORBytes(b, outer[:blockSize], innerPad[:])
	subtle.XORBytes(outer[:], outer[:blockSize], outerPad[:])
	sum := sha256.Sum256(b)
	copy(outer[blockSize:], sum[:])
	return sha256.Sum256(outer[:])
}

// infoAt is where the info of [expandBehind] begins: behind a block and a hash.
const infoAt = blockSize + 32

// expandBehind fills out, of at most 8,160 bytes, with HKDF-Expand with SHA-256
// (RFC 5869 §2.3). The info stands in b from infoAt on, and one byte more.
func expandBehind(out, prk, b []byte) {
	for i, from := byte(1), 32; len(out) > 0; i, from = i+1, 0 {
		b[len(b)-1] = i
		t := hmacBehind(prk, b[from:])
		out = out[copy(out, t[:]):]
		copy(b[blockSize:infoAt], t[:])
	}
	clear(b[:infoAt])
}
