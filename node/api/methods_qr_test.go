package api

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"
)

// A QR code is as large as its version says, with a finder in its corner.
func TestQR(t *testing.T) {
	c := &conn{Server: &Server{}}
	v, err := c.qr(t.Context(), []byte(`{"text":"RUSHLIGHT"}`))
	if err != nil {
		t.Fatal(err)
	}
	rows := v.(QR).Rows
	if len(rows) != 21 || rows[0][:8] != "11111110" || rows[1][:8] != "10000010" {
		t.Errorf("rows: %q", rows)
	}
	for _, bad := range []string{`{}`, `{"text":""}`, `{"text":"` + strings.Repeat("x", maxQR+1) + `"}`, `{"txt":"a"}`} {
		if _, err := c.qr(t.Context(), []byte(bad)); err == nil {
			t.Errorf("%.20s: no error", bad)
		}
	}
}

// drawQR is a picture of a code, each module so many pixels wide, at a place in
// a larger picture.
func drawQR(t testing.TB, text string, module, left, top int, dark, light color.Color) *image.RGBA {
	t.Helper()
	v, err := (&conn{Server: &Server{}}).qr(t.Context(), []byte(`{"text":"`+text+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	rows := v.(QR).Rows
	side := (len(rows) + 8) * module
	img := image.NewRGBA(image.Rect(0, 0, left+side+50, top+side+20))
	for y := range img.Rect.Max.Y {
		for x := range img.Rect.Max.X {
			img.Set(x, y, color.Gray{uint8(90 + (x^y)%60)}) // what is beside it
			i, j := (x-left)/module-4, (y-top)/module-4
			if x < left || y < top || i >= len(rows)+4 || j >= len(rows)+4 {
				continue
			}
			img.Set(x, y, light)
			if min(i, j) >= 0 && max(i, j) < len(rows) && rows[j][i] == '1' {
				img.Set(x, y, dark)
			}
		}
	}
	return img
}

func asPNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// invite is as long as an invite's link can be, as a QR code has it.
var invite = "RUSHLIGHT:" + strings.Repeat("K7QPZ3M2", 60)

// What is drawn can be read: as a PNG and as a JPEG, small and large, amid other
// things, and light on dark.
func TestReadQR(t *testing.T) {
	white, black := color.White, color.Black
	var worn bytes.Buffer
	if err := jpeg.Encode(&worn, drawQR(t, invite, 6, 200, 80, color.Gray{60}, color.Gray{200}), &jpeg.Options{Quality: 40}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		picture []byte
		text    string
	}{
		"short":      {asPNG(t, drawQR(t, "RUSHLIGHT", 4, 0, 0, black, white)), "RUSHLIGHT"},
		"small":      {asPNG(t, drawQR(t, invite, 3, 10, 30, black, white)), invite},
		"large":      {asPNG(t, drawQR(t, invite, 12, 300, 100, black, white)), invite},
		"inside out": {asPNG(t, drawQR(t, invite, 5, 20, 20, white, black)), invite},
		"worn":       {worn.Bytes(), invite},
	} {
		if got, err := readQR(c.picture); err != nil || got != c.text {
			t.Errorf("%s: %.30q, %v", name, got, err)
		}
	}
}

// What is no picture, is none of a code or is too large is refused before it
// costs anything.
func TestReadQRHostile(t *testing.T) {
	good := asPNG(t, drawQR(t, "RUSHLIGHT", 4, 0, 0, color.Black, color.White))
	// A PNG of a few bytes that says it is large.
	bomb := bytes.Clone(good)
	copy(bomb[16:], []byte{0, 0, 0x40, 0, 0, 0, 0x40, 0})
	binary.BigEndian.PutUint32(bomb[29:], crc32.ChecksumIEEE(bomb[12:29]))
	if about, err := png.DecodeConfig(bytes.NewReader(bomb)); err != nil || about.Width != 1<<14 {
		t.Fatalf("the control: %v, %v", about, err)
	}
	for name, c := range map[string]struct {
		picture []byte
		want    *Error
	}{
		"nothing":     {nil, errNoPicture},
		"no picture":  {[]byte("<svg/>"), errNoPicture},
		"cut short":   {good[:len(good)/2], errNoPicture},
		"says large":  {bomb, errNoPicture},
		"wide":        {asPNG(t, image.NewGray(image.Rect(0, 0, maxQRSide+1, 1))), errNoPicture},
		"many pixels": {asPNG(t, image.NewGray(image.Rect(0, 0, 2001, 2001))), errNoPicture},
		"many bytes":  {append(bytes.Clone(good), make([]byte, maxQRPicture)...), errNoPicture},
		"no code":     {asPNG(t, image.NewGray(image.Rect(0, 0, 2000, 2000))), errNoQR},
		"a pixel":     {asPNG(t, image.NewGray(image.Rect(0, 0, 1, 1))), errNoQR},
	} {
		if text, err := readQR(c.picture); !errors.Is(err, c.want) || err.Error() != c.want.Error() {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	c := &conn{Server: &Server{}}
	if _, err := c.readQR(t.Context(), []byte(`{"image":"`+base64.StdEncoding.EncodeToString(good)+`"}`)); err != nil {
		t.Errorf("the control: %v", err)
	}
	for _, bad := range []string{`{}`, `{"image":"§"}`, `{"image":null}`} {
		if _, err := c.readQR(t.Context(), []byte(bad)); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

// Whatever the pixels are, reading them ends, with a text or without one.
func FuzzReadQR(f *testing.F) {
	img := drawQR(f, "RUSHLIGHT", 2, 0, 0, color.Black, color.White)
	const side = 2 * (21 + 8)
	var gray []byte
	for i := range side * side {
		gray = append(gray, img.RGBAAt(i%side, i/side).R)
	}
	f.Add(uint8(side), gray)
	f.Add(uint8(1), []byte{0})
	f.Fuzz(func(t *testing.T, width uint8, pixels []byte) {
		if width == 0 || len(pixels) < int(width) || len(pixels) > 1<<14 {
			return
		}
		w, h := int(width), len(pixels)/int(width)
		text, err := readQR(asPNG(t, &image.Gray{Pix: pixels[:w*h], Stride: w, Rect: image.Rect(0, 0, w, h)}))
		if (err == nil) != (text != "") {
			t.Errorf("%q, %v", text, err)
		}
	})
}
