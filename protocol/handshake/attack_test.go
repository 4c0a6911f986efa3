package handshake

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/mlkem"
	"crypto/sha3"
	"errors"
	"testing"

	"rushlight/protocol/identity"
	"rushlight/protocol/suite"
)

// world is one session with all its secrets, of which an attacker gets some.
type world struct {
	alice, bob *party
	eph        *ecdh.PrivateKey
	b          *Bundle
	s          *Secrets
	f          *Flight
	keys       Keys
	opener     [32]byte
	sealed     []byte
}

func newWorld(t *testing.T, lastResort bool) *world {
	t.Helper()
	w := &world{alice: newParty(t), bob: newParty(t)}
	w.b, w.s = w.bob.bundle(t, lastResort)
	var err error
	if w.eph, err = newKey(); err != nil {
		t.Fatal(err)
	}
	w.f, w.keys, err = initiate(now, w.alice.device, w.alice.manifest, w.b, w.bob.manifest, 1, w.eph)
	if err != nil {
		t.Fatal(err)
	}
	w.opener = OpenerFor(&[32]byte{1}, w.b.Hash())
	if w.sealed, err = SealFirst(w.opener, w.b, First{w.f, nil}.Marshal()); err != nil {
		t.Fatal(err)
	}
	return w
}

// recover is the attacker: from the recorded flight, public keys and the
// secrets it was given, it computes the root. Without the X25519 secrets it
// has 32 zero bytes for each exchange, without the ML-KEM secret 32 zero bytes
// for the encapsulated one: any value it could choose without them is as good.
func (w *world) recover(t *testing.T, x25519, kem bool) [32]byte {
	t.Helper()
	var ikm []byte
	steps := []step{
		{w.alice.device.Agreement, w.s.signed.PublicKey()},
		{w.eph, w.bob.device.Agreement.PublicKey()},
		{w.eph, w.s.signed.PublicKey()},
	}
	if w.s.oneTime != nil {
		steps = append(steps, step{w.eph, w.s.oneTime.PublicKey()})
	}
	for _, s := range steps {
		dh := make([]byte, 32)
		if x25519 {
			var err error
			if dh, err = s.private.ECDH(s.public); err != nil {
				t.Fatal(err)
			}
		}
		ikm = append(ikm, dh...)
	}
	ss := make([]byte, 32)
	if kem {
		dk, err := mlkem.NewDecapsulationKey768(w.s.pq.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if ss, err = dk.Decapsulate(w.f.Ciphertext[:]); err != nil {
			t.Fatal(err)
		}
	}
	root, _ := schedule(append(ikm, ss...), transcript(w.b, w.f))
	return root
}

func TestCompromise(t *testing.T) {
	kinds(t, func(t *testing.T, lastResort bool) {
		w := newWorld(t, lastResort)
		for _, c := range []struct {
			name        string
			x25519, kem bool
			falls       bool
		}{
			{"nothing", false, false, false},
			{"every X25519 secret", true, false, false},
			{"every ML-KEM secret", false, true, false},
			{"both", true, true, true}, // the control: the attack is real
		} {
			if got := w.recover(t, c.x25519, c.kem) == w.keys.Root; got != c.falls {
				t.Errorf("%s: root recovered %v, want %v", c.name, got, c.falls)
			}
		}
	})
}

// Each single exchange matters: with all others known, the root stays hidden.
func TestEveryExchangeCounts(t *testing.T) {
	w := newWorld(t, false)
	steps := []step{
		{w.alice.device.Agreement, w.s.signed.PublicKey()},
		{w.eph, w.bob.device.Agreement.PublicKey()},
		{w.eph, w.s.signed.PublicKey()},
		{w.eph, w.s.oneTime.PublicKey()},
	}
	ss, err := w.s.pq.Decapsulate(w.f.Ciphertext[:])
	if err != nil {
		t.Fatal(err)
	}
	ikm, err := mix(steps, ss)
	if err != nil {
		t.Fatal(err)
	}
	root, _ := schedule(ikm, w.keys.Transcript)
	if root != w.keys.Root {
		t.Fatal("control: all exchanges do not give the root")
	}
	for i := range 5 {
		part := append([]byte(nil), ikm...)
		clear(part[32*i : 32*i+32])
		if root, _ := schedule(part, w.keys.Transcript); root == w.keys.Root {
			t.Errorf("exchange %d does not count", i+1)
		}
	}
}

// The first flight's seal hides the initiator from an attacker who has one
// half of the X-Wing key.
func TestSealCompromise(t *testing.T) {
	w := newWorld(t, false)
	seed, err := w.s.seal.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	opens := func(k hpke.PrivateKey) bool {
		_, err := OpenFirst(w.opener, &Secrets{Bundle: w.b.Hash(), seal: k}, w.sealed)
		return err == nil
	}
	whole, err := hpke.MLKEM768X25519().NewPrivateKey(seed)
	if err != nil || !opens(whole) {
		t.Fatalf("control: the whole key does not open: %v", err)
	}
	// The X-Wing seed expands to the ML-KEM seed and the X25519 key
	// (draft-connolly-cfrg-xwing-kem, §5.2).
	pqSeed, x := expandXWing(seed)
	dk, err1 := mlkem.NewDecapsulationKey768(pqSeed)
	xk, err2 := ecdh.X25519().NewPrivateKey(x)
	other, err3 := newKey()
	otherDK, err4 := mlkem.GenerateKey768()
	both, err5 := hpke.NewHybridPrivateKey(dk, xk)
	onlyPQ, err6 := hpke.NewHybridPrivateKey(dk, other)
	onlyX, err7 := hpke.NewHybridPrivateKey(otherDK, xk)
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7); err != nil {
		t.Fatal(err)
	}
	if !opens(both) {
		t.Fatal("control: the two halves do not open")
	}
	if opens(onlyPQ) || opens(onlyX) {
		t.Fatal("one half opens")
	}
}

// Unknown key share: mallory lists bob's or alice's agreement key as its own
// device's. The transcript keeps the two ends from agreeing; without it (the
// control) they would share a key while each thinks of somebody else.
func TestUnknownKeyShare(t *testing.T) {
	alice, bob, mallory := newParty(t), newParty(t), newParty(t)
	b, s := bob.bundle(t, false)

	// Mallory poses as the initiator of alice's flight.
	f, _ := alice.initiate(t, b, bob)
	stolen := alice.device.Info(20000)
	stolen.Signing = mallory.device.Info(0).Signing
	m, err := identity.NewManifest(mallory.account, nil, []identity.DeviceInfo{stolen})
	if err != nil {
		t.Fatal(err)
	}
	g := *f
	g.Manifest, g.Device = m, mallory.device.ID()
	if _, err := bob.respond(s, b, &g); !errors.Is(err, ErrRefused) {
		t.Errorf("alice's flight under mallory's name: %v", err)
	}

	// Mallory poses as the maker of bob's bundle.
	stolen = bob.device.Info(20000)
	stolen.Signing = mallory.device.Info(0).Signing
	if m, err = identity.NewManifest(mallory.account, nil, []identity.DeviceInfo{stolen}); err != nil {
		t.Fatal(err)
	}
	forged := *b
	forged.Account, forged.Device = m.ID(), mallory.device.ID()
	copy(forged.Sig[:], suite.Sign(mallory.device.Signing, labelBundle, forged.body()))
	toMallory, keys, err := Initiate(now, alice.device, alice.manifest, &forged, m)
	if err != nil {
		t.Fatalf("the bundle itself is well-formed: %v", err)
	}
	if _, err := bob.respond(s, b, toMallory); !errors.Is(err, ErrRefused) {
		t.Errorf("flight for mallory's bundle: %v", err)
	}
	toMallory.Bundle = b.Hash()
	if _, err := bob.respond(s, b, toMallory); !errors.Is(err, ErrRefused) {
		t.Errorf("flight for mallory's bundle, renamed: %v", err)
	}

	// Control: the exchanges alone do not tell bob's bundle from mallory's.
	ss, _ := s.pq.Decapsulate(toMallory.Ciphertext[:])
	eph, _ := x25519Key(toMallory.Ephemeral)
	dik := alice.device.Agreement.PublicKey()
	ikm, err := mix([]step{{s.signed, dik}, {bob.device.Agreement, eph}, {s.signed, eph}, {s.oneTime, eph}}, ss)
	if err != nil {
		t.Fatal(err)
	}
	if root, _ := schedule(ikm, keys.Transcript); root != keys.Root {
		t.Fatal("control: bob's secrets do not give alice's root under her transcript")
	}
}

// A replayed flight gives the same keys again as long as its bundle is
// answered; ReplayKey is what tells.
func TestReplay(t *testing.T) {
	kinds(t, func(t *testing.T, lastResort bool) {
		alice, bob := newParty(t), newParty(t)
		b, s := bob.bundle(t, lastResort)
		f, _ := alice.initiate(t, b, bob)
		seen := map[[32]byte]bool{}
		first, err := bob.respond(s, b, f)
		if err != nil || seen[ReplayKey(b, f)] {
			t.Fatalf("first use: %v", err)
		}
		seen[ReplayKey(b, f)] = true

		again, err := bob.respond(s, b, f)
		if err != nil || again.Root != first.Root {
			t.Fatalf("control: the replay must succeed but for the replay key: %v", err)
		}
		if !seen[ReplayKey(b, f)] {
			t.Fatal("replay not seen")
		}
		other, _ := alice.initiate(t, b, bob)
		if seen[ReplayKey(b, other)] {
			t.Fatal("an honest second flight is taken for a replay")
		}
		// Another spelling of the same point is no way around it.
		g := *f
		g.Ephemeral[31] |= 0x80
		if _, err := bob.respond(s, b, &g); !errors.Is(err, ErrRefused) {
			t.Errorf("respelled ephemeral: %v", err)
		}
	})
}

// Years later an attacker takes both devices and has the recorded flight. Of a
// one-time bundle they no longer hold the secrets, and the root is safe; of a
// last-resort bundle within its life (the control) they do, and it falls.
func TestForwardSecrecyOfKinds(t *testing.T) {
	kinds(t, func(t *testing.T, lastResort bool) {
		w := newWorld(t, lastResort)
		dh := func(k *ecdh.PrivateKey, p *ecdh.PublicKey) []byte {
			out, err := k.ECDH(p)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		spk, _ := x25519Key(w.b.Signed.Key)
		eph, _ := x25519Key(w.f.Ephemeral)
		ikm := append(dh(w.alice.device.Agreement, spk), dh(w.bob.device.Agreement, eph)...)
		if w.s.LastResort() {
			ss, err := w.s.pq.Decapsulate(w.f.Ciphertext[:])
			if err != nil {
				t.Fatal(err)
			}
			ikm = append(append(ikm, dh(w.s.signed, eph)...), ss...)
		} else {
			ikm = append(ikm, make([]byte, 96)...)
		}
		root, _ := schedule(ikm, transcript(w.b, w.f))
		if got := root == w.keys.Root; got != lastResort {
			t.Fatalf("root recovered: %v", got)
		}
	})
}

// expandXWing splits an X-Wing seed into the seed of its ML-KEM key and its
// X25519 key.
func expandXWing(seed []byte) (pq, x []byte) {
	out := sha3.SumSHAKE256(seed, 96)
	return out[:64], out[64:]
}
