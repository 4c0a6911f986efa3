// Package ratchet is the Triple Ratchet between two devices: a Double Ratchet
// with encrypted headers and a sparse post-quantum ratchet over the ML-KEM
// Braid, whose keys are combined for every message.
//
// It is not a handshake, an envelope or a store: it starts from secrets both
// sides have, does not pad, and returns its state as bytes to be saved. It
// promises that a message opens at most once; that reading it needs the keys
// of both ratchets; that every ciphertext is exactly [Overhead] bytes longer
// than its plaintext and tells an observer nothing else; that a refused
// message leaves the state as it was; and that memory and work are bounded
// whatever arrives (spec §6).
//
// Save the state, then send what Encrypt returned; save the state, then
// acknowledge what Decrypt returned.
//
// Deviations from the papers (Double Ratchet rev 4, ML-KEM Braid rev 1) are
// listed in spec §6.11 and at classic, quantum, headerNonce and package braid.
package ratchet

import (
	"crypto/ecdh"
	"errors"
	"fmt"

	"rushlight/protocol/ratchet/braid"
	"rushlight/protocol/suite"
)

// Limits (spec §6.8).
const (
	MaxSkip      = 1000 // messages that may be missing before one, in its chain
	MaxStored    = 2000 // keys of missing messages a session stores, per ratchet
	MaxOldChains = 8    // earlier receiving chains with missing messages
	MaxAge       = 128  // ratchet steps of the peer that such a chain survives
	KeepEpochs   = 8    // post-quantum epochs behind the current one that still open
)

// Errors on which callers act.
var (
	// ErrNotReady: a responder cannot encrypt before its first Decrypt.
	ErrNotReady = errors.New("ratchet: nothing received yet")
	// ErrDecrypt: the message is not of this session, was altered, or was
	// opened before and everything about it is forgotten.
	ErrDecrypt = errors.New("ratchet: message does not open")
	// ErrReplay: the message belongs to this session and was opened before,
	// or it is so late that its key was given up.
	ErrReplay = errors.New("ratchet: message was opened before")
	// ErrTooFar: more messages are missing before this one than a session
	// makes up for, or it is so late that its epoch was given up.
	ErrTooFar = errors.New("ratchet: message is too far from the others")
	// ErrRolledBack: the state is older than one that was used.
	ErrRolledBack = errors.New("ratchet: state was rolled back")
	// ErrAborted: the session cannot go on and must be replaced by a new
	// handshake. It is the error of package braid.
	ErrAborted = braid.ErrAborted
)

const (
	labelSplit    suite.Label = "rushlight/ratchet/split/1"
	labelExporter suite.Label = "rushlight/ratchet/exporter/1"
)

// Keys are what the handshake leaves to the session. Root is secret and fresh;
// Transcript is the hash of everything the handshake agreed on.
type Keys struct {
	Root, Transcript [32]byte
}

// Session is one side of a session between two devices. It is not safe for
// concurrent use.
type Session struct {
	id         [16]byte
	transcript [32]byte // associated data of every message
	exporter   [32]byte
	initiator  bool

	sent, received, seen uint64

	ec classic
	pq quantum
}

// NewInitiator starts the side that knows the peer's ratchet key and sends
// first. It fails when the key is a point of low order.
func NewInitiator(k Keys, peerRatchet *ecdh.PublicKey) (*Session, error) {
	s := split(k, true)
	pub := peerRatchet.Bytes()
	if peerRatchet.Curve() != ecdh.X25519() || len(pub) != 32 {
		return nil, errors.New("ratchet: peer's key is not an X25519 key")
	}
	s.ec.turn = due
	s.ec.peer = [32]byte(pub)
	if err := s.ec.ratchetSend(); err != nil {
		return nil, fmt.Errorf("start a session: %w", err)
	}
	return s, nil
}

// NewResponder starts the side that owns the ratchet key. It can encrypt after
// it has decrypted. The key, which must be one of X25519, must not be used for
// anything else afterwards.
func NewResponder(k Keys, ratchet *ecdh.PrivateKey) *Session {
	s := split(k, false)
	s.ec.turn = never
	s.ec.own = pairOf(ratchet)
	return s
}

// split derives independent secrets for the two ratchets (spec §6.1).
func split(k Keys, initiator bool) *Session {
	o := suite.Derive(k.Root[:], nil, 208, labelSplit, k.Transcript[:])
	s := &Session{initiator: initiator, transcript: k.Transcript}
	s.ec.root = [32]byte(o[0:32])
	a, b := [32]byte(o[32:64]), [32]byte(o[64:96])
	if initiator {
		s.ec.nextSend, s.ec.nextRecv = a, b
	} else {
		s.ec.nextSend, s.ec.nextRecv = b, a
	}
	s.pq = newQuantum([32]byte(o[96:128]), [32]byte(o[128:160]), initiator)
	s.exporter = [32]byte(o[160:192])
	s.id = [16]byte(o[192:208])
	return s
}

// ID is the name of the session, the same on both sides. It is not secret.
func (s *Session) ID() [16]byte { return s.id }

// Export derives a secret for another purpose, the same on both sides and for
// the whole life of the session: it neither heals nor is it erased before the
// session is.
func (s *Session) Export(label suite.Label) (out [32]byte) {
	copy(out[:], suite.Derive(s.exporter[:], nil, 32, labelExporter, []byte(label)))
	return out
}

// Version grows by one with each successful Encrypt and Decrypt.
func (s *Session) Version() uint64 { return s.sent + s.received }

// Sent is how many messages were encrypted.
func (s *Session) Sent() uint64 { return s.sent }

// Received is how many messages were decrypted.
func (s *Session) Received() uint64 { return s.received }

// SeenFromPeer is the highest number of a message of the peer, counted from 1
// over the whole session; 0 when there is none. A peer whose Sent falls behind
// it was rolled back.
func (s *Session) SeenFromPeer() uint64 { return s.seen }

// Established reports whether the peer is known to have the session too: an
// initiator must have received.
func (s *Session) Established() bool { return !s.initiator || s.received > 0 }
