package ratchet

import (
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"testing"
	"time"
)

// x25519 measures one X25519 operation, the unit of the cost budget.
func x25519(b *testing.B) time.Duration {
	b.Helper()
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	best := time.Hour
	for range 15 {
		start := time.Now()
		for range 20 {
			if _, err := k.ECDH(k.PublicKey()); err != nil {
				b.Fatal(err)
			}
		}
		best = min(best, time.Since(start)/20)
	}
	return best
}

// batch is how many messages are timed together.
const batch = 100

// benchmark sends 1 KiB messages and reports the cost of one encryption and
// decryption in X25519 operations. Both are the best of many short runs, so
// that the ratio holds on a machine that does other things too.
func benchmark(b *testing.B, sender func(i int) int, after func(s *Session) *Session) {
	b.Helper()
	unit := x25519(b)
	p := talking(b)
	text := make([]byte, 1024)
	i, best, start := 0, time.Hour, time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if i%batch == 0 {
			if i > 0 {
				best = min(best, time.Since(start)/batch)
			}
			start = time.Now()
		}
		x := sender(i)
		c, err := p[x].Encrypt(nil, text)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p[1-x].Decrypt(c); err != nil {
			b.Fatal(err)
		}
		if after != nil {
			p[0], p[1] = after(p[0]), after(p[1])
		}
		i++
	}
	if i <= batch {
		best = b.Elapsed() / time.Duration(b.N)
	}
	b.ReportMetric(float64(best)/float64(min(unit, x25519(b))), "x25519")
}

func oneChain(int) int   { return 0 }
func everyOne(i int) int { return i & 1 }
func inBursts(i int) int { return i / 10 & 1 }
func saved(s *Session) *Session {
	out, err := Load(s.Marshal(), s.Version())
	if err != nil {
		panic(err)
	}
	return out
}

// BenchmarkOneChain: at most 0.5 X25519 operations.
func BenchmarkOneChain(b *testing.B) { benchmark(b, oneChain, nil) }

// BenchmarkEveryMessageRatchets: at most 5 X25519 operations.
func BenchmarkEveryMessageRatchets(b *testing.B) { benchmark(b, everyOne, nil) }

func BenchmarkBursts(b *testing.B) { benchmark(b, inBursts, nil) }

// BenchmarkOneChainSaved saves and loads both states after every message.
func BenchmarkOneChainSaved(b *testing.B) { benchmark(b, oneChain, saved) }

func BenchmarkEveryMessageRatchetsSaved(b *testing.B) { benchmark(b, everyOne, saved) }

func BenchmarkMarshalLoad(b *testing.B) {
	p := talking(b)
	for i := range 40 {
		deliver(b, p[i&1], p[1-i&1])
	}
	b.ReportMetric(float64(len(p[0].Marshal())), "bytes")
	b.ReportAllocs()
	for b.Loop() {
		saved(p[0])
	}
}

// BenchmarkSkip opens a message before which as many are missing as may be.
func BenchmarkSkip(b *testing.B) {
	p := talking(b)
	for range MaxSkip {
		encrypt(b, p[0], "")
	}
	c := encrypt(b, p[0], "")
	state := p[1].Marshal()
	b.ReportAllocs()
	for b.Loop() {
		s, err := Load(state, 0)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Decrypt(c); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkForgedJump refuses a header that claims 2^20 missing messages, from
// somebody who has the header keys; it must stay far below 5 ms.
func BenchmarkForgedJump(b *testing.B) {
	p := talking(b)
	for range 3 {
		deliver(b, p[0], p[1])
	}
	victim := reloaded(b, p[1])
	stranger, err := newPair()
	if err != nil {
		b.Fatal(err)
	}
	victim.ec.turn, victim.ec.own = on, stranger
	h := header{previous: 4, n: 1 << 20, total: 1 << 20, dh: stranger.public}
	h.braid.Epoch = victim.pq.sending() + 1
	msg := forge(victim, victim.ec.nextRecv[:], &h, [32]byte{}, [32]byte{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := victim.Decrypt(msg); !errors.Is(err, ErrTooFar) {
			b.Fatal(err)
		}
	}
}
