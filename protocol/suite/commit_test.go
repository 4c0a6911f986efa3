package suite_test

import (
	"bytes"
	"math/big"
	"slices"
	"testing"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"

	"rushlight/protocol/suite"
)

// opened is a key of [suite.Seal] taken apart (spec §2.4).
type opened struct{ key, nonce, commitment []byte }

func takeApart(key []byte) opened {
	o := suite.Derive(key, nil, 76, "rushlight/suite/seal/1")
	return opened{o[:32], o[32:44], o[44:]}
}

// takeApartOneTime is the same for a [suite.OneTime].
func takeApartOneTime(key []byte) opened {
	o := oneTime(key)
	return opened{o[:32], make([]byte, 12), o[32:]}
}

// oneTime returns r and s of Poly1305 (RFC 8439 §2.5, §2.6).
func (o opened) oneTime(t *testing.T) (r, s *big.Int) {
	t.Helper()
	c, err := chacha20.NewUnauthenticatedCipher(o.key, o.nonce)
	if err != nil {
		t.Fatal(err)
	}
	var k [32]byte
	c.XORKeyStream(k[:], k[:])
	for _, i := range []int{3, 7, 11, 15} {
		k[i] &= 15
	}
	for _, i := range []int{4, 8, 12} {
		k[i] &= 252
	}
	return little(k[:16]), little(k[16:])
}

func little(b []byte) *big.Int {
	b = bytes.Clone(b)
	slices.Reverse(b)
	return new(big.Int).SetBytes(b)
}

// collide makes a ciphertext of one block and its tag that are valid under
// both keys, or returns nil when this pair of keys has none of this form.
func collide(t *testing.T, a, b opened) []byte {
	t.Helper()
	two128 := new(big.Int).Lsh(big.NewInt(1), 128)
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 130), big.NewInt(5))
	lengths := new(big.Int).Add(two128, new(big.Int).Lsh(big.NewInt(16), 64))
	ra, sa := a.oneTime(t)
	rb, sb := b.oneTime(t)
	tag := func(x, r, s *big.Int) *big.Int {
		acc := new(big.Int).Mul(x, r)
		acc.Mod(acc.Add(acc, lengths).Mul(acc, r), p)
		return acc.Mod(acc.Add(acc, s), two128)
	}
	squares := new(big.Int).Sub(new(big.Int).Mul(ra, ra), new(big.Int).Mul(rb, rb))
	inverse := new(big.Int).ModInverse(squares.Mod(squares, p), p)
	for j := int64(-4); j <= 4; j++ {
		x := new(big.Int).Sub(sb, sa)
		x.Add(x, new(big.Int).Mul(big.NewInt(j), two128))
		x.Sub(x, new(big.Int).Mul(lengths, new(big.Int).Sub(ra, rb)))
		x.Mod(x.Mul(x, inverse), p)
		if block := new(big.Int).Sub(x, two128); block.Sign() >= 0 && block.Cmp(two128) < 0 && tag(x, ra, sa).Cmp(tag(x, rb, sb)) == 0 {
			out := append(block.FillBytes(make([]byte, 16)), tag(x, ra, sa).FillBytes(make([]byte, 16))...)
			slices.Reverse(out[:16])
			slices.Reverse(out[16:])
			return out
		}
	}
	return nil
}

// TestSealCommits makes a ciphertext that the bare cipher opens under two
// keys, which is the control, and shows that what checks the commitment takes
// it under the one it commits to only.
func TestSealCommits(t *testing.T) {
	for name, takeApart := range map[string]func([]byte) opened{"seal": takeApart, "with": takeApartOneTime} {
		t.Run(name, func(t *testing.T) { sealCommits(t, ciphers[name].open, takeApart) })
	}
}

func sealCommits(t *testing.T, open func(dst, key, ad, ct []byte) ([]byte, error), takeApart func([]byte) opened) {
	first := bytes.Repeat([]byte{1}, 32)
	a := takeApart(first)
	for n := range byte(255) {
		second := bytes.Repeat([]byte{n + 2}, 32)
		b := takeApart(second)
		ct := collide(t, a, b)
		if ct == nil {
			continue
		}
		for _, o := range []opened{a, b} {
			bare, err := chacha20poly1305.New(o.key)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := bare.Open(nil, o.nonce, ct, nil); err != nil {
				t.Fatal("control: the bare cipher opens it under one key only")
			}
		}
		sealed := append(bytes.Clone(a.commitment), ct...)
		if _, err := open(nil, first, nil, sealed); err != nil {
			t.Error("it does not open under the key it commits to")
		}
		if _, err := open(nil, second, nil, sealed); err == nil {
			t.Error("it opens under a second key")
		}
		return
	}
	t.Fatal("control: no ciphertext for two keys was found")
}
