package suite

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"
	"golang.org/x/crypto/chacha20poly1305"
)

// vector has the fields of every kind of Wycheproof test that is used here.
type vector struct {
	ID      int    `json:"tcId"`
	Result  string `json:"result"`
	Public  hexed  `json:"public"`
	Private hexed  `json:"private"`
	Shared  hexed  `json:"shared"`
	Key     hexed  `json:"key"`
	IV      hexed  `json:"iv"`
	AAD     hexed  `json:"aad"`
	Msg     hexed  `json:"msg"`
	CT      hexed  `json:"ct"`
	Tag     hexed  `json:"tag"`
	Sig     hexed  `json:"sig"`
	IKM     hexed  `json:"ikm"`
	Salt    hexed  `json:"salt"`
	Info    hexed  `json:"info"`
	Size    int    `json:"size"`
	OKM     hexed  `json:"okm"`

	pk hexed // of the group
}

type hexed []byte

func (h *hexed) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

// each runs f on every vector of a file: f returns whether the primitive
// accepted it, which must be what the vector says. Vectors marked acceptable
// may go either way.
func each(t *testing.T, name string, f func(vector) bool) {
	t.Helper()
	raw, err := fs.ReadFile(wycheproof.TestVectors, name)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		NumberOfTests int `json:"numberOfTests"`
		TestGroups    []struct {
			PublicKey struct {
				PK hexed `json:"pk"`
			} `json:"publicKey"`
			Tests []vector `json:"tests"`
		} `json:"testGroups"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	ran := map[string]int{}
	for _, g := range file.TestGroups {
		for _, v := range g.Tests {
			v.pk = g.PublicKey.PK
			got := f(v)
			if v.Result != "acceptable" && got != (v.Result == "valid") {
				t.Errorf("%s %d: accepted %v, is %s", name, v.ID, got, v.Result)
			}
			ran[v.Result]++
		}
	}
	n := ran["valid"] + ran["invalid"] + ran["acceptable"]
	if n != file.NumberOfTests || ran["valid"]+ran["acceptable"] == 0 {
		t.Fatalf("ran %v of %d", ran, file.NumberOfTests)
	}
	t.Logf("%s: %v", name, ran)
}

func TestWycheproofX25519(t *testing.T) {
	each(t, "x25519_test.json", func(v vector) bool {
		k, err1 := ecdh.X25519().NewPrivateKey(v.Private)
		p, err2 := ecdh.X25519().NewPublicKey(v.Public)
		if err1 != nil || err2 != nil {
			return false
		}
		s, err := k.ECDH(p)
		zero := bytes.Equal(v.Shared, make([]byte, 32))
		if zero != (err != nil) {
			t.Errorf("%d: an all-zero secret is refused and no other: %v", v.ID, err)
		}
		return err == nil && bytes.Equal(s, v.Shared)
	})
}

func TestWycheproofEd25519(t *testing.T) {
	each(t, "ed25519_test.json", func(v vector) bool {
		return len(v.Sig) == ed25519.SignatureSize && ed25519.Verify(ed25519.PublicKey(v.pk), v.Msg, v.Sig)
	})
}

func TestWycheproofHKDF(t *testing.T) {
	each(t, "hkdf_sha256_test.json", func(v vector) bool {
		out, err := hkdf.Key(sha256.New, v.IKM, v.Salt, string(v.Info), v.Size)
		return err == nil && bytes.Equal(out, v.OKM)
	})
}

func TestWycheproofHMAC(t *testing.T) {
	each(t, "hmac_sha256_test.json", func(v vector) bool {
		h := hmac.New(sha256.New, v.Key)
		h.Write(v.Msg)
		return Equal(h.Sum(nil)[:len(v.Tag)], v.Tag)
	})
}

func TestWycheproofChaCha20Poly1305(t *testing.T) {
	each(t, "chacha20_poly1305_test.json", func(v vector) bool {
		a, err := chacha20poly1305.New(v.Key)
		if err != nil || len(v.IV) != chacha20poly1305.NonceSize {
			return false
		}
		pt, err := a.Open(nil, v.IV, append(v.CT, v.Tag...), v.AAD)
		return err == nil && bytes.Equal(pt, v.Msg)
	})
}

// XChaCha20-Poly1305 is used exactly as OpenBox lays it out: nonce in front.
func TestWycheproofXChaCha20Poly1305(t *testing.T) {
	each(t, "xchacha20_poly1305_test.json", func(v vector) bool {
		if len(v.IV) != chacha20poly1305.NonceSizeX {
			return false
		}
		pt, err := OpenBox(nil, v.Key, v.AAD, append(append(bytes.Clone(v.IV), v.CT...), v.Tag...))
		return err == nil && bytes.Equal(pt, v.Msg)
	})
}
