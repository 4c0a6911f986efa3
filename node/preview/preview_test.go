package preview

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func picture(side int) []byte {
	m := image.NewNRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			m.Set(x, y, color.NRGBA{uint8(x * y), uint8(x), uint8(y), 255})
		}
	}
	var b bytes.Buffer
	_ = png.Encode(&b, m)
	return b.Bytes()
}

// site is a web server of the test's own; the second result is a fetcher that
// may call it.
func site(t *testing.T, h http.Handler) (*httptest.Server, *Fetcher) {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	return s, New(options(t, s))
}

func options(t *testing.T, s *httptest.Server) Options {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return Options{UnsafeAllow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, UnsafePorts: []uint16{uint16(port)}, Roots: roots, Limit: time.Minute}
}

func serve(t *testing.T, kind, body string) (*httptest.Server, *Fetcher) {
	t.Helper()
	return site(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write([]byte(body))
	}))
}

func TestFetch(t *testing.T) {
	asked := map[string]http.Header{}
	mux := http.NewServeMux()
	mux.HandleFunc("/from", func(w http.ResponseWriter, r *http.Request) {
		asked[r.URL.Path] = r.Header
		http.SetCookie(w, &http.Cookie{Name: "who", Value: "you"})
		http.Redirect(w, r, "/page", http.StatusFound)
	})
	mux.HandleFunc("/page", func(w http.ResponseWriter, r *http.Request) {
		asked[r.URL.Path] = r.Header
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<!doctype html><head><title>less</title><meta property="og:title" content="A &amp; B
			\u202etxt"><meta name=description content="  Some   words &lt;b&gt; "><meta property=og:image content="pic.png"></head><body><title>no`)
	})
	mux.HandleFunc("/pic.png", func(w http.ResponseWriter, r *http.Request) {
		asked[r.URL.Path] = r.Header
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write(picture(900))
	})
	s, f := site(t, mux)
	p, err := f.Fetch(t.Context(), s.URL+"/from")
	if err != nil {
		t.Fatal(err)
	}
	if p.URL != s.URL+"/from" || !strings.HasPrefix(p.Title, "A & B ") || p.Description != "Some words <b>" {
		t.Errorf("%+v", p)
	}
	if len(p.Image) == 0 || len(p.Image) > MaxImage || !bytes.HasPrefix(p.Image, []byte{0xff, 0xd8}) {
		t.Errorf("a picture of %d bytes", len(p.Image))
	}
	if len(asked) != 3 {
		t.Errorf("asked for %v", asked)
	}
	for path, h := range asked {
		for _, name := range []string{"Cookie", "Referer", "Accept-Language", "Authorization", "From", "Dnt"} {
			if h.Get(name) != "" {
				t.Errorf("%s was told %s: %s", path, name, h.Get(name))
			}
		}
	}
}

// Everything that isn't a public address is refused when it is about to be
// called. The control is TestFetch: with an allowance the same server answers.
func TestAddresses(t *testing.T) {
	called := false
	s, _ := site(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	u, _ := url.Parse(s.URL)
	o := options(t, s)
	o.UnsafeAllow = nil
	f := New(o)
	for _, host := range []string{
		"127.0.0.1", "localhost", "[::1]", "0.0.0.0", "[::]", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
		"224.0.0.1", "255.255.255.255", "[fe80::1]", "[fc00::1]", "[ff02::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b::a00:1]",
		"192.0.2.1", "198.18.0.1", "240.0.0.1", "[2001:db8::1]", "[2002:7f00:1::]", "0x7f000001", "2130706433", "127.1",
	} {
		_, err := f.Fetch(t.Context(), "https://"+host+":"+u.Port()+"/")
		if err == nil || called {
			t.Errorf("%s was called", host)
		}
		if ip := net.ParseIP(strings.Trim(host, "[]")); ip != nil && !errors.Is(err, ErrLink) {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, bad := range []string{"", "x", "http://example.org/", "file:///etc/passwd", "https://", "https:///x", "https://a:b@example.org/", "gopher://x/", "https://" + strings.Repeat("x", MaxURL)} {
		if _, err := f.Fetch(t.Context(), bad); !errors.Is(err, ErrLink) {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}

// A page can't lead anybody to an address by a redirect, or by a picture.
func TestLedAway(t *testing.T) {
	inside := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the inside was called") }))
	t.Cleanup(inside.Close)
	mux := http.NewServeMux()
	s, f := site(t, mux) // only this one's port is allowed
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, inside.URL, http.StatusFound) })
	mux.HandleFunc("/plain", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://example.org/", http.StatusFound)
	})
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/picture", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<title>t</title><meta property="og:image" content="%s/x.png">`, inside.URL)
	})
	for path, want := range map[string]error{"/redirect": ErrLink, "/plain": ErrLink, "/loop": ErrNothing} {
		if _, err := f.Fetch(t.Context(), s.URL+path); !errors.Is(err, want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if p, err := f.Fetch(t.Context(), s.URL+"/picture"); err != nil || p.Image != nil {
		t.Errorf("%+v, %v", p, err)
	}
}

// Pages that are slow, endless, huge, of a wrong type or hostile cost bounded
// time and memory.
func TestHostilePages(t *testing.T) {
	mux := http.NewServeMux()
	s, f := site(t, mux)
	sent := 0
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<title>t</title>")
		for r.Context().Err() == nil && sent < 1<<30 {
			n, err := w.Write(bytes.Repeat([]byte("<p>"), 10000))
			if sent += n; err != nil {
				return
			}
		}
	})
	if p, err := f.Fetch(t.Context(), s.URL+"/endless"); err != nil || p.Title != "t" {
		t.Errorf("%+v, %v", p, err)
	}
	if sent > 64<<20 {
		t.Errorf("%d bytes were taken", sent)
	}
	stop := make(chan struct{})
	wait := func(r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-stop:
		}
	}
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) { wait(r) })
	mux.HandleFunc("/stuck", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<p>")
		_ = http.NewResponseController(w).Flush()
		wait(r)
	})
	o := options(t, s)
	o.Limit = 200 * time.Millisecond
	for _, path := range []string{"/slow", "/stuck"} {
		if _, err := New(o).Fetch(t.Context(), s.URL+path); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ErrNothing) {
			t.Errorf("%s: %v", path, err)
		}
	}
	close(stop)
	for kind, body := range map[string]string{
		"image/png": string(picture(8)), "application/pdf": "%PDF-", "text/plain": "<title>t</title>", "": "<title>t</title>", "text/html": "<p>no title",
	} {
		s, f := serve(t, kind, body)
		if _, err := f.Fetch(t.Context(), s.URL); !errors.Is(err, ErrNothing) {
			t.Errorf("%q: %v", kind, err)
		}
	}
	s, f = serve(t, "text/html", "<title>"+strings.Repeat("long ", 1000)+"</title>")
	if p, err := f.Fetch(t.Context(), s.URL); err != nil || len([]rune(p.Title)) > MaxTitle {
		t.Errorf("%v", err)
	}
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"a\x00b\u202ec\u2066d\ufefft": "abcdt", " a \n\t b ": "a b", "\xff": "", "e\u0301": "e\u0301", "👩‍👩": "👩‍👩",
	} {
		if got := plain(in, 100, false); got != want {
			t.Errorf("%q became %q", in, got)
		}
	}
}

func TestFirstLink(t *testing.T) {
	for in, want := range map[string]string{
		"see https://example.org/a?b=c, and": "https://example.org/a?b=c", "(https://example.org/)": "https://example.org/",
		"http://example.org": "", "no": "", "https://u:p@example.org/ https://b.example": "https://b.example",
	} {
		if got := FirstLink(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func FuzzPage(f *testing.F) {
	f.Add([]byte(`<title>t</title><meta property="og:image" content="x">`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := read(b)
		if len([]rune(p.title)) > MaxTitle || len([]rune(p.description)) > MaxDescription || strings.ContainsAny(p.title+p.description, "\n\r\x00\u202e\u2066") {
			t.Errorf("%q", p)
		}
	})
}
