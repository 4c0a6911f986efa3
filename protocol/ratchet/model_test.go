package ratchet

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"testing"

	"rushlight/protocol/suite"

	"pgregory.net/rapid"
)

// fataler is what helpers need of *testing.T, *rapid.T and *testing.F.
type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func testKeys() (k Keys) {
	suite.Random(k.Root[:])
	suite.Random(k.Transcript[:])
	return k
}

// newPairOfSessions returns an initiator and a responder.
func newPairOfSessions(t fataler) [2]*Session {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k := testKeys()
	a, err := NewInitiator(k, key.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	return [2]*Session{a, NewResponder(k, key)}
}

// talking returns two sessions that have each received a message.
func talking(t fataler) [2]*Session {
	t.Helper()
	p := newPairOfSessions(t)
	deliver(t, p[0], p[1])
	deliver(t, p[1], p[0])
	return p
}

func encrypt(t fataler, s *Session, text string) []byte {
	t.Helper()
	c, err := s.Encrypt(nil, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(c) != len(text)+Overhead {
		t.Fatalf("a text of %d bytes became %d", len(text), len(c))
	}
	return c
}

func deliver(t fataler, from, to *Session) {
	t.Helper()
	if _, err := to.Decrypt(encrypt(t, from, "x")); err != nil {
		t.Fatal(err)
	}
}

// reloaded saves and loads a session and checks that nothing is lost.
func reloaded(t fataler, s *Session) *Session {
	t.Helper()
	state := s.Marshal()
	out, err := Load(state, s.Version())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Marshal(), state) {
		t.Fatal("a loaded state is saved differently")
	}
	return out
}

// refused checks that a message is refused and changes nothing.
func refused(t fataler, s *Session, c []byte, want ...error) {
	t.Helper()
	before := s.Marshal()
	pt, err := s.Decrypt(c)
	if err == nil {
		t.Fatal("accepted")
	}
	if pt != nil || !bytes.Equal(before, s.Marshal()) {
		t.Fatal("a refused message changed the state")
	}
	for _, w := range want {
		if errors.Is(err, w) {
			return
		}
	}
	t.Fatalf("err = %v, want one of %v", err, want)
}

type flying struct {
	text, ciphertext []byte
	number           uint64 // of the sender's messages
}

// mayExpire reports whether a message may have been given up: a receiver keeps
// eight old chains with gaps, so one that fewer than nine others have followed
// opens for certain.
func (f *flying) mayExpire(sender *Session) bool { return sender.Sent()-f.number > MaxOldChains }

// TestModel runs two parties over a network that loses up to 60 %, reorders,
// flips bits and replays, with the state saved and loaded after every step.
// Every message that arrives while its key is kept opens exactly once,
// whatever was done to others.
func TestModel(t *testing.T) {
	late, expired := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		p := newPairOfSessions(t)
		steps := rapid.IntRange(10, 250).Draw(t, "steps")
		r := mrand.New(mrand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2))
		loss, bias := r.Float64()*0.6, r.Float64()
		var queue, done [2][]flying
		for i := range steps {
			x := 0
			if r.Float64() < bias {
				x = 1
			}
			text := fmt.Append(nil, i)
			c, err := p[x].Encrypt(nil, text)
			if errors.Is(err, ErrNotReady) && x == 1 && p[1].Received() == 0 {
				x = 0
				c, err = p[x].Encrypt(nil, text)
			}
			if err != nil {
				t.Fatal(err)
			}
			p[x] = reloaded(t, p[x])
			if r.Float64() >= loss {
				queue[x] = append(queue[x], flying{text, c, p[x].Sent()})
			}
			for from := range queue {
				to := 1 - from
				for q := queue[from]; len(q) > 0 && r.Float64() < 0.6; q = queue[from] {
					k := 0
					if r.Float64() < 0.4 {
						k = r.IntN(len(q))
					}
					f := q[k]
					queue[from] = append(q[:k:k], q[k+1:]...)
					if r.Float64() < 0.2 {
						bad := bytes.Clone(f.ciphertext)
						bad[r.IntN(len(bad))] ^= 1 << r.IntN(8)
						refused(t, p[to], bad, ErrDecrypt)
					}
					if f.mayExpire(p[from]) {
						late++
					}
					version, seen := p[to].Version(), p[to].SeenFromPeer()
					got, err := p[to].Decrypt(f.ciphertext)
					if err != nil && f.mayExpire(p[from]) {
						expired++
						continue
					}
					if err != nil || !bytes.Equal(got, f.text) {
						t.Fatalf("message %s: %v", f.text, err)
					}
					if p[to].Version() != version+1 || p[to].SeenFromPeer() < seen || p[to].SeenFromPeer() > p[from].Sent() {
						t.Fatal("wrong counters")
					}
					p[to] = reloaded(t, p[to])
					done[from] = append(done[from], f)
					if r.Float64() < 0.2 {
						old := done[from][r.IntN(len(done[from]))]
						refused(t, p[to], old.ciphertext, ErrReplay, ErrDecrypt, ErrTooFar)
					}
				}
			}
		}
		if p[0].ID() != p[1].ID() || p[0].Export("a") != p[1].Export("a") || p[0].Export("a") == p[0].Export("b") {
			t.Fatal("the sides differ in identity or exported secrets")
		}
	})
	if t.Logf("%d of %d messages that came very late had expired", expired, late); expired*10 > late+10 {
		t.Error("too many messages expired")
	}
}

func mustPublic(t fataler, b [32]byte) *ecdh.PublicKey {
	t.Helper()
	k, err := ecdh.X25519().NewPublicKey(b[:])
	if err != nil {
		t.Fatal(err)
	}
	return k
}
