package engine

import (
	"testing"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Every character folds alike however it is written, and the quick ways are the
// long one.
func TestFold(t *testing.T) {
	var f folder
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if 0xd800 <= r && r < 0xe000 {
			continue
		}
		want := foldRune(r)
		if got := string(f.fold(nil, []byte(string(r)))); got != want {
			t.Fatalf("%U folds to %q instead of %q", r, got, want)
		}
		for _, form := range []norm.Form{norm.NFC, norm.NFD, norm.NFKC, norm.NFKD} {
			if form.IsNormalString(string(r)) {
				continue
			}
			if got := string(f.fold(nil, form.Bytes([]byte(string(r))))); got != want {
				t.Fatalf("%U folds to %q, and written otherwise to %q", r, want, got)
			}
		}
		if len(f.met) > maxMet {
			t.Fatal("a folder remembers too much")
		}
	}
}
