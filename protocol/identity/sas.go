package identity

import (
	"errors"
	"fmt"

	"rushlight/protocol/suite"
)

const (
	labelSASCommit suite.Label = "rushlight/identity/sas-commit/1"
	labelSAS       suite.Label = "rushlight/identity/sas/1"
)

// SASLength is how many emoji people compare: 7 of 64, 42 bits.
const SASLength = 7

// ErrSAS is returned when the other side's messages do not fit together:
// stop the pairing.
var ErrSAS = errors.New("identity: short authentication string refused")

// SAS is one side of a comparison of seven emoji by two people, bound to the
// transcript of the exchange that they confirm (spec §3.9). Each side sends
// Commit, waits for the other's, sends Reveal, waits for the other's, and
// shows Emoji: since a side reveals only after the other has committed, an
// attacker in between has one guess in 2^42.
type SAS struct {
	transcript [32]byte
	role       byte
	nonce      [32]byte
	peer       *[32]byte // the other side's commitment
}

// NewSAS starts a comparison. The two sides differ in initiator.
func NewSAS(transcript [32]byte, initiator bool) *SAS {
	s := &SAS{transcript: transcript}
	if initiator {
		s.role = 1
	}
	suite.Random(s.nonce[:])
	return s
}

// Commit is the first message.
func (s *SAS) Commit() [32]byte { return s.commitment(s.role, s.nonce) }

// Reveal takes the other side's commitment and returns the second message. A
// second, different commitment is refused.
func (s *SAS) Reveal(commit [32]byte) ([32]byte, error) {
	if s.peer != nil && *s.peer != commit {
		return [32]byte{}, fmt.Errorf("%w: second commitment", ErrSAS)
	}
	s.peer = &commit
	return s.nonce, nil
}

// Emoji takes the other side's second message and returns what people
// compare.
func (s *SAS) Emoji(reveal [32]byte) (out [SASLength]Emoji, err error) {
	if s.peer == nil || s.commitment(1-s.role, reveal) != *s.peer {
		return out, fmt.Errorf("%w: commitment does not open", ErrSAS)
	}
	a, b := s.nonce, reveal
	if s.role == 0 {
		a, b = b, a
	}
	h := suite.Hash(labelSAS, s.transcript[:], a[:], b[:])
	for i := range out {
		out[i] = emoji[bits6(h[:], i)]
	}
	return out, nil
}

func (s *SAS) commitment(role byte, nonce [32]byte) [32]byte {
	return suite.Hash(labelSASCommit, s.transcript[:], []byte{role}, nonce[:])
}

// bits6 is the i-th group of six bits of b, most significant first.
func bits6(b []byte, i int) int {
	at := 6 * i
	v := int(b[at/8])<<8 | int(b[at/8+1])
	return v >> (10 - at%8) & 63
}
