package media

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"rushlight/node/internal/judge"
)

// What is cut off anywhere is refused, or what is left of it is clean; nothing
// panics, and nothing is written of what is refused.
func TestCutOff(t *testing.T) {
	files := drawn(t)
	for name, b := range stored(t) {
		files[name] = b
	}
	for name, b := range files {
		refused := 0
		for n := 0; n < len(b); n += 1 + len(b)/97 {
			_, _, err := cleaned(t, b[:n])
			if err == nil {
				continue
			}
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrUnknown) {
				t.Errorf("%s cut to %d bytes: %v", name, n, err)
			}
			refused++
		}
		if refused < 3 {
			t.Errorf("%s: %d refused", name, refused)
		}
	}
}

func TestUnknown(t *testing.T) {
	for _, s := range []string{"", "x", "a text\n", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>", "BM\x00\x00", "II*\x00\x08\x00\x00\x00", "MZ\x90"} {
		if _, _, err := cleaned(t, []byte(s)); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// What stands behind the end of a picture goes: a film in a picture that moves,
// or whatever somebody has hidden there.
func TestTrailing(t *testing.T) {
	for name, b := range drawn(t) {
		plain, _, err := cleaned(t, b)
		if err != nil {
			t.Fatal(err)
		}
		out, _, err := cleaned(t, append(bytes.Clone(b), "CanaryBehind"...))
		if err != nil || !bytes.Equal(plain, out) {
			t.Errorf("%s: %v, %d bytes instead of %d", name, err, len(out), len(plain))
		}
	}
}

// A profile of sRGB goes, one of a device stays without its name, and Display
// P3 is the same profile whoever wrote it.
func TestProfiles(t *testing.T) {
	head := make([]byte, iccHeader)
	copy(head[8:], []byte{4, 0x30, 0, 0})
	copy(head[12:], "mntrRGB XYZ ")
	make3 := func(c colorants) []byte {
		b := matrixProfile(c, curveSRGB[:])
		copy(b[48:56], "CANARY42") // manufacturer and model
		return b
	}
	if out := cleanICC(make3(srgb)); out != nil {
		t.Errorf("a profile of sRGB stays, %d bytes", len(out))
	}
	own := srgb
	own[0] += 0.03
	out := cleanICC(make3(own))
	if out == nil || bytes.Contains(out, []byte("CANARY")) {
		t.Errorf("a device's profile: %d bytes", len(out))
	}
	if !bytes.Equal(cleanICC(out), out) {
		t.Error("a second time changes it")
	}
	other := p3
	other[4] += 0.001
	if a, b := cleanICC(make3(p3)), cleanICC(make3(other)); a == nil || !bytes.Equal(a, b) {
		t.Error("two profiles of Display P3 are told apart")
	}
	if cleanICC([]byte("no profile")) != nil {
		t.Error("something else is taken for a profile")
	}
}

// A thumbnail is upright, small, and keeps the shape.
func TestPictures(t *testing.T) {
	m := image.NewNRGBA(image.Rect(0, 0, 3000, 1000))
	for y := range 1000 {
		for x := range 3000 {
			m.Set(x, y, color.NRGBA{uint8(x), uint8(y), uint8(x * y), 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	turned := append([]byte{0xff, 0xd8, 0xff, 0xe1, 0, byte(8 + len(oriented(6)))}, "Exif\x00\x00"...)
	turned = append(append(turned, oriented(6)...), b.Bytes()[2:]...)
	p, err := Decode(bytes.NewReader(turned), int64(len(turned)))
	if err != nil {
		t.Fatal(err)
	}
	if w, h := p.Size(); w != 1000 || h != 3000 {
		t.Errorf("%d × %d", w, h)
	}
	small, err := p.Thumbnail()
	if err != nil || len(small) > MaxThumbnail {
		t.Fatal(len(small), err)
	}
	c, err := jpeg.DecodeConfig(bytes.NewReader(small))
	if err != nil || c.Height > ThumbnailSide || c.Height < 2*c.Width {
		t.Errorf("a thumbnail of %d × %d, %v", c.Width, c.Height, err)
	}
	large, kind, err := p.Scaled()
	if err != nil || kind != JPEG {
		t.Fatal(kind, err)
	}
	if c, err = jpeg.DecodeConfig(bytes.NewReader(large)); err != nil || c.Height != ScaledSide {
		t.Errorf("scaled to %d × %d, %v", c.Width, c.Height, err)
	}
	// A few bytes that claim to be 60,000 pixels wide and high.
	bomb := bytes.Clone(drawn(t)["a.gif"])
	copy(bomb[6:], []byte{0x60, 0xea, 0x60, 0xea})
	if _, err := Decode(bytes.NewReader(bomb), int64(len(bomb))); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a bomb: %v", err)
	}
}

// FuzzClean: no input panics, what is cleaned is clean, a file doesn't grow
// beyond what a rewritten table takes, and what is allocated for it is bounded
// by its size. The last long run, of a minute on two busy cores
// (-fuzz 'FuzzClean$' -fuzztime 60s), tried 268,056 inputs.
func FuzzClean(f *testing.F) {
	for _, b := range drawn(f) {
		f.Add(b)
	}
	for _, b := range stored(f) {
		f.Add(b)
	}
	for _, name := range []string{"bep/sunset.avif", "bep/sunrise_lossy.webp"} {
		if b, err := os.ReadFile(filepath.Join(judge.Corpus(f), name)); err == nil && len(b) < 1<<16 {
			f.Add(b)
		}
	}
	for _, b := range documents(f) {
		f.Add(b)
	}
	f.Fuzz(staysClean)
}

// staysClean is what holds for every input.
func staysClean(t *testing.T, b []byte) {
	var out []byte
	var c *Cleaned
	var err error
	if took := allocated(func() { out, c, err = cleaned(t, b) }); took > uint64(maxAllocated(b)) {
		t.Errorf("%d bytes were allocated for %d", took, len(b))
	}
	if err != nil {
		return
	}
	if len(out) > 2*len(b)+8192 {
		t.Errorf("%d bytes became %d", len(b), len(out))
	}
	again, _, err := cleaned(t, out)
	if err != nil || !bytes.Equal(again, out) {
		t.Errorf("%s: a second time changes it: %v", c.Type, err)
	}
}

// allocated is how many bytes fn allocates.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// maxAllocated is how many bytes may be allocated to clean b, all that was given
// back meanwhile included. A document is unpacked, parsed and written several
// times, by a library.
func maxAllocated(b []byte) int {
	if Detect(b) == PDF {
		return 32<<20 + 1000*len(b)
	}
	return 4<<20 + 100*len(b)
}

func BenchmarkClean(b *testing.B) {
	for name, raw := range drawn(b) {
		b.Run(filepath.Ext(name)[1:], func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if _, _, err := cleaned(b, raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
