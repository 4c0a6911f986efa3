package wire

import (
	"strings"
	"testing"
)

func TestTextHasOneSpelling(t *testing.T) {
	s := EncodeText([]byte("a key and so on"))
	for _, ok := range []string{s, strings.ToUpper(s)} {
		if b, err := DecodeText(ok); err != nil || string(b) != "a key and so on" {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range []string{
		s[:1] + strings.ToUpper(s[1:]), s + "=", " " + s, s + "\n", "aaaaa\naaa", "ab", "a", "aaaaaaa1",
		"\u212aAAAAAAA", "\u0130AAAAAAA", // letters whose lower case is k and i
	} {
		if _, err := DecodeText(bad); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

func FuzzDecodeText(f *testing.F) {
	f.Add("mfra")
	f.Add("MFRA")
	f.Fuzz(func(t *testing.T, s string) {
		b, err := DecodeText(s)
		if err == nil && EncodeText(b) != s && strings.ToUpper(EncodeText(b)) != s {
			t.Fatalf("%q decodes to what encodes as %q", s, EncodeText(b))
		}
	})
}
