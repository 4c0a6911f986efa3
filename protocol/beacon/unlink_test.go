package beacon

import (
	"encoding/binary"
	"math/bits"
	"testing"
	"time"

	"rushlight/protocol/suite"
)

// A stranger who keeps beacons is shown two, either of one owner or of two, and
// says which. Its advantage is how much better than a coin it does.

// suspicious is what the stranger looks for: anything in the clear that is the
// same, or near.
func suspicious(a, b []byte) bool {
	x, errA := parseHead(a)
	y, errB := parseHead(b)
	if errA != nil || errB != nil {
		return false
	}
	const near = uint64(4 * 24 * time.Hour / time.Millisecond)
	if x.key == y.key || x.work == y.work || x.number-y.number < near || y.number-x.number < near {
		return true
	}
	if x.expires%86400 == y.expires%86400 && x.expires%86400 != 0 {
		return true
	}
	seen := map[[4]byte]bool{}
	for i := headSize; i+4 <= Size; i++ {
		seen[[4]byte(a[i:i+4])] = true
	}
	same := 0
	for i := headSize; i+4 <= Size; i++ {
		if seen[[4]byte(b[i:i+4])] {
			same++
		}
	}
	if same > 2 {
		return true
	}
	// The bits of two encryptions differ in half.
	differ := 0
	for i := headSize; i < Size; i++ {
		differ += bits.OnesCount8(a[i] ^ b[i])
	}
	half := 8 * (Size - headSize) / 2
	return differ < half*9/10
}

// maker makes the beacon of a place, well or badly.
type maker func(o *Owner, p Place, at time.Time) []byte

func advantage(t *testing.T, rounds int, other func(r Reader, p Place) Place, gap time.Duration, make maker) float64 {
	t.Helper()
	right := 0
	for range rounds {
		for _, same := range []bool{true, false} {
			o := NewOwner()
			p := Place{Epoch: o.Reader().Epoch(noon)}
			a := make(o, p, noon)
			q := other(o.Reader(), p)
			if !same {
				o = NewOwner()
				q = other(o.Reader(), Place{Epoch: o.Reader().Epoch(noon)})
			}
			if suspicious(a, make(o, q, noon.Add(gap))) == same {
				right++
			}
		}
	}
	return float64(right)/float64(rounds) - 1
}

// headed puts a beacon together from a head, leaving out the work, which is
// random.
func headed(o *Owner, p Place, h head, b *blinded) []byte {
	suite.Random(h.work[:])
	h.key = b.public
	out := suite.SealBox(h.marshal(), o.Reader().sealKey(p), h.marshal(), make([]byte, textSize))
	return append(out, b.sign(out)...)
}

func TestBeaconsDontLink(t *testing.T) {
	const rounds = 300
	tomorrow := func(_ Reader, p Place) Place { return Place{p.Epoch + 1, p.N} }
	beside := func(_ Reader, p Place) Place { return Place{p.Epoch, p.N + 1} }
	good := func(o *Owner, p Place, at time.Time) []byte {
		r := o.Reader()
		return headed(o, p, head{number: r.number(p, at), expires: r.expiry(p.Epoch)}, o.blind(p))
	}
	if a := advantage(t, rounds, tomorrow, Day, good); a > 0.1 {
		t.Errorf("two days of one owner are told from two owners with an advantage of %.2f", a)
	}
	if a := advantage(t, rounds, beside, 0, good); a > 0.1 {
		t.Errorf("two places of one day: an advantage of %.2f", a)
	}

	// Controls: each thing that is blinded, left as it is.
	for name, bad := range map[string]maker{
		"one key": func(o *Owner, p Place, at time.Time) []byte {
			r := o.Reader()
			return headed(o, p, head{number: r.number(p, at), expires: r.expiry(p.Epoch)}, o.blind(Place{}))
		},
		"plain numbers": func(o *Owner, p Place, _ time.Time) []byte {
			var first [8]byte
			copy(first[:], o.read[:])
			n := binary.BigEndian.Uint64(first[:])>>2 + p.Epoch + uint64(p.N)
			return headed(o, p, head{number: n, expires: o.Reader().expiry(p.Epoch)}, o.blind(p))
		},
		"expiry by the second": func(o *Owner, p Place, at time.Time) []byte {
			r := o.Reader()
			return headed(o, p, head{number: r.number(p, at), expires: uint32(r.Begin(p.Epoch + 2).Unix())}, o.blind(p))
		},
		"no encryption": func(o *Owner, p Place, at time.Time) []byte {
			v := good(o, p, at)
			copy(v[headSize:], o.seed[:])
			return v
		},
	} {
		if a := advantage(t, 50, tomorrow, Day, bad); a < 0.9 {
			t.Errorf("control: %s: an advantage of %.2f", name, a)
		}
	}
}
