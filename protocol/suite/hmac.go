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

// hmacSHA256 is HMAC-SHA-256 (RFC 2104) over the parts one after the other.
// crypto/hmac gives the same bytes and allocates two hash states a call; this
// is the innermost loop of every ratchet step and of every key on disk.
func hmacSHA256(key []byte, parts ...[]byte) [32]byte {
	if len(key) > blockSize {
		h := sha256.Sum256(key)
		key = h[:]
	}
	var stack [blockSize + onStack]byte
	n := blockSize
	for _, p := range parts {
		n += len(p)
	}
	inner := stack[:blockSize]
	if n > len(stack) {
		inner = make([]byte, blockSize, n)
	}
	copy(inner, key)
	subtle.XORBytes(inner, inner, innerPad[:])
	for _, p := range parts {
		inner = append(inner, p...)
	}
	var outer [blockSize + 32]byte
	copy(outer[:], key)
	subtle.XORBytes(outer[:], outer[:blockSize], outerPad[:])
	sum := sha256.Sum256(inner)
	copy(outer[blockSize:], sum[:])
	return sha256.Sum256(outer[:])
}

// expandSHA256 is HKDF-Expand with SHA-256 (RFC 5869 §2.3). n is at most 8,160.
func expandSHA256(prk, info []byte, n int) []byte {
	out := make([]byte, 0, (n+31)/32*32)
	for i := byte(1); len(out) < n; i++ {
		var last []byte
		if len(out) > 0 {
			last = out[len(out)-32:]
		}
		t := hmacSHA256(prk, last, info, []byte{i})
		out = append(out, t[:]...)
	}
	clear(out[n:])
	return out[:n:n]
}
