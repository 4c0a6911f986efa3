package message_test

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"strconv"
	"testing"

	"rushlight/protocol/identity"
	"rushlight/protocol/message"
)

var update = flag.Bool("update", false, "write the vectors that are missing")

const vectorFile = "../testdata/message.json"

func currentVectors(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	m := sample()
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	hash, body := m.Hash(), m.BodyHash()
	out["message"] = hex.EncodeToString(b)
	out["message-hash"] = hex.EncodeToString(hash[:])
	out["message-body-hash"] = hex.EncodeToString(body[:])
	out["message-id"] = m.ID().String()
	out["direct-01-02"] = message.DirectConversation(identity.AccountID{1}, identity.AccountID{2}).String()
	for i, p := range packets() {
		b, err := message.MarshalPacket(p)
		if err != nil {
			t.Fatal(err)
		}
		out["packet-"+strconv.Itoa(i)] = hex.EncodeToString(b)
	}
	for name, b := range bodies() {
		enc, err := b.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		out["body-"+name] = hex.EncodeToString(enc)
	}
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
