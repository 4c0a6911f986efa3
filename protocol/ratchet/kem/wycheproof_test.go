package kem

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"
)

type vector struct {
	ID     int    `json:"tcId"`
	Seed   hexed  `json:"seed"`
	M      hexed  `json:"m"`
	EK     hexed  `json:"ek"`
	C      hexed  `json:"c"`
	K      hexed  `json:"K"`
	Result string `json:"result"`
}

type hexed []byte

func (h *hexed) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

func vectors(t *testing.T, name string) []vector {
	t.Helper()
	b, err := fs.ReadFile(wycheproof.TestVectors, name)
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		TestGroups []struct{ Tests []vector }
	}
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	var out []vector
	for _, g := range f.TestGroups {
		out = append(out, g.Tests...)
	}
	if len(out) == 0 {
		t.Fatal("no vectors")
	}
	return out
}

// cut splits a ciphertext of any length the way a receiver of the two parts
// would hold it.
func cut(ct []byte) (ct1, ct2 []byte) {
	i := min(CT1Size, len(ct))
	return ct[:i], ct[i:]
}

func TestWycheproofDecaps(t *testing.T) {
	ran := map[string]int{}
	for _, v := range vectors(t, "mlkem_768_test.json") {
		ct1, ct2 := cut(v.C)
		ok := len(v.Seed) == SeedSize
		var got [SecretSize]byte
		if ok {
			seed := [SeedSize]byte(v.Seed)
			header, vec := Public(&seed)
			if len(v.EK) != 0 && !bytes.Equal(v.EK, bytes.Join([][]byte{vec, header[:32]}, nil)) {
				t.Errorf("%d: encapsulation key differs", v.ID)
			}
			var err error
			got, err = Decaps(&seed, ct1, ct2)
			ok = err == nil
		}
		switch {
		case ok != (v.Result == "valid"):
			t.Errorf("%d: accepted %v, want %s", v.ID, ok, v.Result)
		case ok && !bytes.Equal(got[:], v.K):
			t.Errorf("%d: wrong secret", v.ID)
		}
		ran[v.Result]++
	}
	t.Log(ran)
}

func TestWycheproofEncaps(t *testing.T) {
	ran := map[string]int{}
	for _, v := range vectors(t, "mlkem_768_encaps_test.json") {
		// The overflow vectors carry 64 bytes of randomness; the key is what
		// they are about.
		m := [32]byte(v.M[:32])
		header, vec, err := Split(v.EK)
		var ct1, ct2 []byte
		var secret [SecretSize]byte
		if err == nil {
			ct1, secret = Encaps1(&header, &m)
			ct2, err = Encaps2(&header, vec, &m)
		}
		switch {
		case (err == nil) != (v.Result == "valid"):
			t.Errorf("%d: err %v, want %s", v.ID, err, v.Result)
		case err == nil && (!bytes.Equal(secret[:], v.K) || !bytes.Equal(bytes.Join([][]byte{ct1, ct2}, nil), v.C)):
			t.Errorf("%d: wrong secret or ciphertext", v.ID)
		}
		ran[v.Result]++
	}
	t.Log(ran)
}
