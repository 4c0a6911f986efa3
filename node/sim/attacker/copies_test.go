package attacker

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"rushlight/protocol/envelope"
	wire "rushlight/protocol/mailbox"
)

// pair is an envelope at one relay and one at another, which are copies of one
// message or aren't.
type pair struct {
	a, b seen
	same bool
}

// pairs asks for every message that lies at both relays whether an envelope of
// the second is its copy: half of the time it is that of another message of
// the same day and size.
func (c *course) pairs(first, second []seen) (out []pair) {
	type name struct{ from, owner, message int }
	at := map[name]seen{}
	for _, x := range second {
		if d, ok := c.truth[x.object]; ok {
			at[name{d.from, d.owner, d.message}] = x
		}
	}
	rng := rand.New(rand.NewPCG(2, uint64(len(first))))
	for _, x := range first {
		d, ok := c.truth[x.object]
		copied, there := at[name{d.from, d.owner, d.message}]
		if !ok || !there {
			continue
		}
		p := pair{a: x, b: copied, same: rng.IntN(2) == 0}
		for tries := 0; !p.same && tries < 1000; tries++ {
			p.b = second[rng.IntN(len(second))]
			if p.b.object != copied.object && p.b.day == x.day && len(p.b.envelope) == len(x.envelope) {
				break
			}
		}
		out = append(out, p)
	}
	return out
}

// compare is what two envelopes have in common. With together, the attacker
// has both disks, and goes by where they stand as well.
func compare(all []pair, together bool) (out []sample) {
	for i, p := range all {
		a, b := p.a.envelope, p.b.envelope
		equal, ones, run, longest := 0, 0, 0, 0
		for j := range min(len(a), len(b)) {
			x := a[j] ^ b[j]
			ones += bits.OnesCount8(x)
			if x == 0 {
				equal++
				run++
				longest = max(longest, run)
			} else {
				run = 0
			}
		}
		f := []float64{
			float64(equal), float64(ones), float64(longest), float64(len(a) - len(b)),
			common(a[:16], b[:16]), common(a[16:32], b[16:32]), common(a[32:64], b[32:64]), common(a[len(a)-16:], b[len(b)-16:]),
			common(p.a.object[:], p.b.object[:]), float64(p.a.day) - float64(p.b.day), float64(p.a.exp) - float64(p.b.exp),
			float64(grams(a, b)),
		}
		if together {
			f = append(f, float64(p.a.seq)-float64(p.b.seq), float64(p.a.commit)-float64(p.b.commit), float64(p.a.serial-p.b.serial))
		}
		out = append(out, sample{order: i, features: f, yes: p.same})
	}
	return out
}

// common is how many bits two strings share.
func common(a, b []byte) float64 {
	n := 0
	for i := range a {
		n += 8 - bits.OnesCount8(a[i]^b[i])
	}
	return float64(n)
}

// grams is how many runs of four bytes of a stand anywhere in the beginning of
// b.
func grams(a, b []byte) (n int) {
	have := map[[4]byte]bool{}
	for i := 0; i+4 <= min(len(b), 256); i++ {
		have[[4]byte(b[i:])] = true
	}
	for i := 0; i+4 <= min(len(a), 256); i++ {
		if have[[4]byte(a[i:])] {
			n++
		}
	}
	return n
}

// copies: an envelope at one relay can't be told to be a copy of one at
// another.
func (c *course) copies(t *testing.T, disk []seen) {
	second := c.relays[1].seize()
	all := c.pairs(disk, second)
	if len(all) < len(c.samples(disk)) {
		t.Fatalf("only %d messages lie at both relays", len(all))
	}
	measure(t, "copies at two relays", compare(all, false))
	// What isn't protected, and is said in the threat model: two relays that
	// put their disks together link copies by when they came.
	wins(t, "two relays that compare when mail came", compare(all, true))
	other := map[uint64]bool{}
	for _, x := range second {
		other[x.box] = true
	}
	if slices.ContainsFunc(disk, func(x seen) bool { return other[x.box] }) {
		t.Error("two relays have one name for a mailbox")
	}
}

// TestCopiesControls deposits copies that have something in common.
func TestCopiesControls(t *testing.T) {
	controls := map[string]func(first, second []byte){
		"the same envelope at both": func(a, b []byte) { copy(b, a) },
		"the same tag":              func(a, b []byte) { copy(b[:16], a[:16]) },
		"the same cure":             func(a, b []byte) { copy(b[16:32], a[16:32]) },
		"the same ciphertext":       func(a, b []byte) { copy(b[32:], a[32:]) },
	}
	for name, spoil := range controls {
		t.Run(name, func(t *testing.T) {
			var all []pair
			rng := rand.New(rand.NewPCG(3, 0))
			noise := rand.NewChaCha8([32]byte{1})
			of := func() seen {
				b := make([]byte, envelope.S.Size())
				_, _ = noise.Read(b)
				return seen{envelope: b}
			}
			for range 200 {
				p := pair{a: of(), b: of(), same: rng.IntN(2) == 0}
				if p.same {
					spoil(p.a.envelope, p.b.envelope)
				}
				p.a.object, p.b.object = wire.Object(p.a.envelope), wire.Object(p.b.envelope)
				all = append(all, p)
			}
			wins(t, name, compare(all, false))
		})
	}
}
