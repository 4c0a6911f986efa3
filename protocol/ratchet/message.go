package ratchet

import (
	"fmt"

	"rushlight/protocol/suite"
)

// Encrypt appends the next message to dst: exactly [Overhead] bytes more than
// the plaintext. Save the state before sending it. The error is [ErrNotReady]
// for a responder that has not received, or wraps [ErrAborted] when a counter
// has run out; nothing has changed then (spec §6.7).
func (s *Session) Encrypt(dst, plaintext []byte) ([]byte, error) {
	switch {
	case s.ec.turn == never:
		return nil, ErrNotReady
	case s.ec.turn == on && s.ec.send.n == maxNumber, s.pq.exhausted():
		return nil, fmt.Errorf("%w: no message numbers left", ErrAborted)
	case s.ec.turn == due:
		if err := s.ec.ratchetSend(); err != nil {
			return nil, fmt.Errorf("encrypt: %w", err)
		}
	}
	s.sent++
	h := header{dh: s.ec.own.public, previous: s.ec.previous, n: s.ec.send.n, total: s.sent}
	var pq [32]byte
	h.braid, h.pqn, pq = s.pq.next()
	ec := stepChain(&s.ec.send.ck, h.n)
	s.ec.send.n++

	var nonce [nonceSize]byte
	suite.Random(nonce[:])
	if dst == nil {
		dst = make([]byte, 0, len(plaintext)+Overhead)
	}
	start := len(dst)
	dst = h.seal(dst, s.ec.send.header[:], nonce[:], s.transcript[:])
	key := messageKey(&ec, &pq, nonce[:])
	return key.Seal(dst, bodyAD(&s.transcript, dst[start:]), plaintext), nil
}

// Decrypt opens a message. Save the state before acknowledging it. After an
// error ([ErrDecrypt], [ErrReplay], [ErrTooFar] or one that wraps
// [ErrAborted]) the state is as before: everything is decided first and done
// only when the message has proved authentic (spec §6.8).
func (s *Session) Decrypt(ciphertext []byte) ([]byte, error) {
	if len(ciphertext) < Overhead {
		return nil, ErrDecrypt
	}
	front, sealed := ciphertext[:frontSize], ciphertext[frontSize:]
	h, from, ok := s.ec.open(front, s.transcript[:])
	if !ok {
		return nil, ErrDecrypt
	}
	ec, err := s.ec.plan(&h, from)
	if err != nil {
		return nil, err
	}
	pq, err := s.pq.plan(&h)
	if err != nil {
		return nil, err
	}
	key := messageKey(&ec.key, &pq.key, front[:nonceSize])
	plaintext, err := key.Open(nil, bodyAD(&s.transcript, front), sealed)
	if err != nil {
		return nil, ErrDecrypt
	}
	// The braid may still refuse; nothing after it can.
	if err := s.pq.commit(&pq, &h.braid); err != nil {
		return nil, fmt.Errorf("decrypt: %w", err)
	}
	s.ec.commit(&ec)
	s.received++
	s.seen = max(s.seen, h.total)
	return plaintext, nil
}
