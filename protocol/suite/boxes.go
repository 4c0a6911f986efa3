package suite

import (
	"crypto/cipher"
	"encoding/binary"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"
)

// Boxes seals as [SealBox] does, for one goroutine that seals much, most of it
// under one key. Of [boxesSeries] boxes the nonces share their first 16 bytes,
// which are random, and count in the last 8: XChaCha20 makes the key of a box of
// the first 16, so for the one key that is done once for all of them.
type Boxes struct {
	key   [chacha20poly1305.KeySize]byte
	inner cipher.AEAD // under what XChaCha20 makes of key and the series
	nonce [chacha20poly1305.NonceSizeX]byte
	left  int // boxes of the series
}

// boxesSeries is how many boxes a series has. A process that is copied while it
// runs, as a virtual machine is, repeats no more nonces than these.
const boxesSeries = 64

// NewBoxes returns Boxes for what is mostly sealed under this key.
func NewBoxes(key [chacha20poly1305.KeySize]byte) *Boxes { return &Boxes{key: key} }

// next moves on to the next nonce.
func (b *Boxes) next() {
	count := b.nonce[16:]
	if b.left > 0 {
		b.left--
		binary.BigEndian.PutUint64(count, binary.BigEndian.Uint64(count)+1)
		return
	}
	Random(b.nonce[:16])
	clear(count)
	b.left = boxesSeries - 1
	sub, err := chacha20.HChaCha20(b.key[:], b.nonce[:16])
	if err == nil {
		b.inner, err = chacha20poly1305.New(sub)
	}
	if err != nil {
		panic("suite: " + err.Error())
	}
}

// Seal is [SealBox].
func (b *Boxes) Seal(dst, key, ad, plaintext []byte) []byte {
	b.next()
	dst = append(dst, b.nonce[:]...)
	if Equal(key, b.key[:]) {
		var nonce [chacha20poly1305.NonceSize]byte
		copy(nonce[4:], b.nonce[16:])
		return b.inner.Seal(dst, nonce[:], plaintext, ad)
	}
	a, err := chacha20poly1305.NewX(key)
	if err != nil {
		panic("suite: " + err.Error())
	}
	return a.Seal(dst, b.nonce[:], plaintext, ad)
}
