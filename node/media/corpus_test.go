package media

import (
	"bytes"
	"errors"
	"image"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/bep/imagemeta"

	"rushlight/node/internal/judge"
)

func cleaned(t testing.TB, b []byte) ([]byte, *Cleaned, error) {
	t.Helper()
	c, err := Clean(t.Context(), bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, nil, err
	}
	var out bytes.Buffer
	n, err := out.ReadFrom(c.Reader())
	if err != nil {
		t.Fatal(err)
	}
	if n != c.Size() || n != int64(out.Len()) {
		t.Errorf("%d bytes written, %d announced", n, c.Size())
	}
	return out.Bytes(), c, nil
}

// samePicture compares what is seen, where there is a decoder.
func samePicture(t testing.TB, a, b []byte) {
	t.Helper()
	p, format, err := image.Decode(bytes.NewReader(a))
	if err != nil {
		return
	}
	q, other, err := image.Decode(bytes.NewReader(b))
	if err != nil || format != other || p.Bounds() != q.Bounds() {
		t.Errorf("a %s picture became %s, %v", format, other, err)
		return
	}
	for y := p.Bounds().Min.Y; y < p.Bounds().Max.Y; y++ {
		for x := p.Bounds().Min.X; x < p.Bounds().Max.X; x++ {
			if p.At(x, y) != q.At(x, y) {
				t.Errorf("another pixel at %d, %d", x, y)
				return
			}
		}
	}
}

// left reads what imagemeta still finds.
func left(t testing.TB, b []byte, f imagemeta.ImageFormat) (out []string) {
	t.Helper()
	_, _ = imagemeta.Decode(imagemeta.Options{
		R: bytes.NewReader(b), ImageFormat: f, Sources: imagemeta.EXIF | imagemeta.IPTC | imagemeta.XMP,
		HandleTag: func(i imagemeta.TagInfo) error { out = append(out, i.Tag); return nil },
	})
	return out
}

var formats = map[Type]imagemeta.ImageFormat{
	JPEG: imagemeta.JPEG, PNG: imagemeta.PNG, WebP: imagemeta.WebP, HEIC: imagemeta.HEIF, AVIF: imagemeta.AVIF,
}

// Every picture that imagemeta is tested with is cleaned so that imagemeta
// finds nothing but an orientation, looks as before, and is clean then.
func TestCorpus(t *testing.T) {
	found, cleanedFiles, refused := 0, 0, 0
	err := filepath.WalkDir(judge.Corpus(t), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) == ".txt" {
			return err
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			out, c, err := cleaned(t, b)
			if slices.Contains([]string{".arw", ".cr2", ".dng", ".nef", ".pef", ".tif"}, filepath.Ext(path)) {
				if !errors.Is(err, ErrUnknown) {
					t.Errorf("%s: %v", Detect(b), err)
				}
				return
			}
			if _, _, broken := image.Decode(bytes.NewReader(b)); err != nil && broken != nil {
				refused++ // some have no picture behind the metadata
				return
			}
			if err != nil {
				t.Fatal(Detect(b), err)
			}
			cleanedFiles++
			if len(left(t, b, formats[c.Type])) > 0 {
				found++
			}
			for _, tag := range left(t, out, formats[c.Type]) {
				if tag != "Orientation" {
					t.Errorf("%s is left", tag)
				}
			}
			samePicture(t, b, out)
			again, _, err := cleaned(t, out)
			if err != nil || !bytes.Equal(again, out) {
				t.Errorf("a second time changes it: %v", err)
			}
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d files cleaned; in %d of them there was something; %d without a picture refused", cleanedFiles, found, refused)
	if found < 50 {
		t.Error("control: the corpus has nothing to remove")
	}
}
