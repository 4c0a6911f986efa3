package media

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"rushlight/node/internal/judge"
)

// HEIC and AVIF pictures are shown as before, upright, says libheif.
func TestSameHEIF(t *testing.T) {
	convert := judge.Program(t, "heif-convert", "libheif-examples")
	frames := func(b []byte, end string) []byte {
		path := filepath.Join(t.TempDir(), "in"+end)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := exec.Command(convert, path, path+".y4m").CombinedOutput(); err != nil {
			return nil // some have more in them than this libheif reads
		}
		out, err := os.ReadFile(path + ".y4m")
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	same := 0
	err := filepath.WalkDir(judge.Corpus(t), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !slices.Contains([]string{".heic", ".heif", ".avif"}, filepath.Ext(path)) {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		out, _, err := cleaned(t, b)
		if err != nil {
			return err
		}
		if testing.Short() && len(b) > 1<<20 {
			return nil
		}
		before := frames(b, filepath.Ext(path))
		if before == nil {
			return nil
		}
		if same++; !bytes.Equal(frames(out, filepath.Ext(path)), before) {
			t.Errorf("%s looks otherwise", filepath.Base(path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if same < 3 && !testing.Short() {
		t.Errorf("control: libheif reads %d pictures", same)
	}
}
