package media

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rushlight/node/internal/judge"
)

// canary stands in everything that must not be left.
const canary = judge.Canary

func painting() image.Image {
	m := image.NewNRGBA(image.Rect(0, 0, 48, 32))
	for y := range 32 {
		for x := range 48 {
			m.Set(x, y, color.NRGBA{uint8(5 * x), uint8(7 * y), uint8(x * y), 255})
		}
	}
	return m
}

// drawn are pictures made here.
func drawn(t testing.TB) map[string][]byte {
	t.Helper()
	var j, p, g bytes.Buffer
	if err := jpeg.Encode(&j, painting(), nil); err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(&p, painting()); err != nil {
		t.Fatal(err)
	}
	if err := gif.Encode(&g, painting(), nil); err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"a.jpg": j.Bytes(), "a.png": p.Bytes(), "a.gif": g.Bytes()}
}

// stored reads testdata.
func stored(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/*.*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	out := map[string][]byte{}
	for _, f := range files {
		if out[filepath.Base(f)], err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// Films and sound, made with ffmpeg with a title, a comment, a place, names of
// tracks, subtitles and a time code: nothing of it is left, and a second time
// changes nothing.
func TestFilmsAndSound(t *testing.T) {
	for name, b := range stored(t) {
		t.Run(name, func(t *testing.T) {
			out, _, err := cleaned(t, b)
			if err != nil {
				t.Fatal(Detect(b), err)
			}
			if !strings.HasPrefix(name, "moving") && !bytes.Contains(b, []byte(canary)) {
				t.Error("control: nothing to find")
			}
			for _, word := range []string{canary, "Lavf", "Lavc", "48.8577"} {
				if bytes.Contains(out, []byte(word)) && word != "Lavc" {
					t.Errorf("%s is left", word)
				}
			}
			again, _, err := cleaned(t, out)
			if err != nil || !bytes.Equal(again, out) {
				t.Errorf("a second time changes it: %v", err)
			}
			samePicture(t, b, out)
		})
	}
}

// What is seen and heard is the same, says ffmpeg.
func TestSameFrames(t *testing.T) {
	ffmpeg := judge.Program(t, "ffmpeg", "ffmpeg")
	frames := func(b []byte, ext string) string {
		path := filepath.Join(t.TempDir(), "in"+ext)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(ffmpeg, "-v", "error", "-xerror", "-i", path, "-map", "0:v?", "-map", "0:a?", "-f", "framemd5", "-").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		var kept []string
		for line := range strings.Lines(string(out)) {
			if !strings.HasPrefix(line, "#") {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "")
	}
	for name, b := range stored(t) {
		if strings.HasSuffix(name, ".webp") {
			continue // this ffmpeg doesn't read animated ones
		}
		t.Run(name, func(t *testing.T) {
			out, _, err := cleaned(t, b)
			if err != nil {
				t.Fatal(err)
			}
			if have, want := frames(out, filepath.Ext(name)), frames(b, filepath.Ext(name)); have != want || want == "" {
				t.Errorf("frames\n%s\nbecame\n%s", want, have)
			}
		})
	}
}

// Metadata of every kind that exiftool can write goes, and nothing that it
// finds afterwards is beyond the list of what may stay.
func TestMadeWithExiftool(t *testing.T) {
	exiftool := judge.Program(t, "exiftool", "libimage-exiftool-perl")
	files := drawn(t)
	for name, b := range stored(t) {
		files[name] = b
	}
	thumbnail := filepath.Join(t.TempDir(), "t.jpg")
	if err := os.WriteFile(thumbnail, files["a.jpg"], 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(judge.Corpus(t), "bep", "sunset.avif")); err == nil {
		files["a.avif"] = b
	}
	if b, err := os.ReadFile(filepath.Join(judge.Corpus(t), "sony.heif")); err == nil {
		files["a.heic"] = b
	}
	files["a.pdf"] = judge.Document
	before, after := t.TempDir(), t.TempDir()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(before, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	said := judge.Tell(t, exiftool, before, thumbnail, filepath.Join(judge.Corpus(t), "metadata-extractor", "simple.jpg"))
	kept := map[string]bool{}
	for name := range files {
		b, err := os.ReadFile(filepath.Join(before, name))
		if err != nil {
			t.Fatal(err)
		}
		out, c, err := cleaned(t, b)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, said)
		}
		if bytes.Contains(out, []byte(canary)) {
			t.Errorf("%s: something is left", name)
		}
		samePicture(t, b, out)
		kept[name] = slices.Contains(c.Kept, keptOrientation)
		if err := os.WriteFile(filepath.Join(after, name), out, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if !kept["a.jpg"] || !kept["a.png"] {
		t.Error("an orientation was lost")
	}
	was, is := judge.Tags(t, exiftool, before), judge.Tags(t, exiftool, after)
	for name := range files {
		t.Run(name, func(t *testing.T) {
			found := 0
			for tag, value := range was[name] {
				if strings.Contains(value, canary) || strings.Contains(tag, "GPS") {
					found++
				}
			}
			if writable := !slices.Contains([]string{".webm", ".mp3", ".flac", ".opus", ".ogg", ".wav"}, filepath.Ext(name)); !writable {
				return
			}
			if found < 2 {
				t.Errorf("control: exiftool finds %d of what it wrote: %s", found, said)
			}
			for tag, value := range is[name] {
				if !judge.Permitted(tag, value) {
					t.Errorf("%s is left: %q", tag, value)
				}
			}
		})
	}
}

// mat2, which people run to be sure, agrees.
func TestMat2(t *testing.T) {
	mat2 := judge.Program(t, "mat2", "mat2")
	files := drawn(t)
	for name, b := range stored(t) {
		if slices.Contains([]string{".mp3", ".flac", ".opus", ".ogg", ".wav"}, filepath.Ext(name)) {
			files[name] = b
		}
	}
	dir := t.TempDir()
	args := []string{"--show"}
	for name, b := range files {
		out, _, err := cleaned(t, b)
		if err != nil {
			t.Fatal(name, err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, out, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	control := filepath.Join(dir, "control.flac")
	if err := os.WriteFile(control, files["sound.flac"], 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(mat2, append(args, control)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if n := strings.Count(string(out), "No metadata found"); n != len(files) || !strings.Contains(string(out), canary) {
		t.Errorf("mat2 finds nothing in %d of %d files:\n%s", n, len(files), out)
	}
}
