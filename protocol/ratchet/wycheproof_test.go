package ratchet

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"
)

// TestWycheproofX25519 runs the vectors through agree: results are exact, and
// a result of zero is an error.
func TestWycheproofX25519(t *testing.T) {
	b, err := fs.ReadFile(wycheproof.TestVectors, "x25519_test.json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		TestGroups []struct {
			Tests []struct {
				TcID                    int
				Public, Private, Shared hexBytes
			}
		}
	}
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	good, refusals := 0, 0
	for _, g := range f.TestGroups {
		for _, v := range g.Tests {
			p := pair{private: [32]byte(v.Private)}
			got, err := p.agree((*[32]byte)(v.Public))
			zero := bytes.Equal(v.Shared, make([]byte, 32))
			if (err != nil) != zero || err == nil && !bytes.Equal(got, v.Shared) {
				t.Errorf("vector %d: %v", v.TcID, err)
			}
			if zero {
				refusals++
			} else {
				good++
			}
		}
	}
	if good == 0 || refusals == 0 {
		t.Fatalf("%d results, %d refusals", good, refusals)
	}
}
