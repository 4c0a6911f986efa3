package handshake

import (
	"bytes"
	"math"
	"slices"
	"time"
)

// GlareWindow is how long a session that lost to another still receives: a day
// longer than what was sealed in it may lie at a relay (spec §5.7).
const GlareWindow = 31 * 24 * time.Hour

// Rank decides which of several sessions with one device both sides send on.
// It depends on the set of sessions alone and not on the order in which they
// were learned, so that two sides that know the same sessions agree without a
// message.
type Rank struct {
	Generation uint32 // of the flight that started the session
	ID         [16]byte
}

// Compare is negative when a is to be sent on rather than b: the higher
// generation, then the lower id in byte order (spec §5.7).
func (a Rank) Compare(b Rank) int {
	if a.Generation != b.Generation {
		if a.Generation > b.Generation {
			return -1
		}
		return 1
	}
	return bytes.Compare(a.ID[:], b.ID[:])
}

// SendOn returns the session to send on, of at least one.
func SendOn(sessions []Rank) Rank { return slices.MinFunc(sessions, Rank.Compare) }

// NextGeneration is the generation for [Renew] over sessions whose highest is
// g.
func NextGeneration(g uint32) uint32 {
	if g == math.MaxUint32 {
		return g
	}
	return g + 1
}

// Receives reports whether a session that lost to another at the given time
// still receives.
func Receives(lost, now time.Time) bool { return now.Sub(lost) < GlareWindow }
