package kem

import (
	"bytes"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"errors"
	"testing"

	"rushlight/protocol/suite"
)

// TestMatchesStandardLibrary compares with crypto/mlkem on many keys: same
// ciphertext, same secret, and it decapsulates.
func TestMatchesStandardLibrary(t *testing.T) {
	keys := 10_000
	if testing.Short() {
		keys = 300
	}
	for range keys {
		var seed [SeedSize]byte
		var m [32]byte
		suite.Random(seed[:])
		suite.Random(m[:])
		header, vector := Public(&seed)
		ct1, secret := Encaps1(&header, &m)
		ct2, err := Encaps2(&header, vector, &m)
		if err != nil {
			t.Fatal(err)
		}

		dk, err := mlkem.NewDecapsulationKey768(seed[:])
		if err != nil {
			t.Fatal(err)
		}
		wantSecret, wantCT, err := mlkemtest.Encapsulate768(dk.EncapsulationKey(), m[:])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(wantCT, bytes.Join([][]byte{ct1, ct2}, nil)) || !bytes.Equal(wantSecret, secret[:]) {
			t.Fatal("encapsulation differs from crypto/mlkem")
		}
		got, err := Decaps(&seed, ct1, ct2)
		if err != nil || got != secret {
			t.Fatalf("decapsulation gives another secret (err %v)", err)
		}
	}
}

func TestSplitJoinsBack(t *testing.T) {
	dk, err := mlkem.GenerateKey768()
	if err != nil {
		t.Fatal(err)
	}
	ek := dk.EncapsulationKey().Bytes()
	header, vector, err := Split(ek)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ek, bytes.Join([][]byte{vector, header[:32]}, nil)) {
		t.Fatal("vector ‖ ρ is not the key")
	}
	for _, bad := range [][]byte{nil, ek[1:], append(bytes.Clone(ek), 0)} {
		if _, _, err := Split(bad); !errors.Is(err, ErrKey) {
			t.Fatalf("length %d: %v", len(bad), err)
		}
	}
}

func TestKeyOfAnotherHeaderIsRefused(t *testing.T) {
	var m [32]byte
	seed, other := [SeedSize]byte{1}, [SeedSize]byte{2}
	header, vector := Public(&seed)
	otherHeader, otherVector := Public(&other)
	if _, err := Encaps2(&header, vector, &m); err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(vector)
	flipped[5] ^= 1
	rho := header
	rho[0] ^= 1
	for name, c := range map[string]struct {
		header [HeaderSize]byte
		vector []byte
	}{
		"another vector":  {header, otherVector},
		"another header":  {otherHeader, vector},
		"one bit":         {header, flipped},
		"one bit of seed": {rho, vector},
		"short":           {header, vector[:VectorSize-1]},
		"empty":           {header, nil},
	} {
		if _, err := Encaps2(&c.header, c.vector, &m); !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDecapsLengths(t *testing.T) {
	var seed [SeedSize]byte
	for _, c := range [][2]int{{CT1Size - 1, CT2Size}, {CT1Size, CT2Size + 1}, {CT1Size - 1, CT2Size + 1}, {0, 0}} {
		if _, err := Decaps(&seed, make([]byte, c[0]), make([]byte, c[1])); err == nil {
			t.Errorf("lengths %v accepted", c)
		}
	}
}

func BenchmarkEncaps1(b *testing.B) {
	var m [32]byte
	header, _ := Public(&[SeedSize]byte{1})
	b.ReportAllocs()
	for b.Loop() {
		Encaps1(&header, &m)
	}
}

func BenchmarkEncaps2(b *testing.B) {
	var m [32]byte
	header, vector := Public(&[SeedSize]byte{1})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Encaps2(&header, vector, &m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecaps(b *testing.B) {
	var m [32]byte
	seed := [SeedSize]byte{1}
	header, vector := Public(&seed)
	ct1, _ := Encaps1(&header, &m)
	ct2, err := Encaps2(&header, vector, &m)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Decaps(&seed, ct1, ct2); err != nil {
			b.Fatal(err)
		}
	}
}
