package suite

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"testing"
)

// FuzzHMAC compares the MAC and the key derivation with the standard
// library's.
func FuzzHMAC(f *testing.F) {
	f.Add([]byte("key"), []byte("salt"), []byte("text"), uint16(32))
	f.Add(bytes.Repeat([]byte{1}, 65), []byte{}, bytes.Repeat([]byte{2}, 1000), uint16(8160))
	f.Add(bytes.Repeat([]byte{1}, 64), []byte{0}, bytes.Repeat([]byte{2}, 448), uint16(0))
	f.Fuzz(func(t *testing.T, key, salt, text []byte, n uint16) {
		h := hmac.New(sha256.New, key)
		h.Write(text)
		if got := hmacSHA256(key, text); !bytes.Equal(got[:], h.Sum(nil)) {
			t.Fatal("HMAC differs")
		}
		n %= 8161
		want, err := hkdf.Key(sha256.New, key, salt, string(text), int(n))
		if err != nil {
			t.Fatal(err)
		}
		prk := hmacSHA256(salt, key)
		got := make([]byte, n)
		if expandBehind(got, prk[:], append(append(make([]byte, infoAt), text...), 0)); !bytes.Equal(got, want) {
			t.Fatal("HKDF differs")
		}
	})
}

func BenchmarkMAC(b *testing.B) {
	key, field := make([]byte, 32), make([]byte, 32)
	b.ReportAllocs()
	for b.Loop() {
		MAC(key, "rushlight/suite/seal/1", field)
	}
}
