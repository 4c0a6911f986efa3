package handshake

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
	"testing/cryptotest"

	"rushlight/protocol/identity"
)

// vectors are frozen: a format never changes without a new version, and a file
// only grows. Each entry was made by generate with its seed.
type vectors struct {
	Seed       uint64 `json:"seed"`
	LastResort bool   `json:"lastResort"`
	Manifest   string `json:"responderManifest"`
	Device     string `json:"responderDevice"`
	Bundle     string `json:"bundle"`
	Secrets    string `json:"secrets"`
	Flight     string `json:"flight"`
	Root       string `json:"root"`
	Transcript string `json:"transcript"`
	Replay     string `json:"replayKey"`
	Invite     string `json:"inviteSecret"`
	Opener     string `json:"opener"`
	Relay      string `json:"relay"`
	Tag        string `json:"tag"`
	First      string `json:"first"`
}

func generate(t *testing.T, seed uint64, lastResort bool) vectors {
	cryptotest.SetGlobalRandom(t, seed)
	x := hex.EncodeToString
	alice, bob := newParty(t), newParty(t)
	b, s := bob.bundle(t, lastResort)
	f, k := alice.initiate(t, b, bob)
	secret, relay := [32]byte{byte(seed)}, [32]byte{9}
	opener := OpenerFor(&secret, b.Hash())
	if lastResort {
		opener = OpenerFor(nil, b.Hash())
	}
	first, err := SealFirst(opener, b, First{f, []byte("hello")}.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	tag, replay := FirstTag(opener, relay), ReplayKey(b, f)
	return vectors{
		Seed: seed, LastResort: lastResort,
		Manifest: x(bob.manifest.Marshal()), Device: x(bob.device.Marshal()),
		Bundle: x(b.Marshal()), Secrets: x(s.Marshal()), Flight: x(f.Marshal()),
		Root: x(k.Root[:]), Transcript: x(k.Transcript[:]), Replay: x(replay[:]),
		Invite: x(secret[:]), Opener: x(opener[:]), Relay: x(relay[:]), Tag: x(tag[:]), First: x(first),
	}
}

func TestVectors(t *testing.T) {
	raw, err := os.ReadFile("../testdata/handshake.json")
	if err != nil {
		t.Fatal(err)
	}
	var frozen []vectors
	if err := json.Unmarshal(raw, &frozen); err != nil || len(frozen) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	for _, v := range frozen {
		if got := generate(t, v.Seed, v.LastResort); got != v {
			j, _ := json.MarshalIndent(got, "", " ")
			t.Errorf("seed %d gives\n%s", v.Seed, j)
			continue
		}
		v.check(t)
	}
}

// check answers the frozen flight with the frozen secrets.
func (v vectors) check(t *testing.T) {
	t.Helper()
	b := func(s string) []byte {
		out, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	m, err1 := identity.ParseManifest(b(v.Manifest))
	d, err2 := identity.ParseDevice(b(v.Device))
	bundle, err3 := ParseBundle(b(v.Bundle))
	s, err4 := ParseSecrets(b(v.Secrets))
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			t.Fatal(err)
		}
	}
	plain, err := OpenFirst([32]byte(b(v.Opener)), s, b(v.First))
	if err != nil {
		t.Fatal(err)
	}
	p, err := ParseFirst(plain)
	if err != nil || string(p.Message) != "hello" || hex.EncodeToString(p.Flight.Marshal()) != v.Flight {
		t.Fatalf("first flight: %v", err)
	}
	k, err := Respond(now, d, m, s, bundle, p.Flight)
	if err != nil || k.Root != [32]byte(b(v.Root)) || k.Transcript != [32]byte(b(v.Transcript)) {
		t.Errorf("keys: %v", err)
	}
}
