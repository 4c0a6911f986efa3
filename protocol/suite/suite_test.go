package suite

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

const labelTest Label = "rushlight/suite/test/1"

// No two different lists of fields have one frame.
func TestFrameIsInjective(t *testing.T) {
	field := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'a'}), 0, 6)
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.SliceOfN(field, 0, 4).Draw(t, "a"), rapid.SliceOfN(field, 0, 4).Draw(t, "b")
		same := len(a) == len(b)
		for i := 0; same && i < len(a); i++ {
			same = bytes.Equal(a[i], b[i])
		}
		if bytes.Equal(Frame(labelTest, a...), Frame(labelTest, b...)) != same {
			t.Fatalf("%x and %x", a, b)
		}
	})
	if bytes.Equal(Frame("ab", []byte("c")), Frame("a", []byte("bc"))) {
		t.Fatal("label runs into the field")
	}
}

// Whatever is sealed opens only under its key, its associated data and
// unaltered.
func TestSeals(t *testing.T) {
	k, other, ad, msg := make([]byte, 32), bytes.Repeat([]byte{1}, 32), []byte("ad"), []byte("message")
	for name, s := range map[string]struct {
		seal func(dst, key, ad, pt []byte) []byte
		open func(dst, key, ad, ct []byte) ([]byte, error)
		over int
	}{"Seal": {Seal, Open, SealOverhead}, "SealBox": {SealBox, OpenBox, BoxOverhead}} {
		ct := s.seal([]byte("head"), k, ad, msg)[4:]
		if pt, err := s.open([]byte("x"), k, ad, ct); err != nil || string(pt) != "xmessage" || len(ct) != len(msg)+s.over {
			t.Fatalf("%s: round trip %q %v", name, pt, err)
		}
		bad := map[string]error{}
		_, bad["other key"] = s.open(nil, other, ad, ct)
		_, bad["other data"] = s.open(nil, k, nil, ct)
		_, bad["nothing"] = s.open(nil, k, ad, nil)
		for i := range 8 * len(ct) {
			c := bytes.Clone(ct)
			c[i/8] ^= 1 << (i % 8)
			if _, err := s.open(nil, k, ad, c); !errors.Is(err, ErrOpen) {
				t.Fatalf("%s: bit %d: %v", name, i, err)
			}
		}
		for why, err := range bad {
			if !errors.Is(err, ErrOpen) {
				t.Errorf("%s, %s: %v", name, why, err)
			}
		}
	}
}

func TestStretch(t *testing.T) {
	k := [32]byte{1}
	if Stretch(1, k, labelTest) == Stretch(2, k, labelTest) || Stretch(2, k, labelTest) == Stretch(2, [32]byte{2}, labelTest) ||
		Stretch(1, k, labelTest, nil) == Stretch(1, k, labelTest) {
		t.Fatal("rounds, key or fields do not count")
	}
}
