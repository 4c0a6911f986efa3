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

func traces(t testing.TB, b []byte) []Trace {
	t.Helper()
	out, err := Traces(t.Context(), bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// What exiftool writes is told by its kind.
func TestTracesMadeWithExiftool(t *testing.T) {
	exiftool := judge.Program(t, "exiftool", "libimage-exiftool-perl")
	quiet := []string{"-q", "-m", "-overwrite_original"}
	files := drawn(t)
	for _, name := range []string{"film.mp4", "film-text.mov"} {
		files[name] = stored(t)[name]
	}
	files["a.pdf"] = judge.Document
	avif, err := os.ReadFile(filepath.Join(judge.Corpus(t), "bep", "sunset.avif"))
	if err != nil {
		t.Fatal(err)
	}
	files["a.avif"] = avif
	for name, b := range files { // so that nothing is in them but what exiftool writes
		if files[name], _, err = cleaned(t, b); err != nil {
			t.Fatal(err)
		}
	}
	exif := []string{"a.jpg", "a.png", "a.avif"}
	film := []string{"film.mp4", "film-text.mov"}
	for _, c := range []struct {
		what  Trace
		args  []string
		files []string
	}{
		{Place, []string{"-GPSLatitude=48.8577", "-GPSLatitudeRef=N", "-GPSLongitude=2.295", "-GPSLongitudeRef=E"}, exif},
		{Place, []string{"-XMP-exif:GPSLatitude=48.8577"}, append([]string{"a.gif"}, exif...)},
		{Place, []string{"-IPTC:City=Paris"}, []string{"a.jpg"}},
		{Place, []string{"-UserData:GPSCoordinates=48.8577, 2.295, 0"}, film},
		{Place, []string{"-Keys:GPSCoordinates=48.8577, 2.295, 0"}, film},
		{Time, []string{"-EXIF:DateTimeOriginal=2020:01:02 03:04:05"}, exif},
		{Time, []string{"-QuickTime:CreateDate=2020:01:02 03:04:05"}, film},
		{Device, []string{"-EXIF:Make=Canary", "-EXIF:Model=M"}, exif},
		{Device, []string{"-XMP-tiff:Make=Canary"}, exif},
		{Device, []string{"-Keys:Make=Canary"}, film},
		{Software, []string{"-EXIF:Software=S"}, exif},
		{Author, []string{"-EXIF:Artist=A"}, exif},
		{Author, []string{"-XMP-dc:Creator=A"}, append([]string{"a.gif"}, exif...)},
		{Author, []string{"-PDF:Author=A"}, []string{"a.pdf"}},
		{Author, []string{"-Keys:Author=A"}, film},
		{Text, []string{"-EXIF:ImageDescription=T"}, exif},
		{Text, []string{"-Comment=T"}, []string{"a.jpg", "a.png"}},
		{Text, []string{"-PDF:Title=T"}, []string{"a.pdf"}},
		{Other, []string{"-EXIF:ExposureTime=0.01"}, exif},
	} {
		dir := t.TempDir()
		for _, name := range c.files {
			if err := os.WriteFile(filepath.Join(dir, name), files[name], 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if said, err := exec.Command(exiftool, append(append(quiet, c.args...), dir)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v %s", c.args, err, said)
		}
		for _, name := range c.files {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if got := traces(t, b); !slices.Contains(got, c.what) {
				t.Errorf("%s with %v: %v", name, c.args, got)
			}
		}
	}
}

// What cleaning changes tells something, and what was cleaned nothing.
func TestTracesOfTheCorpus(t *testing.T) {
	all := stored(t)
	for name, b := range drawn(t) {
		all[name] = b
	}
	err := filepath.WalkDir(judge.Corpus(t), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) == ".txt" {
			return err
		}
		b, err := os.ReadFile(path)
		all[path] = b
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	all["a.pdf"] = judge.Document
	kinds := map[Trace]int{}
	for name, b := range all {
		out, _, err := cleaned(t, b)
		got := traces(t, b)
		for _, k := range got {
			kinds[k]++
		}
		if err != nil {
			if !slices.Contains(got, Unknown) {
				t.Errorf("%s can't be cleaned, and has %v", name, got)
			}
			continue
		}
		if changed := !bytes.Equal(b, out); changed && len(got) == 0 || !changed && len(got) > 0 {
			t.Errorf("%s, changed: %v, has %v", name, changed, got)
		}
		if again := traces(t, out); len(again) > 0 {
			t.Errorf("%s has %v after cleaning", name, again)
		}
	}
	t.Log(len(all), kinds)
	for _, k := range traceOrder {
		if kinds[k] == 0 {
			t.Errorf("control: %s nowhere", k)
		}
	}
}

func TestTracesOfWhatIsNoMedia(t *testing.T) {
	for text, want := range map[string][]Trace{
		"Dear reader\n":               nil,
		"":                            nil,
		"<svg/>":                      {Unknown},
		"PK\x03\x04 and so on":        {Unknown},
		"\xff\xd8\xff\xe1 cut":        {Unknown},
		"II*\x00\x08\x00\x00\x00\xff": {Unknown},
	} {
		if got := traces(t, []byte(text)); !slices.Equal(got, want) {
			t.Errorf("%q: %v", text, got)
		}
	}
}
