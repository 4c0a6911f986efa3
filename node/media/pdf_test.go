package media

import (
	"bytes"
	"errors"
	"testing"

	"rushlight/node/internal/judge"
)

func TestPDF(t *testing.T) {
	out, _, err := cleaned(t, judge.Document)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(out, []byte("a remark")) {
		t.Error("a comment is lost")
	}
	for _, word := range []string{canary, "2020", "pdfcpu", "D:2"} {
		if bytes.Contains(out, []byte(word)) {
			t.Errorf("%s is left in\n%s", word, out)
		}
	}
	again, _, err := cleaned(t, out)
	if err != nil || !bytes.Equal(again, out) {
		t.Errorf("a second time changes it: %v\n%s\n%s", err, out, again)
	}
	if _, _, err := cleaned(t, judge.Document[:30]); !errors.Is(err, ErrDamaged) {
		t.Errorf("cut off: %v", err)
	}
}
