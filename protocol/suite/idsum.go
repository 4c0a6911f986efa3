package suite

import (
	"crypto/aes"
	"crypto/cipher"
)

// IDHash maps ids of 16 bytes to blocks that nobody without the key can foresee:
// AES-128 of the id (spec §2.4). It may be used by several goroutines.
type IDHash struct{ block cipher.Block }

// NewIDHash prepares a key.
func NewIDHash(key [16]byte) *IDHash {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("suite: " + err.Error())
	}
	return &IDHash{block}
}

// Of returns the block of an id.
func (h *IDHash) Of(id [16]byte) (out [16]byte) {
	h.block.Encrypt(out[:], id[:])
	return out
}
