package handshake

import (
	"bytes"
	"testing"
)

func FuzzParseBundle(f *testing.F) {
	bob := newParty(f)
	for _, lastResort := range []bool{false, true} {
		b, _ := bob.bundle(f, lastResort)
		f.Add(b.Marshal())
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		b, err := ParseBundle(in)
		if err != nil {
			return
		}
		_ = b.Verify(bob.manifest, now)
		if !bytes.Equal(b.Marshal(), in) {
			t.Fatal("not canonical")
		}
	})
}

func FuzzParseFlight(f *testing.F) {
	alice, bob := newParty(f), newParty(f)
	b, s := bob.bundle(f, false)
	fl, _ := alice.initiate(f, b, bob)
	good := fl.Marshal()
	f.Add(good)
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := ParseFlight(in)
		if err != nil {
			return
		}
		if !bytes.Equal(got.Marshal(), in) {
			t.Fatal("not canonical")
		}
		if _, err := bob.respond(s, b, got); err == nil && !bytes.Equal(in, good) {
			t.Fatal("forged flight accepted")
		}
	})
}

func FuzzParseFirst(f *testing.F) {
	alice, bob := newParty(f), newParty(f)
	b, _ := bob.bundle(f, false)
	fl, _ := alice.initiate(f, b, bob)
	f.Add(First{fl, []byte("hello")}.Marshal())
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := ParseFirst(in)
		if err == nil && !bytes.Equal(p.Marshal(), in) {
			t.Fatal("not canonical")
		}
	})
}

func FuzzParseSecrets(f *testing.F) {
	bob := newParty(f)
	for _, lastResort := range []bool{false, true} {
		_, s := bob.bundle(f, lastResort)
		f.Add(s.Marshal())
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := ParseSecrets(in)
		if err == nil && !bytes.Equal(s.Marshal(), in) {
			t.Fatal("not canonical")
		}
	})
}
