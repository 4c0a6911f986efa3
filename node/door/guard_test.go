package door

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rushlight/node/api"
)

func TestLoopbackOnly(t *testing.T) {
	for _, addr := range []string{
		"0.0.0.0:0", "[::]:0", ":0", "192.0.2.1:0", "example.org:0", "127.0.0.1", "127.0.0.1:http", "127.0.0.1.example.org:0",
		"[fe80::1%lo]:0", "2130706433:0", "",
	} {
		if ln, err := Listen(t.Context(), addr); !errors.Is(err, ErrNotLoopback) {
			t.Errorf("%q: %v", addr, err)
			if err == nil {
				ln.Close()
			}
		}
	}
	for _, addr := range []string{"127.0.0.1:0", "127.0.0.2:0", "localhost:0"} {
		ln, err := Listen(t.Context(), addr)
		if err != nil {
			t.Errorf("%q: %v", addr, err)
			continue
		}
		if a := AddrOf(ln); !a.Addr().IsLoopback() || a.Port() == 0 {
			t.Errorf("%q listens at %v", addr, a)
		}
		ln.Close()
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := (&Door{}).Serve(t.Context(), ln); !errors.Is(err, ErrNotLoopback) {
		t.Errorf("serving everybody: %v", err)
	}
}

// TestHost is rebinding: a browser that thinks it speaks to another server.
func TestHost(t *testing.T) {
	p := open(t)
	_, port, _ := strings.Cut(p.host, ":")
	token := p.token()
	for _, host := range []string{
		"evil.example", "evil.example:" + port, "127.0.0.1.evil.example:" + port, p.host + ".evil.example", "localhost:" + port,
		"127.0.0.1", "127.0.0.1:1", "127.0.0.2:" + port, "127.1:" + port, "2130706433:" + port, "[::1]:" + port,
		"[::ffff:127.0.0.1]:" + port, "127.0.0.1:0" + port,
	} {
		for _, path := range []string{"/", "/api/v1/events"} {
			if status, text, _ := p.do("GET", path, "", "Host", host, "Authorization", "Bearer "+token); status != http.StatusMisdirectedRequest {
				t.Errorf("GET %s at %s: %d %s", path, host, status, text)
			}
		}
		if status, text, _ := p.do("POST", "/api/v1/rpc", whoami, "Host", host, "Authorization", "Bearer "+token); status != http.StatusMisdirectedRequest {
			t.Errorf("at %s: %d %s", host, status, text)
		}
	}
	if status, text := p.rpc(token, whoami); status != http.StatusOK {
		t.Errorf("control: %d %s", status, text)
	}
}

// TestOtherPages is what pages of other origins can have a browser send.
func TestOtherPages(t *testing.T) {
	p := open(t)
	token := p.token()
	auth := []string{"Authorization", "Bearer " + token}
	cases := []struct {
		name, method, path, body string
		header                   []string
		want                     int
	}{
		{"post cross-site", "POST", "/api/v1/rpc", whoami, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"post from another port", "POST", "/api/v1/rpc", whoami, []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"post, old browser", "POST", "/api/v1/rpc", whoami, []string{"Origin", "https://evil.example"}, 403},
		{"post, old browser, another port", "POST", "/api/v1/rpc", whoami, []string{"Origin", "http://127.0.0.1:1"}, 403},
		{"post from nowhere", "POST", "/api/v1/rpc", whoami, []string{"Origin", "null"}, 403},
		{"code cross-site", "POST", "/api/v1/session", `{"code":"x"}`, []string{"Origin", "https://evil.example"}, 403},
		{"get cross-site", "GET", "/", "", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"get from another port", "GET", "/", "", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"check cross-site", "GET", "/api/v1/check", "", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"events from another port", "GET", "/api/v1/events", "", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"get, something new", "GET", "/", "", []string{"Sec-Fetch-Site", "same-planet"}, 403},
		{"form", "POST", "/api/v1/rpc", whoami, []string{"Content-Type", "text/plain"}, 415},

		{"the page", "POST", "/api/v1/rpc", whoami, []string{"Sec-Fetch-Site", "same-origin", "Origin", p.url}, 200},
		{"typed", "GET", "/", "", []string{"Sec-Fetch-Site", "none"}, 200},
		{"program", "GET", "/api/v1/check", "", nil, 200},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if status, text, _ := p.do(c.method, c.path, c.body, append(c.header, auth...)...); status != c.want {
				t.Errorf("%d %s", status, text)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	p := open(t)
	want := map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; " +
			"connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; " +
			"require-trusted-types-for 'script'; trusted-types 'none'",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Embedder-Policy": "require-corp",
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              "no-referrer",
		"X-Frame-Options":              "DENY",
		"Set-Cookie":                   "",
		"Access-Control-Allow-Origin":  "",
	}
	for _, path := range []string{"/", "/nothing", "/api/v1/events", "/api/v1/check", "/api/nothing", "/api/v1/ws"} {
		_, _, h := p.do("GET", path, "")
		for k, v := range want {
			if h.Get(k) != v {
				t.Errorf("GET %s: %s: %q", path, k, h.Get(k))
			}
		}
	}
}

// TestNoToken: nothing but the page's own files comes without one, and none in
// a cookie or in the address counts.
func TestNoToken(t *testing.T) {
	p := open(t)
	token := p.token()
	for _, header := range [][]string{
		nil,
		{"Authorization", "Bearer "},
		{"Authorization", "Bearer " + token + "x"},
		{"Authorization", "Basic " + token},
		{"Authorization", token},
		{"Cookie", "token=" + token},
	} {
		for _, path := range []string{"/api/v1/events", "/api/v1/check", "/api/v1/check?token=" + token} {
			if status, text, _ := p.do("GET", path, "", header...); status != http.StatusUnauthorized || codeOf(t, text) != api.CodeNotAllowed {
				t.Errorf("GET %s with %q: %d %s", path, header, status, text)
			}
		}
		if status, text, _ := p.do("POST", "/api/v1/rpc", whoami, header...); status != http.StatusUnauthorized {
			t.Errorf("with %q: %d %s", header, status, text)
		}
	}
}

func TestLimits(t *testing.T) {
	p := open(t)
	token := p.token()
	if status, text := p.rpc(token, `"`+strings.Repeat("x", maxBody)+`"`); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body: %d %s", status, text)
	}
	if status, text := p.rpc(token, `"`+strings.Repeat("x", maxBody/2+100)+`"`); status != http.StatusOK || !strings.Contains(text, "larger than 512 KiB") {
		t.Errorf("a large line: %d %.100s", status, text)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Long", strings.Repeat("x", maxHeader+8192))
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return // the connection was closed while it was sent
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a large header: %d", res.StatusCode)
	}
}

// TestSocketLimit: a message that is too large ends a WebSocket, before and after
// its token has come.
func TestSocketLimit(t *testing.T) {
	p := open(t)
	large := `"` + strings.Repeat("x", maxBody) + `"`
	for _, token := range []string{"", p.token()} {
		s := p.dial()
		if token != "" {
			s.login(token)
			s.write(whoami)
			s.read() // what is small enough is answered
		}
		_ = s.ws.Write(t.Context(), websocket.MessageText, []byte(large)) // it may end while it is written
		if got := s.ended(); got != websocket.StatusMessageTooBig && got != -1 {
			t.Errorf("closed with %v", got)
		}
	}
}

// TestSlowHeader: who doesn't get through with what it asks for is not waited
// for.
func TestSlowHeader(t *testing.T) {
	p := open(t)
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", p.host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(12 * headerTime)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: ")); err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, c)
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		t.Error("the connection stays open")
	}
}

// TestConnections: those above the limit wait, and get their turn.
func TestConnections(t *testing.T) {
	p := open(t)
	var d net.Dialer
	conns := make([]net.Conn, maxConns)
	for i := range conns {
		c, err := d.DialContext(t.Context(), "tcp", p.host)
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = c
		// It is accepted once it is answered.
		if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: " + p.host + "\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	more, err := d.DialContext(t.Context(), "tcp", p.host)
	if err != nil {
		t.Fatal(err)
	}
	defer more.Close()
	answer := make([]byte, 1)
	await := func(d time.Duration) error {
		if err := more.SetReadDeadline(time.Now().Add(d)); err != nil {
			t.Fatal(err)
		}
		_, err := more.Read(answer)
		return err
	}
	if _, err := more.Write([]byte("GET / HTTP/1.1\r\nHost: " + p.host + "\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := await(time.Second); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("one connection more was answered:", err)
	}
	for _, c := range conns {
		c.Close()
	}
	if err := await(time.Minute); err != nil {
		t.Error(err)
	}
}
