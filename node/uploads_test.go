package node_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/image/bmp"

	"rushlight/node/api"
)

// grainy is a picture that doesn't become small by itself.
func grainy(w, h int) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	r := rand.New(rand.NewPCG(uint64(w), uint64(h)))
	for i := range img.Pix {
		img.Pix[i] = uint8(r.IntN(256)) | 0xc0
	}
	for i := 3; i < len(img.Pix); i += 4 {
		img.Pix[i] = 255
	}
	img.Set(0, 0, color.White)
	return img
}

func coded(t *testing.T, encode func(b *bytes.Buffer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What is said of a file before it is sent is what is sent.
func TestUpload(t *testing.T) {
	a, b := pair(t)
	ctx := context.Background()
	for _, c := range []struct {
		name         string
		content      []byte
		change       string
		sentAs, kind string
		thumbnail    bool
	}{
		{"notes.txt", []byte("milk"), api.ChangeNone, "notes.txt", "text/plain", false},
		{"IMG_20260102_030405.jpg", withComment(t, "taken at home"), api.ChangeCleaned, "picture.jpg", "image/jpeg", true},
		{"large.jpg", coded(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, grainy(2600, 300), nil) }), api.ChangeScaled, "large.jpg", "image/jpeg", true},
		{"plain.png", coded(t, func(b *bytes.Buffer) error { return png.Encode(b, grainy(30, 20)) }), api.ChangeCleaned, "plain.png", "image/png", true},
		{"old.bmp", coded(t, func(b *bytes.Buffer) error { return bmp.Encode(b, grainy(30, 20)) }), api.ChangeEncoded, "old.png", "image/bmp", true},
		{"false.jpg", []byte("\xff\xd8\xff\xe0nothing"), api.ChangeRefused, "false.jpg", "image/jpeg", false},
	} {
		u, err := a.Upload(ctx, c.name, int64(len(c.content)), bytes.NewReader(c.content))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if u.Change != c.change || u.SentAs != c.sentAs || u.Type != c.kind || u.Size != int64(len(c.content)) || (u.Thumbnail != "") != c.thumbnail {
			u.Thumbnail = ""
			t.Errorf("%s: %+v", c.name, u)
		}
		s, err := a.Send(ctx, api.SendRequest{To: b.id(), Files: []api.Attachment{{Upload: u.ID}}})
		if c.change == api.ChangeRefused {
			if err == nil {
				t.Errorf("%s is sent all the same", c.name)
			}
			if s, err = a.Send(ctx, api.SendRequest{To: b.id(), Files: []api.Attachment{{Upload: u.ID, Original: true}}}); err != nil {
				t.Fatal(err)
			}
			u.Sends = u.Size
		} else if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if err := a.DropUpload(ctx, u.ID); err != nil {
			t.Error(err)
		}
		m, err := a.Message(ctx, s.ID)
		if err != nil || len(m.Files) != 1 {
			t.Fatalf("%+v, %v", m, err)
		}
		if f := m.Files[0]; f.Name != c.sentAs || f.Size != u.Sends || f.Thumbnail != u.Thumbnail || f.State != api.TransferDone {
			t.Errorf("%s: %q of %d bytes was sent, %q of %d was said", c.name, f.Name, f.Size, u.SentAs, u.Sends)
		}
	}
	if _, err := a.Send(ctx, api.SendRequest{To: b.id(), Files: []api.Attachment{{Upload: "00112233445566778899aabbccddeeff"}}}); !errors.Is(err, &api.Error{Code: api.CodeNoFile}) {
		t.Errorf("an upload that isn't there: %v", err)
	}
}

// A thumbnail that comes with a file shows what none can be made of here; it is
// made anew, and is never taken where one can be made.
func TestThumbnailGiven(t *testing.T) {
	a, b := pair(t)
	film, err := os.ReadFile(filepath.Join("media", "testdata", "film.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	given := withComment(t, "taken at home")
	wide := coded(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, grainy(90, 30), nil) })
	plain := coded(t, func(b *bytes.Buffer) error { return png.Encode(b, grainy(30, 20)) })
	for name, c := range map[string]struct {
		sent      api.Attachment
		thumbnail []byte
		code      string
		side      int // width of what is shown; 0: nothing is
	}{
		"film":             {sent: api.Attachment{Name: "film.mp4", Data: film}, thumbnail: wide, side: 90},
		"film with a word": {sent: api.Attachment{Name: "film.mp4", Data: film}, thumbnail: given, side: width(t, given)},
		"film, original":   {sent: api.Attachment{Name: "film.mp4", Data: film, Original: true}, thumbnail: wide, side: 90},
		"film alone":       {sent: api.Attachment{Name: "film.mp4", Data: film}},
		"picture":          {sent: api.Attachment{Name: "a.png", Data: plain}, thumbnail: wide, side: 30},
		"original":         {sent: api.Attachment{Name: "a.png", Data: plain, Original: true}, thumbnail: wide, side: 30},
		"no JPEG":          {sent: api.Attachment{Name: "film.mp4", Data: film}, thumbnail: plain, code: api.CodeUsage},
		"too large":        {sent: api.Attachment{Name: "film.mp4", Data: film}, thumbnail: coded(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, image.NewGray(image.Rect(0, 0, 2049, 1)), nil) }), code: api.CodeUsage},
		"cut off":          {sent: api.Attachment{Name: "film.mp4", Data: film}, thumbnail: wide[:40], code: api.CodeUsage},
	} {
		c.sent.Thumbnail = c.thumbnail
		s, err := a.Send(t.Context(), api.SendRequest{To: b.id(), Files: []api.Attachment{c.sent}})
		if c.code != "" {
			if !errors.Is(err, &api.Error{Code: c.code}) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		m, err := a.Message(t.Context(), s.ID)
		if err != nil {
			t.Fatal(err)
		}
		shown, err := base64.StdEncoding.DecodeString(m.Files[0].Thumbnail)
		if err != nil || (len(shown) > 0) != (c.side > 0) {
			t.Fatalf("%s: a thumbnail of %d bytes, %v", name, len(shown), err)
		}
		if c.side > 0 && (width(t, shown) != c.side || bytes.Contains(shown, []byte("taken at home"))) {
			t.Errorf("%s: it is %d pixels wide", name, width(t, shown))
		}
	}
	if !bytes.Contains(given, []byte("taken at home")) {
		t.Error("control: nothing is to be taken out")
	}
}

func width(t *testing.T, b []byte) int {
	t.Helper()
	c, err := jpeg.DecodeConfig(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return c.Width
}

// A recording keeps its loudness, also when it is forwarded.
func TestVoice(t *testing.T) {
	a, b := pair(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	film, err := os.ReadFile(filepath.Join("media", "testdata", "sound.ogg"))
	if err != nil {
		t.Fatal(err)
	}
	u, err := a.Upload(ctx, "voice.ogg", -1, bytes.NewReader(film))
	if err != nil || u.Change != api.ChangeCleaned {
		t.Fatal(u, err)
	}
	s, err := a.Send(ctx, api.SendRequest{To: b.id(), Files: []api.Attachment{{Upload: u.ID}}, Voice: &api.Voice{Duration: 1500, Wave: []byte{1, 255}}})
	if err != nil {
		t.Fatal(err)
	}
	if state, err := a.Wait(ctx, s.ID, api.StateDelivered); err != nil {
		t.Fatal(state, err)
	}
	got, err := b.Message(ctx, s.ID)
	if err != nil || len(got.Files) != 1 || got.Files[0].Voice == nil {
		t.Fatalf("%+v, %v", got, err)
	}
	if v := got.Files[0].Voice; v.Duration != 1500 || base64.StdEncoding.EncodeToString(v.Wave) != "Af8=" {
		t.Errorf("%+v", v)
	}
	f, err := a.Send(ctx, api.SendRequest{To: b.id(), Forward: s.ID})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := a.Message(ctx, f.ID); err != nil || m.Files[0].Voice == nil || m.Files[0].ID == got.Files[0].ID {
		t.Errorf("%+v, %v", m, err)
	}
}
