package blob

import (
	"os"
	"path/filepath"
	"testing"
)

// What the system could not put on the disk on the way is told at the end, where
// nothing else would tell it any more.
func TestFlushed(t *testing.T) {
	r, pipe, err := os.Pipe() // can't be put on a disk
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close(); _ = pipe.Close() }()
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for _, c := range []struct {
		wrote int
		fails bool
	}{{flushEvery - 1, false}, {flushEvery, true}} {
		w := &flusher{f: pipe}
		w.wrote(c.wrote)
		w.rest()
		w.f = f
		if err := w.finish(); (err != nil) != c.fails {
			t.Errorf("after %d bytes: %v", c.wrote, err)
		}
	}
}
