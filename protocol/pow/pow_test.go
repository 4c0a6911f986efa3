package pow_test

import (
	"encoding/binary"
	"encoding/hex"
	"testing"

	"rushlight/protocol/pow"
)

var challenge = [32]byte{1, 2, 3}

// solve goes through nonces from start until one has a proof.
func solve(t testing.TB, start uint64, effort uint32) pow.Proof {
	t.Helper()
	s := pow.NewSolver()
	for n := start; n < start+400*uint64(effort); n++ {
		if p, ok := s.Solve(challenge, n, effort); ok {
			return p
		}
	}
	t.Fatal("no proof")
	return pow.Proof{}
}

func TestSolveAndVerify(t *testing.T) {
	p := solve(t, 0, 4)
	if !pow.Verify(challenge, p, 4) || !pow.Verify(challenge, p, 1) {
		t.Fatal("refused")
	}
	if pow.Verify([32]byte{9}, p, 1) {
		t.Error("good for another challenge")
	}
	if pow.Verify(challenge, p, 0) || pow.Verify(challenge, pow.Proof{}, 1) {
		t.Error("nothing is a proof")
	}
	if pow.Verify(challenge, p, 1<<32-1) {
		t.Error("one of few solutions is worth any effort")
	}
}

// Every proof has one spelling: no other order of its indexes, and no other
// byte, is a proof.
func TestOneSpelling(t *testing.T) {
	p := solve(t, 50, 1)
	for _, swap := range [][2]int{{0, 1}, {2, 3}, {6, 7}, {0, 2}, {0, 4}, {1, 5}} {
		q := p
		a, b := 8+2*swap[0], 8+2*swap[1]
		copy(q[a:], p[b:b+2])
		copy(q[b:], p[a:a+2])
		if pow.Verify(challenge, q, 1) {
			t.Errorf("indexes %v may be swapped", swap)
		}
	}
	for i := range p {
		for bit := range 8 {
			q := p
			q[i] ^= 1 << bit
			if pow.Verify(challenge, q, 1) {
				t.Errorf("bit %d of byte %d may change", bit, i)
			}
		}
	}
	// Equal indexes cancel nothing: a proof of one value with itself.
	var q pow.Proof
	for i := range 8 {
		binary.BigEndian.PutUint16(q[8+2*i:], 7)
	}
	if pow.Verify(challenge, q, 1) {
		t.Error("eight times one value")
	}
}

// The effort is paid in solutions: of all solutions found, one in effort
// passes.
func TestEffortGate(t *testing.T) {
	s := pow.NewSolver()
	all, pass := 0, 0
	for n := range uint64(60) {
		if p, ok := s.Solve(challenge, n, 1); ok {
			all++
			if pow.Verify(challenge, p, 4) {
				pass++
			}
		}
	}
	// 60 nonces have 2 solutions on average and one at least with 1 - e^-2.
	if all < 40 || pass < all/16 || pass > all*2/3 {
		t.Errorf("%d of 60 nonces solved, %d of these worth 4", all, pass)
	}
}

func TestVector(t *testing.T) {
	const want = "00000000000000000eed4e2a25d653b412779cb45a95ee96"
	p := solve(t, 0, 1)
	if got := hex.EncodeToString(p[:]); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func BenchmarkSolve(b *testing.B) {
	s := pow.NewSolver()
	n := uint64(0)
	for b.Loop() {
		s.Solve(challenge, n, 1<<31)
		n++
	}
}

func BenchmarkVerify(b *testing.B) {
	p := solve(b, 0, 1)
	for b.Loop() {
		if !pow.Verify(challenge, p, 1) {
			b.Fatal("refused")
		}
	}
}

func FuzzVerify(f *testing.F) {
	p := solve(f, 0, 1)
	f.Add(challenge[:], p[:], uint32(1))
	f.Fuzz(func(t *testing.T, c, b []byte, effort uint32) {
		var ch [32]byte
		var q pow.Proof
		copy(ch[:], c)
		copy(q[:], b)
		if pow.Verify(ch, q, effort) && !pow.Verify(ch, q, effort/2+1) {
			t.Fatal("worth more, and not worth less")
		}
	})
}
