package node_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rushlight/node/api"
	"rushlight/node/internal/judge"
	"rushlight/node/media"
)

// TestSentTellsNothing sends all files of a corpus, and of what exiftool can
// make, as a person, a page and a bot do, and has exiftool and mat2 look at what
// the recipient saves.
func TestSentTellsNothing(t *testing.T) {
	exiftool, mat2 := judge.Program(t, "exiftool", "libimage-exiftool-perl"), judge.Program(t, "mat2", "mat2")
	t.Parallel()
	ours, theirs, after := t.TempDir(), t.TempDir(), t.TempDir()
	made(t, exiftool, ours)
	if !testing.Short() {
		everything(t, theirs)
	}
	a, b := pair(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	from := map[string]string{} // where the file of a saved one was
	refused := 0
	for _, dir := range []string{ours, theirs} {
		list, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range list {
			path := filepath.Join(dir, e.Name())
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for way := range 3 {
				if dir == theirs && way != i%3 {
					continue
				}
				f := given(t, a, way, path, content)
				s, err := a.Send(ctx, api.SendRequest{To: b.id(), Files: []api.Attachment{f}})
				if err != nil {
					refused++
					said(t, e.Name(), content, err)
					continue
				}
				name := filepath.Join(after, []string{"path-", "bot-", "page-"}[way]+e.Name())
				if strings.HasSuffix(name, ".tif") || strings.HasSuffix(name, ".pef") {
					name += ".png"
				}
				if state, err := a.Wait(ctx, s.ID, api.StateDelivered); err != nil {
					t.Fatal(state, err)
				}
				if _, err := b.Save(ctx, api.SaveRequest{ID: s.ID, Path: name}); err != nil {
					t.Fatal(err)
				}
				from[filepath.Base(name)] = path
				same(t, filepath.Base(name), content, name)
			}
		}
	}
	left, seen := judge.Left(t, exiftool, mat2, after)
	for name, what := range left {
		t.Errorf("%s: left are %q", name, what)
	}
	mats := []string{".jpg", ".png", ".gif", ".heic", ".pdf", ".mp4", ".flac", ".mp3", ".ogg", ".wav"}
	for name := range from {
		if !seen[name] && slices.Contains(mats, filepath.Ext(name)) {
			t.Errorf("mat2 did not look at %s", name)
		}
	}
	turned(t, exiftool, from, after)
	t.Logf("%d files came, %d of them seen by mat2; %d refused", len(from), len(seen), refused)
	// The control: what is sent as it is has all of it still.
	whole := t.TempDir()
	s, err := a.Send(ctx, api.SendRequest{To: b.id(), Files: []api.Attachment{{Path: filepath.Join(ours, "a.jpg"), Original: true}}})
	if err != nil {
		t.Fatal(err)
	}
	if state, err := a.Wait(ctx, s.ID, api.StateDelivered); err != nil {
		t.Fatal(state, err)
	}
	if _, err := b.Save(ctx, api.SaveRequest{ID: s.ID, Path: filepath.Join(whole, "a.jpg")}); err != nil {
		t.Fatal(err)
	}
	left, _ = judge.Left(t, exiftool, mat2, whole)
	if list := strings.Join(left["a.jpg"], "\n"); !strings.Contains(list, "exiftool: ") || !strings.Contains(list, "mat2: ") {
		t.Errorf("control: of what is sent as it is, only these are found: %s", list)
	}
}

// given is a file to be sent in a way: by its path, with its content as a bot
// does, and taken in before as the page does.
func given(t *testing.T, a *profile, way int, path string, content []byte) api.Attachment {
	t.Helper()
	switch way {
	case 0:
		return api.Attachment{Path: path, Full: true}
	case 1:
		return api.Attachment{Name: filepath.Base(path), Data: content, Full: true}
	}
	u, err := a.Upload(t.Context(), filepath.Base(path), -1, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.DropUpload(context.Background(), u.ID) })
	return api.Attachment{Upload: u.ID, Full: true}
}

// said checks that a file was refused for a reason, and is told it.
func said(t *testing.T, name string, content []byte, err error) {
	t.Helper()
	var e *api.Error
	if !errors.As(err, &e) || e.Code != api.CodeFalseFile || !strings.Contains(e.Hint, "--original") {
		t.Errorf("%s: refused with %v", name, err)
		return
	}
	damaged := strings.Contains(e.Message, "damaged")
	unknown := strings.Contains(e.Message, "can't be removed")
	if !damaged && !unknown {
		t.Errorf("%s: refused with %q", name, e.Message)
	}
	if _, _, err := image.Decode(bytes.NewReader(content)); err == nil {
		t.Errorf("%s is a picture and was refused: %q", name, e.Message)
	}
}

// same checks that what came is the file without what it told, and that it
// can't be made to tell less.
func same(t *testing.T, name string, content []byte, path string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(name, "moves.jpg") && (!bytes.Contains(content, []byte("ftyp")) || bytes.Contains(got, []byte("ftyp"))) {
		t.Errorf("%s: the film behind it came too, or there was none", name)
	}
	clean := func(b []byte) []byte {
		c, err := media.Clean(t.Context(), bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return nil
		}
		var out bytes.Buffer
		if _, err := out.ReadFrom(c.Reader()); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	if want := clean(content); want != nil && !bytes.Equal(want, got) {
		t.Errorf("%s: not what cleaning makes of it", name)
	}
	if again := clean(got); again != nil && !bytes.Equal(again, got) {
		t.Errorf("%s: a second time changes it", name)
	}
	p, _, err := image.Decode(bytes.NewReader(content))
	if err != nil {
		return
	}
	q, _, err := image.Decode(bytes.NewReader(got))
	if err != nil || p.Bounds() != q.Bounds() {
		t.Errorf("%s: another picture, %v", name, err)
		return
	}
	for y := p.Bounds().Min.Y; y < p.Bounds().Max.Y; y++ {
		for x := p.Bounds().Min.X; x < p.Bounds().Max.X; x++ {
			pr, pg, pb, pa := p.At(x, y).RGBA()
			if qr, qg, qb, qa := q.At(x, y).RGBA(); pr != qr || pg != qg || pb != qb || pa != qa {
				t.Errorf("%s: another pixel at %d, %d", name, x, y)
				return
			}
		}
	}
}

// turned checks that pictures stand as before.
func turned(t *testing.T, exiftool string, from map[string]string, after string) {
	t.Helper()
	is, was := judge.Tags(t, exiftool, after), map[string]map[string]map[string]string{}
	n := 0
	for name, path := range from {
		dir := filepath.Dir(path)
		if was[dir] == nil {
			was[dir] = judge.Tags(t, exiftool, dir)
		}
		before := was[dir][filepath.Base(path)]["IFD0:Orientation"]
		if !slices.Contains([]string{".jpg", ".png", ".webp"}, filepath.Ext(name)) || before == "" || before == "Horizontal (normal)" || strings.HasPrefix(before, "Unknown") {
			continue
		}
		n++
		if now := is[name]["IFD0:Orientation"]; now != before {
			t.Errorf("%s: %q was %q", name, now, before)
		}
	}
	if n < 6 {
		t.Errorf("control: %d pictures are turned", n)
	}
}
