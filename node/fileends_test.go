package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"rushlight/node"
	"rushlight/node/api"
)

// kept is a message with a picture in a profile: what its caption is called, and
// which of the sealed files are its.
type kept struct {
	p      *profile
	with   string
	id     string
	word   string
	sealed []string
}

// sealedIn are the sealed files of a profile.
func sealedIn(t *testing.T, p *profile) (out []string) {
	t.Helper()
	list, err := os.ReadDir(filepath.Join(p.dir, "store", "files"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}

// found is where something of a message is found.
func (k *kept) found(t *testing.T) (out []string) {
	t.Helper()
	ctx := t.Context()
	if m, err := k.p.Message(ctx, k.id); err == nil {
		out = append(out, "the message")
		if len(m.Files) > 0 && m.Files[0].Thumbnail != "" {
			out = append(out, "the thumbnail")
		}
	}
	if b, err := k.p.Attachment(ctx, k.id, 0, 0, 10); err == nil && len(b) > 0 {
		out = append(out, "the content")
	}
	soon, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := k.p.Save(soon, api.SaveRequest{ID: k.id, File: 0, Path: t.TempDir()}); err == nil {
		out = append(out, "what is saved")
	}
	if all, err := k.p.Search(ctx, api.SearchRequest{Query: k.word}); err != nil {
		t.Error(err)
	} else if len(all) > 0 {
		out = append(out, "a search")
	}
	if k.p.count(k.with, k.word) > 0 {
		out = append(out, "the conversation")
	}
	for _, name := range sealedIn(t, k.p) {
		if slices.Contains(k.sealed, name) {
			out = append(out, "its sealed pieces")
		}
	}
	return out
}

// everywhere is where something of a message that lives is found.
var everywhere = []string{"the message", "the thumbnail", "the content", "what is saved", "a search", "the conversation", "its sealed pieces"}

// A picture that was burned, that expired, that was taken back, or that was
// forwarded and ends as the first one does, leaves nothing on either side that
// can be read, shown or searched, nor its sealed pieces; a live one, looked at in
// the same way, is found everywhere, also after both were restarted.
func TestFilesEnd(t *testing.T) {
	t.Parallel() // it waits most of the time
	a, b := pair(t)
	ctx := t.Context()
	ann, bob := a.id(), b.id()
	path := filepath.Join(t.TempDir(), "lake.jpg")
	// send sends a picture of its own and waits until it is at the other side: nil
	// when it ended before.
	send := func(from, to *profile, with, back string, r api.SendRequest) []*kept {
		t.Helper()
		var pic bytes.Buffer
		m := image.NewRGBA(image.Rect(0, 0, 40, 30))
		m.Set(len(r.Text), 1, color.White)
		if err := jpeg.Encode(&pic, m, nil); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, pic.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		before := [][]string{sealedIn(t, from), sealedIn(t, to)}
		if r.To = with; r.Forward == "" {
			r.Files = []api.Attachment{{Path: path}}
		}
		s, err := from.Send(ctx, r)
		if r.Forward != "" && errors.Is(err, &api.Error{Code: api.CodeUnknownMessage}) {
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		k := []*kept{{p: from, with: with, id: s.ID}, {p: to, with: back, id: s.ID}}
		lost := false
		to.until("the picture is there", func() bool {
			_, err := from.Message(ctx, s.ID)
			lost = err != nil
			m, err := to.Message(ctx, s.ID)
			return lost || err == nil && len(m.Files) == 1 && m.Files[0].State == api.TransferDone
		})
		if lost {
			return nil
		}
		for i := range k {
			m, err := k[i].p.Message(ctx, s.ID)
			if err != nil {
				t.Fatal(err)
			}
			k[i].word = m.Text
			for _, name := range sealedIn(t, k[i].p) {
				if !slices.Contains(before[i], name) {
					k[i].sealed = append(k[i].sealed, name)
				}
			}
			if len(k[i].sealed) != 1 {
				t.Errorf("%q has %d sealed files", m.Text, len(k[i].sealed))
			}
		}
		return k
	}
	life, burn := 15*time.Second, time.Second
	var expires, again []*kept
	for ; again == nil; life *= 2 { // a slow machine may need longer
		if expires = send(a, b, bob, ann, api.SendRequest{Text: "expiring", Expires: &life}); expires != nil {
			again = send(b, a, ann, bob, api.SendRequest{Forward: expires[1].id})
		}
	}
	live := send(a, b, bob, ann, api.SendRequest{Text: "staying"})
	burns := send(a, b, bob, ann, api.SendRequest{Text: "burning", Burn: &burn})
	taken := send(a, b, bob, ann, api.SendRequest{Text: "regretted"})
	for i, k := range slices.Concat(live, taken) {
		if got := k.found(t); !slices.Equal(got, everywhere) {
			t.Errorf("the control: of message %d only %q are found", i, got)
		}
	}
	if err := b.MarkRead(ctx, []string{burns[1].id}); err != nil {
		t.Fatal(err)
	}
	if err := a.Unsend(ctx, taken[0].id); err != nil {
		t.Fatal(err)
	}
	gone := func(what string, all []*kept, but ...string) {
		t.Helper()
		for i, k := range all {
			k.p.until(fmt.Sprint(what, " is gone on side ", i), func() bool { return slices.Equal(k.found(t), but) })
		}
	}
	gone("what burned", burns)
	gone("what was taken back", taken, "the message") // that it was, it says
	gone("what expired", expires)
	gone("what was forwarded", again)

	next := map[*profile]*profile{}
	for _, p := range []*profile{a, b} {
		p.halt()
		next[p] = run(t, node.Config{Dir: p.dir, Root: [32]byte{7}, NoLAN: true, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	}
	for _, k := range slices.Concat(live, burns, taken, expires, again) {
		k.p = next[k.p]
	}
	gone("what was taken back", taken, "the message")
	for i, k := range slices.Concat(burns, expires, again) {
		if got := k.found(t); len(got) > 0 {
			t.Errorf("after a restart %q of message %d are found", got, i)
		}
	}
	for _, k := range live {
		if got := k.found(t); !slices.Equal(got, everywhere) {
			t.Errorf("of what lives only %q are found", got)
		}
		if n := len(sealedIn(t, k.p)); n != 1 {
			t.Errorf("%d sealed files for one message", n)
		}
	}
}
