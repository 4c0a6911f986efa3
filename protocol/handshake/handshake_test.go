package handshake

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rushlight/protocol/identity"
	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

var now = time.Unix(1_800_000_000, 0)

const week = 7 * 24 * time.Hour

type party struct {
	account  *identity.Account
	device   *identity.Device
	manifest *identity.Manifest
}

func newParty(t testing.TB) *party {
	t.Helper()
	p := &party{account: identity.NewAccount(), device: identity.NewDevice()}
	var err error
	p.manifest, err = identity.NewManifest(p.account, nil, []identity.DeviceInfo{p.device.Info(20000)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *party) bundle(t testing.TB, lastResort bool) (*Bundle, *Secrets) {
	t.Helper()
	b, s, err := newBundle(p.device, p.manifest, now, week, lastResort)
	if err != nil {
		t.Fatal(err)
	}
	return b, s
}

func (p *party) initiate(t testing.TB, b *Bundle, with *party) (*Flight, Keys) {
	t.Helper()
	f, k, err := Initiate(now, p.device, p.manifest, b, with.manifest)
	if err != nil {
		t.Fatal(err)
	}
	return f, k
}

func (p *party) respond(s *Secrets, b *Bundle, f *Flight) (Keys, error) {
	return Respond(now, p.device, p.manifest, s, b, f)
}

// kinds runs a test for both kinds of bundle.
func kinds(t *testing.T, f func(t *testing.T, lastResort bool)) {
	t.Run("one-time", func(t *testing.T) { f(t, false) })
	t.Run("last resort", func(t *testing.T) { f(t, true) })
}

func TestBothSidesAgree(t *testing.T) {
	kinds(t, func(t *testing.T, lastResort bool) {
		alice, bob := newParty(t), newParty(t)
		b, s := bob.bundle(t, lastResort)
		if b.LastResort() != lastResort || s.LastResort() != lastResort {
			t.Fatal("wrong kind")
		}
		// Everything goes through its encoding once.
		b2, err1 := ParseBundle(b.Marshal())
		s2, err2 := ParseSecrets(s.Marshal())
		f, ka := alice.initiate(t, b2, bob)
		f2, err3 := ParseFlight(f.Marshal())
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		kb, err := bob.respond(s2, b2, f2)
		if err != nil {
			t.Fatal(err)
		}
		if ka.Root != kb.Root || ka.Transcript != kb.Transcript {
			t.Fatal("keys differ")
		}
		if !ka.PeerRatchet.Equal(kb.Ratchet.PublicKey()) || ka.Ratchet != nil || kb.PeerRatchet != nil {
			t.Fatal("ratchet keys differ")
		}
		if _, again := alice.initiate(t, b, bob); again.Root == ka.Root {
			t.Fatal("two sessions share a root")
		}
	})
}

func TestSizes(t *testing.T) {
	alice, bob := newParty(t), newParty(t)
	b, _ := bob.bundle(t, false)
	f, _ := alice.initiate(t, b, bob)
	sealed, err := SealFirst(OpenerFor(nil, b.Hash()), b, First{f, make([]byte, 100)}.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("bundle %d, flight %d, sealed with a message of 100 %d bytes", len(b.Marshal()), len(f.Marshal()), len(sealed))
	if len(sealed) != len(f.Marshal())+2+100+FirstOverhead {
		t.Fatal("FirstOverhead is wrong")
	}
	if len(f.Marshal()) > 1600 {
		t.Fatal("flight grew")
	}
}

func TestTimes(t *testing.T) {
	alice, bob := newParty(t), newParty(t)
	b, s := bob.bundle(t, false)
	f, _ := alice.initiate(t, b, bob)
	end := now.Add(week)
	for _, c := range []struct {
		at             time.Time
		start, respond error
	}{
		{now, nil, nil},
		{now.Add(-skew), nil, nil},
		{now.Add(-skew - time.Second), ErrExpired, ErrExpired},
		{end.Add(-time.Second), nil, nil},
		{end, ErrExpired, nil},
		{end.Add(Grace - time.Second), ErrExpired, nil},
		{end.Add(Grace), ErrExpired, ErrExpired},
	} {
		_, _, err := Initiate(c.at, alice.device, alice.manifest, b, bob.manifest)
		if !errors.Is(err, c.start) {
			t.Errorf("initiate at %v: %v", c.at.Sub(now), err)
		}
		_, err = Respond(c.at, bob.device, bob.manifest, s, b, f)
		if !errors.Is(err, c.respond) {
			t.Errorf("respond at %v: %v", c.at.Sub(now), err)
		}
	}
}

// A bundle with any bit changed starts no session.
func TestBundleBitFlips(t *testing.T) {
	kinds(t, func(t *testing.T, lastResort bool) {
		alice, bob := newParty(t), newParty(t)
		b, _ := bob.bundle(t, lastResort)
		raw := b.Marshal()
		try := func(raw []byte) error {
			got, err := ParseBundle(raw)
			if err != nil {
				return err
			}
			_, _, err = Initiate(now, alice.device, alice.manifest, got, bob.manifest)
			return err
		}
		if err := try(raw); err != nil {
			t.Fatalf("control: %v", err)
		}
		for i := range raw {
			c := bytes.Clone(raw)
			c[i] ^= 1 << (i % 8)
			if err := try(c); !errors.Is(err, ErrUntrusted) && !errors.Is(err, wire.ErrMalformed) {
				t.Fatalf("byte %d changed: %v", i, err)
			}
			if try(raw[:i]) == nil {
				t.Fatalf("cut to %d", i)
			}
		}
	})
}

// A flight with any bit changed is refused by Respond itself, and the
// untouched one still works afterwards.
func TestFlightBitFlips(t *testing.T) {
	kinds(t, func(t *testing.T, lastResort bool) {
		alice, bob := newParty(t), newParty(t)
		b, s := bob.bundle(t, lastResort)
		f, _ := alice.initiate(t, b, bob)
		raw, before := f.Marshal(), s.Marshal()
		try := func(raw []byte) error {
			got, err := ParseFlight(raw)
			if err != nil {
				return err
			}
			_, err = bob.respond(s, b, got)
			return err
		}
		for i := range raw {
			c := bytes.Clone(raw)
			c[i] ^= 1 << (i % 8)
			if err := try(c); !errors.Is(err, ErrRefused) && !errors.Is(err, wire.ErrMalformed) {
				t.Fatalf("byte %d changed: %v", i, err)
			}
			if try(raw[:i]) == nil {
				t.Fatalf("cut to %d", i)
			}
		}
		if !bytes.Equal(s.Marshal(), before) {
			t.Fatal("refused flights changed the secrets")
		}
		if err := try(raw); err != nil {
			t.Fatalf("control: %v", err)
		}
	})
}

// The bundle the responder uses must be the one its secrets were made for.
func TestResponderBundle(t *testing.T) {
	alice, bob := newParty(t), newParty(t)
	b, s := bob.bundle(t, false)
	other, otherSecrets := bob.bundle(t, false)
	f, _ := alice.initiate(t, b, bob)
	carol := newParty(t)
	for name, err := range map[string]error{
		"other bundle":  second(bob.respond(s, other, f)),
		"other secrets": second(bob.respond(otherSecrets, b, f)),
		"both other":    second(bob.respond(otherSecrets, other, f)),
		"other device":  second(carol.respond(s, b, f)),
	} {
		if !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	own, _ := alice.bundle(t, false)
	if _, _, err := Initiate(now, alice.device, alice.manifest, own, alice.manifest); !errors.Is(err, ErrUntrusted) {
		t.Errorf("session with oneself: %v", err)
	}
	if _, _, err := Initiate(now, carol.device, alice.manifest, b, bob.manifest); !errors.Is(err, identity.ErrNotListed) {
		t.Errorf("initiator not listed: %v", err)
	}
	if _, _, err := NewOneTimeBundle(carol.device, alice.manifest, now, week); !errors.Is(err, identity.ErrNotListed) {
		t.Errorf("maker not listed: %v", err)
	}
}

func second(_ Keys, err error) error { return err }

// No suite, version or form other than the one there is: nothing to fall back
// to.
func TestNoDowngrade(t *testing.T) {
	alice, bob := newParty(t), newParty(t)
	b, s := bob.bundle(t, false)
	f, _ := alice.initiate(t, b, bob)
	for at := range 2 { // version, suite
		for _, v := range []byte{0, 2, 255} {
			rawB, rawF, rawS := b.Marshal(), f.Marshal(), s.Marshal()
			rawB[at], rawF[at], rawS[0] = v, v, v
			_, err1 := ParseBundle(rawB)
			_, err2 := ParseFlight(rawF)
			_, err3 := ParseSecrets(rawS)
			for _, err := range []error{err1, err2, err3} {
				if !errors.Is(err, wire.ErrMalformed) {
					t.Errorf("byte %d = %d: %v", at, v, err)
				}
			}
		}
	}
	// Even its own maker cannot sign away the post-quantum key, or turn a
	// one-time bundle into one of last resort by dropping its one-time key.
	raw := b.Marshal()
	pq := typed(typeMLKEM, b.PQ.Key[:])
	for name, forged := range map[string][]byte{
		"no PQ key":            bytes.Replace(raw, pq, nil, 1),
		"empty PQ key":         bytes.Replace(raw, pq, typed(typeMLKEM, nil), 1),
		"X25519 for ML-KEM":    bytes.Replace(raw, pq, typed(typeX25519, b.Signed.Key[:]), 1),
		"ML-KEM as X25519":     bytes.Replace(raw, pq, typed(typeX25519, b.PQ.Key[:]), 1),
		"X-Wing for ML-KEM":    bytes.Replace(raw, pq, typed(typeXWing, b.Seal[:]), 1),
		"one-time key dropped": bytes.Replace(raw, append([]byte{1, byte(b.OneTime.ID >> 24), byte(b.OneTime.ID >> 16), byte(b.OneTime.ID >> 8), byte(b.OneTime.ID)}, typed(typeX25519, b.OneTime.Key[:])...), []byte{0}, 1),
	} {
		if bytes.Equal(forged, raw) {
			t.Fatalf("%s: test value is the original", name)
		}
		if _, err := ParseBundle(forged); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	weak := *b
	weak.OneTime = nil
	copy(weak.Sig[:], suite.Sign(bob.device.Signing, labelBundle, weak.body()))
	if _, _, err := Initiate(now, alice.device, alice.manifest, &weak, bob.manifest); !errors.Is(err, ErrUntrusted) {
		t.Errorf("one-time bundle without its key: %v", err)
	}
	// A last-resort bundle passed off as one-time loses its signature.
	last, _ := bob.bundle(t, true)
	last.PQ.LastResort, last.OneTime = false, b.OneTime
	if err := last.Verify(bob.manifest, now); !errors.Is(err, ErrUntrusted) {
		t.Errorf("mark removed: %v", err)
	}
}

// Low-order points give nothing an attacker knows.
func TestLowOrderKeys(t *testing.T) {
	alice, bob := newParty(t), newParty(t)
	b, s := bob.bundle(t, false)
	f, _ := alice.initiate(t, b, bob)
	for _, p := range [][32]byte{{}, {1}} {
		g := *f
		g.Ephemeral = p
		if _, err := bob.respond(s, b, &g); !errors.Is(err, ErrRefused) {
			t.Errorf("ephemeral: %v", err)
		}
		c := *b
		c.Signed.Key = p
		copy(c.Sig[:], suite.Sign(bob.device.Signing, labelBundle, c.body()))
		if _, _, err := Initiate(now, alice.device, alice.manifest, &c, bob.manifest); !errors.Is(err, ErrUntrusted) {
			t.Errorf("signed key: %v", err)
		}
	}
}

func TestFirstFlight(t *testing.T) {
	alice, bob := newParty(t), newParty(t)
	b, s := bob.bundle(t, false)
	f, _ := alice.initiate(t, b, bob)
	secret := [32]byte{7}
	opener := OpenerFor(&secret, b.Hash())
	payload := First{f, []byte("hello")}.Marshal()
	sealed, err := SealFirst(opener, b, payload)
	if err != nil {
		t.Fatal(err)
	}
	got, err := OpenFirst(opener, s, sealed)
	if err != nil || !bytes.Equal(got, payload) {
		t.Fatalf("round trip: %v", err)
	}
	p, err := ParseFirst(got)
	if err != nil || string(p.Message) != "hello" || p.Flight.Bundle != b.Hash() {
		t.Fatalf("payload: %v", err)
	}
	_, other := bob.bundle(t, false)
	wrong := [32]byte{8}
	for name, err := range map[string]error{
		"other bundle":    secondB(OpenFirst(opener, other, sealed)),
		"other invite":    secondB(OpenFirst(OpenerFor(&wrong, b.Hash()), s, sealed)),
		"no invite":       secondB(OpenFirst(OpenerFor(nil, b.Hash()), s, sealed)),
		"invite, other b": secondB(OpenFirst(OpenerFor(&secret, other.Bundle), s, sealed)),
	} {
		if !errors.Is(err, suite.ErrOpen) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := 0; i < len(sealed); i += 7 {
		c := bytes.Clone(sealed)
		c[i] ^= 1 << (i % 8)
		if _, err := OpenFirst(opener, s, c); !errors.Is(err, suite.ErrOpen) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if _, err := OpenFirst(opener, s, sealed[:i]); !errors.Is(err, suite.ErrOpen) {
			t.Fatalf("cut to %d: %v", i, err)
		}
	}
	// Inside the outer layer: HPKE alone refuses as well.
	inner, _ := suite.OpenBox(nil, firstKey(opener), nil, sealed)
	for i := 0; i < len(inner); i += 13 {
		c := bytes.Clone(inner)
		c[i] ^= 1
		if _, err := OpenFirst(opener, s, suite.SealBox(nil, firstKey(opener), nil, c)); !errors.Is(err, suite.ErrOpen) {
			t.Fatalf("HPKE byte %d changed: %v", i, err)
		}
	}
	r1, r2 := [32]byte{1}, [32]byte{2}
	if FirstTag(opener, r1) == FirstTag(opener, r2) {
		t.Error("tags")
	}
}

func secondB(_ []byte, err error) error { return err }

func TestRankIsATotalOrder(t *testing.T) {
	gen := rapid.Custom(func(t *rapid.T) Rank {
		return Rank{rapid.Uint32Range(0, 3).Draw(t, "g"), [16]byte{rapid.Byte().Draw(t, "id")}}
	})
	rapid.Check(t, func(t *rapid.T) {
		set := rapid.SliceOfN(gen, 1, 6).Draw(t, "sessions")
		want := SendOn(set)
		if got := SendOn(rapid.Permutation(set).Draw(t, "order")); got != want {
			t.Fatal("the order of arrival decides")
		}
		for _, r := range set {
			if r.Generation > want.Generation || r.Generation == want.Generation && bytes.Compare(r.ID[:], want.ID[:]) < 0 {
				t.Fatalf("%v was passed over for %v", r, want)
			}
		}
	})
	if !Receives(now, now.Add(GlareWindow-1)) || Receives(now, now.Add(GlareWindow)) {
		t.Error("window")
	}
	if NextGeneration(1) != 2 || NextGeneration(1<<32-1) != 1<<32-1 {
		t.Error("generation")
	}
}
