package node_test

import (
	"bytes"
	"encoding/binary"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rushlight/node/internal/judge"
)

// timed is a film with a track that says where the camera was, as phones and
// drones write it (the format is Google's, camera motion metadata).
func timed(t testing.TB, film []byte) []byte {
	t.Helper()
	b := bytes.Clone(film)
	place := make([]byte, 0, 28)
	place = binary.LittleEndian.AppendUint32(place, 5<<16)
	for _, f := range []float64{48.8577, 2.295, 77} {
		place = binary.LittleEndian.AppendUint64(place, math.Float64bits(f))
	}
	handler := bytes.Index(b, []byte("mhlrtext"))
	sample := bytes.Index(b, []byte("CanarySubtitle"))
	if handler < 0 || sample < 2 {
		t.Fatal("the film has no track of text")
	}
	copy(b[handler:], "mhlrmeta")
	entry := handler + bytes.Index(b[handler:], []byte("stsd"))
	copy(b[entry+bytes.Index(b[entry:], []byte("text")):], "camm")
	copy(b[sample-2:], place)
	return b
}

// made writes files of every kind that is cleaned into a directory, with
// everything that exiftool can tell in them.
func made(t *testing.T, exiftool, dir string) {
	t.Helper()
	put := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	get := func(path ...string) []byte {
		b, err := os.ReadFile(filepath.Join(path...))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	corpus, stored := judge.Corpus(t), filepath.Join("media", "testdata")
	put("a.jpg", coded(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, grainy(60, 40), nil) }))
	put("a.png", coded(t, func(b *bytes.Buffer) error { return png.Encode(b, grainy(60, 40)) }))
	put("a.gif", coded(t, func(b *bytes.Buffer) error { return gif.Encode(b, grainy(60, 40), nil) }))
	put("a.webp", get(corpus, "bep", "sunrise_lossy.webp"))
	put("a.avif", get(corpus, "bep", "sunset.avif"))
	put("a.heic", get(corpus, "iphone.heic"))
	put("a.pdf", judge.Document)
	for _, name := range []string{"film.mp4", "film-text.mov", "film-fragmented.mp4", "film.webm", "sound.m4a", "sound.mp3", "sound.flac", "sound.ogg", "sound.wav"} {
		put(name, get(stored, name))
	}
	put("timed.mov", timed(t, get(stored, "film-text.mov")))
	thumbnail := filepath.Join(t.TempDir(), "t.jpg")
	if err := os.WriteFile(thumbnail, coded(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, grainy(16, 12), nil) }), 0o600); err != nil {
		t.Fatal(err)
	}
	said := judge.Tell(t, exiftool, dir, thumbnail, filepath.Join(corpus, "metadata-extractor", "simple.jpg"))
	// A picture that moves has a film behind its end.
	put("moves.jpg", append(get(dir, "a.jpg"), get(stored, "film.mp4")...))
	was := judge.Tags(t, exiftool, dir)
	for file, wants := range map[string]string{
		"a.jpg":     "GPSLatitude SerialNumber ThumbnailImage XMP-dc:Title IPTC:City Canon: Comment UserComment Make Software DateTimeOriginal Orientation",
		"a.png":     "GPSLatitude SerialNumber XMP-dc:Title PNG:Author PNG:Comment Orientation",
		"a.gif":     "XMP-dc:Creator Comment",
		"a.webp":    "XMP-dc:Creator",
		"a.avif":    "GPSLatitude SerialNumber XMP-dc:Title",
		"a.heic":    "GPSLatitude SerialNumber XMP-dc:Title",
		"a.pdf":     "Author Title Keywords",
		"film.mp4":  "GPSLatitude Keys:Author UserData:Comment CreateDate",
		"timed.mov": "Track3:GPSLatitude Track3:GPSLongitude Keys:Author",
	} {
		for _, want := range strings.Fields(wants) {
			found := false
			for tag := range was[file] {
				found = found || strings.Contains(tag, want)
			}
			if !found {
				t.Errorf("control: exiftool finds no %s in %s: %v: %s", want, file, was[file], said)
			}
		}
	}
}

// everything copies the files of imagemeta's corpus into a directory.
func everything(t testing.TB, dir string) {
	t.Helper()
	corpus := judge.Corpus(t)
	err := filepath.WalkDir(corpus, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) == ".txt" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(corpus, path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, strings.ReplaceAll(name, string(filepath.Separator), "-")), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}
