package suite

import (
	"crypto/aes"
	"crypto/cipher"
)

// TokenOverhead is what [TokenKey.Seal] adds: a 12-byte nonce and a 16-byte
// tag.
const TokenOverhead = 12 + 16

// TokenKey seals short tokens that come back to whoever made them, with
// AES-256-GCM (NIST SP 800-38D) and random nonces: at most 2^32 tokens under
// one key (spec §2.4). It may be used by several goroutines.
type TokenKey struct {
	aead cipher.AEAD
	ad   []byte
}

// NewTokenKey prepares a key for the tokens of one purpose: the frame of the
// label and the fields is the associated data of each.
func NewTokenKey(key [32]byte, l Label, fields ...[]byte) *TokenKey {
	block, err := aes.NewCipher(key[:])
	if err == nil {
		var aead cipher.AEAD
		if aead, err = cipher.NewGCM(block); err == nil {
			return &TokenKey{aead: aead, ad: Frame(l, fields...)}
		}
	}
	panic("suite: " + err.Error())
}

// Seal appends nonce[12] ‖ ciphertext to dst.
func (t *TokenKey) Seal(dst, plaintext []byte) []byte {
	n := len(dst)
	var nonce [12]byte
	Random(nonce[:])
	dst = append(dst, nonce[:]...)
	return t.aead.Seal(dst, dst[n:n+len(nonce)], plaintext, t.ad)
}

// Open reverses [TokenKey.Seal], appending the plaintext to dst. The error is
// [ErrOpen].
func (t *TokenKey) Open(dst, token []byte) ([]byte, error) {
	if len(token) < TokenOverhead {
		return nil, ErrOpen
	}
	out, err := t.aead.Open(dst, token[:12], token[12:], t.ad)
	if err != nil {
		return nil, ErrOpen
	}
	return out, nil
}
