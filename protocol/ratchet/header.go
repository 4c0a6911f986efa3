package ratchet

import (
	"crypto/cipher"

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
	headerOffset = nonceSize

	// Overhead is how much longer every ciphertext is than its plaintext.
	Overhead = frontSize + suite.SealOverhead
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
	at := len(dst) + len(nonce)
	w := wire.NewWriter(dst).Raw(nonce)
	w.Raw(h.dh[:]).U32(h.previous).U32(h.n).U64(h.total).U32(h.pqn)
	h.braid.MarshalTo(w)
	dst = w.Out() // sealed where it stands
	return headerCipher(key).Seal(dst[:at], headerNonce(nonce), dst[at:], ad)
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

// messageKey combines the keys of both ratchets and the nonce of the message.
// Because the nonce is in it, a state that was rolled back does not use one key
// for two plaintexts.
func messageKey(ec, pq *[32]byte, nonce []byte) (key suite.OneTime) {
	suite.DeriveTo(key[:], ec[:], pq[:], labelMessage, nonce)
	return key
}

// bodyAD is the associated data of the body: transcript ‖ nonce ‖ sealed
// header, all of fixed length.
func bodyAD(transcript *[32]byte, front []byte) []byte {
	ad := make([]byte, 0, len(transcript)+frontSize)
	return append(append(ad, transcript[:]...), front...)
}

func headerCipher(key []byte) cipher.AEAD {
	a, err := chacha20poly1305.NewX(key)
	if err != nil {
		panic("ratchet: " + err.Error())
	}
	return a
}
