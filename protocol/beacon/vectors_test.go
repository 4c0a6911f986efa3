package beacon

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"testing"
	"testing/cryptotest"

	"rushlight/protocol/wire"
)

var update = flag.Bool("update", false, "write the vectors that are missing")

const vectorFile = "../testdata/beacon.json"

// currentVectors computes every vector from an owner whose seed is 00… and
// whose read secret is 40…, at epoch 20833.
func currentVectors(t *testing.T) map[string]string {
	t.Helper()
	cryptotest.SetGlobalRandom(t, 1)
	b := make([]byte, 64)
	for i := range b {
		b[i] = byte(i)
	}
	o, err := ParseOwner(b)
	if err != nil {
		t.Fatal(err)
	}
	r := o.Reader()
	out := map[string]string{
		"public": hex.EncodeToString(r.Public[:]),
		"phase":  fmt.Sprint(r.phase()),
	}
	body := someBody()
	body.Relays = []Relay{{Key: [32]byte{9}, Addrs: [][]byte{{4, 5, 6, 7, 8, 6, 1, 1}}, HopID: 7, HopKey: [32]byte{8}, Request: [32]byte{6}}}
	body.Other = []wire.Record{{Type: 77, Value: []byte("later")}}
	plain, err := body.marshal()
	if err != nil {
		t.Fatal(err)
	}
	out["body"] = hex.EncodeToString(plain)
	for n := range uint8(Places) {
		p := Place{20833, n}
		k, v, err := o.Seal(p, body, r.Begin(p.Epoch))
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("place-%d-", n)
		blinded := o.blind(p)
		out[name+"blinded"] = hex.EncodeToString(blinded.public[:])
		out[name+"key"] = hex.EncodeToString(k[:])
		out[name+"seal-key"] = hex.EncodeToString(r.sealKey(p))
		out[name+"origin"] = fmt.Sprint(r.origin(p))
		out[name+"value"] = hex.EncodeToString(v)
	}
	invite := InviteOwner([32]byte{1, 2, 3}).Marshal()
	out["invite-owner"] = hex.EncodeToString(invite)
	return out
}

// TestVectors holds the code to vectors written once. The file only grows.
func TestVectors(t *testing.T) {
	got := currentVectors(t)
	frozen := map[string]string{}
	b, err := os.ReadFile(vectorFile)
	if err == nil {
		err = json.Unmarshal(b, &frozen)
	}
	if err != nil && !*update {
		t.Fatal(err)
	}
	for name, want := range frozen {
		if got[name] != want {
			t.Errorf("%s changed or is gone", name)
		}
	}
	grown := false
	for name, v := range got {
		if _, ok := frozen[name]; !ok {
			grown = true
			frozen[name] = v
			if !*update {
				t.Errorf("%s is not frozen: run with -update", name)
			}
		}
	}
	if !grown || !*update {
		return
	}
	if b, err = json.MarshalIndent(frozen, "", "  "); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorFile, append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
