package suite_test

import (
	"bytes"
	"testing"

	"rushlight/protocol/suite"
)

// TestBoxes: what Boxes seals is opened as what SealBox does, and no two have the
// same nonce, whatever keys they are under.
func TestBoxes(t *testing.T) {
	keys := [][32]byte{{1}, {2}, {3}}
	b := suite.NewBoxes(keys[0])
	nonces, series := map[string]bool{}, map[string]int{}
	for i := range 1000 {
		key, ad, text := keys[i%4%3], []byte{byte(i)}, bytes.Repeat([]byte{byte(i)}, i)
		box := b.Seal([]byte("before"), key[:], ad, text)
		if !bytes.HasPrefix(box, []byte("before")) || len(box) != 6+len(text)+suite.BoxOverhead {
			t.Fatal("not appended")
		}
		box = box[6:]
		if got, err := suite.OpenBox(nil, key[:], ad, box); err != nil || !bytes.Equal(got, text) {
			t.Fatal("doesn't open", err)
		}
		if _, err := suite.OpenBox(nil, key[:], []byte("other"), box); err == nil {
			t.Fatal("opens with other associated data")
		}
		nonces[string(box[:24])] = true
		series[string(box[:16])]++
	}
	if len(nonces) != 1000 || len(series) != 16 {
		t.Errorf("%d nonces in %d series", len(nonces), len(series))
	}
	for _, n := range series {
		if n > 64 {
			t.Error("a series of", n)
		}
	}
}
