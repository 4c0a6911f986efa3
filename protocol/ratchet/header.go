package ratchet

import (
	"golang.org/x/crypto/chacha20poly1305"

	"rushlight/protocol/ratchet/braid"
	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

// The layout of a message (spec §6.7): nonce[16] ‖ sealed header[266] ‖
// commitment[32] ‖ ciphertext[len(plaintext)+16].
const (
	nonceSize    = 16
	headerSize   = 32 + 4 + 4 + 8 + 4 + braid.MsgSize
	frontSize    = nonceSize + headerSize + chacha20poly1305.Overhead
	commitSize   = 32
	headerOffset = nonceSize

	// Overhead is how much longer every ciphertext is than its plaintext.
	Overhead = frontSize + commitSize + chacha20poly1305.Overhead
)

const labelMessage suite.Label = "rushlight/ratchet/message/1"

// header is what a message tells the ratchets.
type header struct {
	dh       [32]byte // the sender's current ratchet key
	previous uint32   // messages in the sender's previous chain
	n        uint32   // number in this chain, from 0
	total    uint64   // number in the session, from 1
	pqn      uint32   // number in the post-quantum chain, from 0
	braid    braid.Msg
}

// seal appends nonce ‖ sealed header to dst.
func (h *header) seal(dst []byte, key, nonce, ad []byte) []byte {
	var buf [headerSize]byte
	w := wire.NewWriter(buf[:0])
	w.Raw(h.dh[:]).U32(h.previous).U32(h.n).U64(h.total).U32(h.pqn)
	h.braid.MarshalTo(w)
	dst = append(dst, nonce...)
	return headerCipher(key).Seal(dst, headerNonce(nonce), w.Out(), ad)
}

// openHeader opens the header of a message under one header key.
func openHeader(key, front, ad []byte) (h header, ok bool) {
	var buf [headerSize]byte
	pt, err := headerCipher(key).Open(buf[:0], headerNonce(front[:nonceSize]), front[headerOffset:frontSize], ad)
	if err != nil {
		return h, false
	}
	r := wire.NewReader(pt)
	r.Fill(h.dh[:])
	h.previous, h.n, h.total, h.pqn = r.U32(), r.U32(), r.U64(), r.U32()
	h.braid = braid.ParseMsg(r)
	if h.total == 0 || h.n == maxNumber || h.pqn == maxNumber {
		r.Fail("number out of range")
	}
	return h, r.Close() == nil
}

// headerNonce is the XChaCha20 nonce: the random bytes of the message, then
// zeros. 128 random bits suffice for the at most 2^32 headers under a key, and
// leave room for the full commitment.
func headerNonce(nonce []byte) []byte {
	var x [chacha20poly1305.NonceSizeX]byte
	copy(x[:], nonce)
	return x[:]
}

// messageKeys combines the keys of both ratchets and the nonce of the message
// into key[32] ‖ commitment[32]. Because the nonce is in it, a state that was
// rolled back does not use one key for two plaintexts.
func messageKeys(ec, pq *[32]byte, nonce []byte) []byte {
	return suite.Derive(ec[:], pq[:], chacha20poly1305.KeySize+commitSize, labelMessage, nonce)
}

// bodyNonce is zero: a body's key encrypts nothing else.
var bodyNonce [chacha20poly1305.NonceSize]byte

// bodyAD is the associated data of the body: transcript ‖ nonce ‖ sealed
// header, all of fixed length.
func bodyAD(transcript *[32]byte, front []byte) []byte {
	ad := make([]byte, 0, len(transcript)+frontSize)
	return append(append(ad, transcript[:]...), front...)
}

// sealBody appends commitment ‖ ciphertext to dst.
func sealBody(dst, keys, ad, plaintext []byte) []byte {
	dst = append(dst, keys[32:64]...)
	return bodyCipher(keys).Seal(dst, bodyNonce[:], plaintext, ad)
}

// openBody checks the commitment before anything else.
func openBody(keys, ad, sealed []byte) ([]byte, error) {
	if !suite.Equal(keys[32:64], sealed[:commitSize]) {
		return nil, ErrDecrypt
	}
	pt, err := bodyCipher(keys).Open(nil, bodyNonce[:], sealed[commitSize:], ad)
	if err != nil {
		return nil, ErrDecrypt
	}
	return pt, nil
}
