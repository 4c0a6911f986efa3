package handshake

import (
	"testing"
	"time"
)

// Budgets in X25519 operations measured in the same run, which hold on any
// machine.
const (
	initiateBudget = 13
	respondBudget  = 10
)

// x25519 measures one X25519 operation.
func x25519(b *testing.B) time.Duration {
	b.Helper()
	k, err1 := newKey()
	p, err2 := newKey()
	if err1 != nil || err2 != nil {
		b.Fatal(err1, err2)
	}
	best := time.Hour
	for range 20 {
		const n = 20
		start := time.Now()
		for range n {
			if _, err := k.ECDH(p.PublicKey()); err != nil {
				b.Fatal(err)
			}
		}
		best = min(best, time.Since(start)/n)
	}
	return best
}

// ratio reports the cost of one call as its multiple of one X25519 operation.
func ratio(b *testing.B, budget float64, f func() error) {
	b.Helper()
	unit, best := x25519(b), time.Hour
	for b.Loop() {
		start := time.Now()
		if err := f(); err != nil {
			b.Fatal(err)
		}
		best = min(best, time.Since(start))
	}
	r := float64(best) / float64(unit)
	b.ReportMetric(r, "x25519")
	if b.N >= 100 && r > budget {
		b.Errorf("costs %.1f X25519 operations, over the budget of %.0f", r, budget)
	}
}

func BenchmarkInitiate(b *testing.B) {
	alice, bob := newParty(b), newParty(b)
	bundle, _ := bob.bundle(b, false)
	ratio(b, initiateBudget, func() error {
		_, _, err := Initiate(now, alice.device, alice.manifest, bundle, bob.manifest)
		return err
	})
}

func BenchmarkRespond(b *testing.B) {
	alice, bob := newParty(b), newParty(b)
	bundle, s := bob.bundle(b, false)
	f, _ := alice.initiate(b, bundle, bob)
	ratio(b, respondBudget, func() error {
		_, err := bob.respond(s, bundle, f)
		return err
	})
}

func BenchmarkSealFirst(b *testing.B) {
	alice, bob := newParty(b), newParty(b)
	bundle, s := bob.bundle(b, false)
	f, _ := alice.initiate(b, bundle, bob)
	payload, opener := First{f, nil}.Marshal(), OpenerFor(nil, bundle.Hash())
	ratio(b, 20, func() error {
		sealed, err := SealFirst(opener, bundle, payload)
		if err != nil {
			return err
		}
		_, err = OpenFirst(opener, s, sealed)
		return err
	})
}
