package envelope_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"rushlight/protocol/envelope"
)

var update = flag.Bool("update", false, "write the vectors that are missing")

const vectorFile = "../testdata/envelope.json"

// seq is n bytes counting up from first.
func seq(first byte, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = first + byte(i)
	}
	return out
}

func hexOf[T ~[]byte](b T) string { return hex.EncodeToString(b) }

// currentVectors computes every vector from fixed inputs: seed 00…, device
// 40…, relay 80…, content key c0…, opener e0…, cure f0….
func currentVectors(t *testing.T) map[string]string {
	t.Helper()
	must := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	seed, relay, content, opener := [32]byte(seq(0, 32)), [32]byte(seq(0x80, 32)), [32]byte(seq(0xc0, 32)), [32]byte(seq(0xe0, 32))
	dev, cure, tag := [16]byte(seq(0x40, 16)), [16]byte(seq(0xf0, 16)), [16]byte(seq(0x10, 16))
	out := map[string]string{}
	c := envelope.NewChain(seed, dev)
	w := envelope.NewWindow(seed, dev)
	out["chain-0"] = hexOf(c.Marshal())
	for i := range 3 {
		_, mk := c.Next()
		k := envelope.KeysFor(mk, relay)
		name := "index-" + string(rune('0'+i))
		out[name+"-key"] = hexOf(mk[:])
		out[name+"-relay-tag"] = hexOf(k.Tag[:])
		out[name+"-relay-key"] = hexOf(k.Key[:])
		out[name+"-relay-cure"] = hexOf(k.Cure[:])
		out[name+"-relay-cure-hash"] = hexOf(k.CureHash[:])
		direct := envelope.TagFor(mk, envelope.Direct)
		out[name+"-direct-tag"] = hexOf(direct[:])
	}
	out["chain-3"] = hexOf(c.Marshal())
	out["window-new"] = hexOf(w.Marshal())
	for _, i := range []uint64{0, 2, 40} {
		if _, err := w.Received(i); err != nil {
			t.Fatal(err)
		}
	}
	out["window-0-2-40"] = hexOf(w.Marshal())
	slots := make([][]byte, envelope.S.Slots())
	for i := range slots {
		slots[i] = seq(byte(i), envelope.SlotSize)
	}
	payload := must(envelope.Pack(envelope.S, content, slots, []byte("rushlight")))
	out["payload-S"] = hexOf(payload)
	ack := envelope.AckMAC(opener, tag, dev)
	out["ack"] = hexOf(ack[:])
	_, mk := envelope.NewChain(seed, dev).Next()
	keys := envelope.KeysFor(mk, relay)
	out["envelope-S"] = hexOf(must(envelope.Seal(nil, keys, envelope.S, payload)))
	for name, class := range map[string]envelope.Class{"M": envelope.M, "L": envelope.L} {
		sum := sha256.Sum256(must(envelope.Seal(nil, keys, class, payload)))
		out["envelope-"+name+"-sha256"] = hexOf(sum[:])
	}
	first := must(envelope.PackFirstFlight(envelope.M, cure, []byte("flight")))
	sum := sha256.Sum256(must(envelope.Seal(nil, envelope.FirstKeys(opener, tag, relay, cure), envelope.M, first)))
	out["first-M-sha256"] = hexOf(sum[:])
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
	b, err = json.MarshalIndent(frozen, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorFile, append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
