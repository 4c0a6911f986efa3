package node_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"rushlight/node/api"
	"rushlight/node/preview"
	"rushlight/protocol/message"
)

// withComment is a JPEG picture that says something.
func withComment(t *testing.T, says string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 200, 100)), nil); err != nil {
		t.Fatal(err)
	}
	comment := append([]byte{0xff, 0xfe, 0, byte(len(says) + 2)}, says...)
	return append(append([]byte{0xff, 0xd8}, comment...), b.Bytes()[2:]...)
}

// pageServer is a site with a page, and how often it was asked.
func pageServer(t *testing.T) (link string, o preview.Options, asked *atomic.Int32) {
	t.Helper()
	asked = new(atomic.Int32)
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path == "/pic" {
			w.Header().Set("Content-Type", "image/jpeg")
			_, _ = w.Write(withComment(t, "taken at home"))
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<head><meta property="og:title" content="A page"><meta name=description content="of it"><meta property=og:image content=/pic>`)
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	o = preview.Options{UnsafeAllow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, UnsafePorts: []uint16{uint16(port)}, Roots: x509.NewCertPool(), Limit: time.Minute}
	o.Roots.AddCert(s.Certificate())
	return s.URL + "/at?a=1", o, asked
}

// last is the newest message of a conversation.
func (p *profile) last(with *profile) api.Message {
	p.t.Helper()
	all, err := p.Read(p.t.Context(), api.ReadRequest{Who: with.id(), Peek: true, Limit: 1})
	if err != nil || len(all) != 1 {
		p.t.Fatalf("%d messages, %v", len(all), err)
	}
	return all[0]
}

// eventually waits for the newest message to be as it should.
func (p *profile) eventually(with *profile, so func(api.Message) bool) api.Message {
	p.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; <-time.After(20 * time.Millisecond) {
		m := p.last(with)
		if so(m) {
			return m
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("it stays %+v, %+v", m, m.Preview)
		}
	}
}

func (p *profile) sendRequest(r api.SendRequest) api.Sent {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 2*time.Minute)
	defer cancel()
	s, err := p.Send(ctx, r)
	if err != nil {
		p.t.Fatal(err)
	}
	if state, err := p.Wait(ctx, s.ID, api.StateDelivered); err != nil {
		p.t.Fatal(state, err)
	}
	return s
}

// TestPreview: a preview is looked up by the sender, sent, changed with its
// text, forwarded, and taken away.
func TestPreview(t *testing.T) {
	link, o, asked := pageServer(t)
	a, b := pair(t)
	a.LookWith(o)
	b.LookWith(o)
	text := "look: " + link + " !"
	p, err := a.Look(t.Context(), api.LookRequest{Text: text})
	if err != nil || p.URL != link || p.Title != "A page" || p.Description != "of it" || p.Host != "127.0.0.1" {
		t.Fatalf("%+v, %v", p, err)
	}
	img, err := base64.StdEncoding.DecodeString(p.Image)
	if err != nil || len(img) == 0 || len(img) > message.MaxPreviewImage || bytes.Contains(img, []byte("at home")) {
		t.Fatalf("a picture of %d bytes, %v", len(img), err)
	}
	if asked.Load() != 2 {
		t.Errorf("the site was asked %d times", asked.Load())
	}
	sent := a.sendRequest(api.SendRequest{To: b.id(), Text: text, Preview: &api.PreviewRequest{URL: link, Title: p.Title, Description: p.Description, Image: img}})
	got := b.last(a)
	if got.Text != text || got.Preview == nil || got.Preview.Image == "" || got.Preview.URL != link || got.Preview.Title != p.Title || got.Preview.Host != p.Host {
		t.Fatalf("%+v", got.Preview)
	}

	if err := a.Edit(t.Context(), api.EditRequest{ID: sent.ID, Text: "see " + link}); err != nil {
		t.Fatal(err)
	}
	b.eventually(a, func(m api.Message) bool {
		return m.Edited && m.Preview != nil && m.Preview.Title == p.Title && m.Preview.URL == link
	})
	b.sendRequest(api.SendRequest{To: a.id(), Forward: sent.ID})
	if m := a.last(b); m.Preview == nil || !m.Forwarded || m.Preview.Title != p.Title || m.Preview.Image != got.Preview.Image {
		t.Errorf("forwarded: %+v", m.Preview)
	}
	sent = a.sendRequest(api.SendRequest{To: b.id(), Text: text, Preview: &api.PreviewRequest{URL: link, Title: "x"}})
	if err := a.Edit(t.Context(), api.EditRequest{ID: sent.ID, Text: text, Preview: &api.PreviewRequest{}}); err != nil {
		t.Fatal(err)
	}
	b.eventually(a, func(m api.Message) bool { return m.Edited && m.Preview == nil })
	sent = a.sendRequest(api.SendRequest{To: b.id(), Text: text, Preview: &api.PreviewRequest{URL: link, Title: "x"}})
	if err := a.Edit(t.Context(), api.EditRequest{ID: sent.ID, Text: "no link"}); err != nil {
		t.Fatal(err)
	}
	b.eventually(a, func(m api.Message) bool { return m.Edited && m.Preview == nil })
	if asked.Load() != 2 {
		t.Errorf("the site was asked %d times", asked.Load())
	}
}

// TestPreviewRefused: what is not a preview of a link in the text isn't sent,
// and what a preview says is made plain first.
func TestPreviewRefused(t *testing.T) {
	a, b := pair(t)
	const link = "https://example.org/"
	for name, p := range map[string]api.PreviewRequest{
		"of another link": {URL: "https://example.net/", Title: "x"},
		"without a title": {URL: link, Title: "\u202e \n"},
		"no picture":      {URL: link, Title: "x", Image: []byte("GIF89a")},
		"of a word":       {URL: "see", Title: "x"},
	} {
		_, err := a.Send(t.Context(), api.SendRequest{To: b.id(), Text: "see " + link, Preview: &p})
		if !errors.Is(err, &api.Error{Code: api.CodeUsage}) {
			t.Errorf("%s: %v", name, err)
		}
	}
	a.sendRequest(api.SendRequest{To: b.id(), Text: "see " + link, Preview: &api.PreviewRequest{
		URL: link, Title: " a\n\u202eb ", Image: withComment(t, "taken at home"),
	}})
	m := b.last(a)
	if m.Preview == nil || m.Preview.Title != "a b" {
		t.Fatalf("%+v", m.Preview)
	}
	img, err := base64.StdEncoding.DecodeString(m.Preview.Image)
	if err != nil || len(img) == 0 || bytes.Contains(img, []byte("at home")) {
		t.Errorf("the picture has %d bytes as it came, %v", len(img), err)
	}
	// A host that looks like another one, and one behind a name and a password.
	a.sendRequest(api.SendRequest{To: b.id(), Text: "https://аpple.com/", Preview: &api.PreviewRequest{URL: "https://аpple.com/", Title: "Apple"}})
	if m := b.last(a); m.Preview == nil || m.Preview.Host != "xn--pple-43d.com" {
		t.Errorf("%+v", m.Preview)
	}
	const behind = "https://example.org@example.net/"
	a.sendRequest(api.SendRequest{To: b.id(), Text: behind, Preview: &api.PreviewRequest{URL: behind, Title: "x"}})
	if m := b.last(a); m.Preview != nil {
		t.Errorf("shown: %+v", m.Preview)
	}
}

// TestPreviewsOff: with the switch off no site is asked, also after a restart.
func TestPreviewsOff(t *testing.T) {
	link, o, asked := pageServer(t)
	dir := t.TempDir()
	p := start(t, dir, "ann")
	p.LookWith(o)
	if s, err := p.Settings(t.Context(), api.SettingsRequest{}); err != nil || !s.Previews {
		t.Fatalf("at first: %+v, %v", s, err)
	}
	if s, err := p.Settings(t.Context(), api.SettingsRequest{Previews: new(false)}); err != nil || s.Previews {
		t.Fatalf("switched off: %+v, %v", s, err)
	}
	for range 2 {
		if _, err := p.Look(t.Context(), api.LookRequest{URL: link}); !errors.Is(err, &api.Error{Code: api.CodeNotAllowed}) || asked.Load() != 0 {
			t.Errorf("%v, and the site was asked %d times", err, asked.Load())
		}
		p.halt()
		p = start(t, dir, "")
		p.LookWith(o)
	}
	if _, err := p.Settings(t.Context(), api.SettingsRequest{Previews: new(true)}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Look(t.Context(), api.LookRequest{URL: link}); err != nil || asked.Load() == 0 {
		t.Errorf("%v, and the site was asked %d times", err, asked.Load())
	}
	for _, bad := range []string{"http://example.org/", "https://127.0.0.1:9/", "https://[::1]/", "https://10.0.0.1/", "file:///etc/passwd"} {
		if _, err := p.Look(t.Context(), api.LookRequest{URL: bad}); !errors.Is(err, &api.Error{Code: api.CodeNoPreview}) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
