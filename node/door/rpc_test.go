package door

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rushlight/node/api"
)

func TestRPC(t *testing.T) {
	p := open(t)
	token := p.token()
	for _, c := range []struct{ body, want string }{
		{whoami, `"id":7,"result":{"account":"` + bob},
		{"{\n\t\"jsonrpc\": \"2.0\",\r\n\t\"id\": \"x\",\n\t\"method\": \"version\"\n}\n", `"id":"x","result":{"version":"v1"}`},
		{`[` + whoami + `,{"jsonrpc":"2.0","id":8,"method":"nothing"}]`, `"code":"unknown_method"`},
		{`{"jsonrpc":"2.0","id":1,"method":"watch"}`, `"code":"usage"`},
		{`{`, `"code":"usage"`},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"send\",\"params\":{\"recipient\":\"b\",\"message\":\"\xff\"}}", `"code":"not_text"`},
	} {
		if status, text := p.rpc(token, c.body); status != http.StatusOK || !strings.Contains(text, c.want) {
			t.Errorf("%s: %d %s", c.body, status, text)
		}
	}
	if status, text := p.rpc(token, `{"jsonrpc":"2.0","method":"version"}`); status != http.StatusNoContent || text != "" {
		t.Errorf("a notification: %d %s", status, text)
	}
	if status, text, _ := p.do("GET", "/api/v1/check", "", "Authorization", "Bearer "+token); status != http.StatusOK || !strings.Contains(text, `"ok":true`) {
		t.Errorf("check: %d %s", status, text)
	}
}

func TestOpenRPC(t *testing.T) {
	p := open(t)
	status, text, h := p.do("GET", "/api/v1/openrpc.json", "")
	if status != http.StatusOK || h.Get("Content-Type") != "application/json" || !strings.Contains(text, `"name": "send"`) {
		t.Errorf("%d %s %.100s", status, h.Get("Content-Type"), text)
	}
}

// stream reads Server-Sent Events.
type reader struct {
	t testing.TB
	r *bufio.Reader
}

func (p *place) stream(path string, header ...string) *reader {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 2*time.Minute)
	p.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path, http.NoBody)
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		p.t.Fatalf("%d %s", res.StatusCode, res.Header.Get("Content-Type"))
	}
	return &reader{p.t, bufio.NewReader(res.Body)}
}

// block is what comes up to an empty line; empty at the end.
func (r *reader) block() string {
	r.t.Helper()
	var b strings.Builder
	for {
		line, err := r.r.ReadString('\n')
		if err != nil {
			return ""
		}
		if line == "\n" {
			return b.String()
		}
		b.WriteString(line)
	}
}

func TestEvents(t *testing.T) {
	p := open(t)
	token, id := p.made(api.Grant{Scopes: []string{api.ScopeRead}})
	auth := "Bearer " + token
	for range 3 {
		p.daemon.happen(bob)
	}
	r := p.stream("/api/v1/events", "Authorization", auth, "Last-Event-ID", "1")
	if got := r.block(); got != ": seq 3\n" {
		t.Errorf("got %q", got)
	}
	p.daemon.happen(eve)
	for _, want := range []string{"id: 2\nevent: state\ndata: {\"seq\":2,", "id: 3\n", "id: 4\n"} {
		if got := r.block(); !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	now := p.stream("/api/v1/events", "Authorization", auth)
	if got := now.block(); got != ": seq 4\n" {
		t.Errorf("got %q", got)
	}
	p.daemon.happen(bob)
	if got := now.block(); !strings.HasPrefix(got, "id: 5\n") {
		t.Errorf("got %q", got)
	}

	one, _ := p.made(api.Grant{Scopes: []string{api.ScopeRead}, Conversation: eve})
	if got := p.streamed(one); !strings.HasPrefix(got, "id: 4\n") {
		t.Errorf("of one conversation: %q", got)
	}
	mute, _ := p.made(api.Grant{Scopes: []string{api.ScopeSend}})
	if status, text, _ := p.do("GET", "/api/v1/events", "", "Authorization", "Bearer "+mute); status != http.StatusForbidden {
		t.Errorf("without the scope: %d %s", status, text)
	}
	if status, _, _ := p.do("GET", "/api/v1/events?after=x", "", "Authorization", auth); status != http.StatusBadRequest {
		t.Errorf("a number that is none: %d", status)
	}
	if err := p.tokens.Revoke(id); err != nil {
		t.Fatal(err)
	}
	if got := now.block(); got != "" {
		t.Errorf("after the token was revoked: %q", got)
	}
}

func (p *place) streamed(token string) string {
	p.t.Helper()
	r := p.stream("/api/v1/events?after=0", "Authorization", "Bearer "+token)
	r.block()
	return r.block()
}

func TestEventsGone(t *testing.T) {
	p := open(t)
	p.daemon.first = 10
	p.daemon.happen(bob)
	status, text, _ := p.do("GET", "/api/v1/events?after=3", "", "Authorization", "Bearer "+p.token())
	if status != http.StatusGone || !strings.Contains(text, `"code":"gone"`) || !strings.Contains(text, `"first":10`) {
		t.Errorf("%d %s", status, text)
	}
}

// socket is a WebSocket.
type socket struct {
	t  testing.TB
	ws *websocket.Conn
}

func (p *place) dial(origin ...string) *socket {
	p.t.Helper()
	ws, err := p.tryDial(origin...)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = ws.CloseNow() })
	return &socket{p.t, ws}
}

func (p *place) tryDial(origin ...string) (*websocket.Conn, error) {
	p.t.Helper()
	h := http.Header{}
	for _, o := range origin {
		h.Set("Origin", o)
	}
	ws, res, err := websocket.Dial(p.t.Context(), p.url+"/api/v1/ws", &websocket.DialOptions{HTTPHeader: h})
	if res != nil && res.Body != nil {
		_ = res.Body.Close()
	}
	return ws, err
}

func (s *socket) write(m string) {
	s.t.Helper()
	if err := s.ws.Write(s.t.Context(), websocket.MessageText, []byte(m)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *socket) read() string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 90*time.Second)
	defer cancel()
	_, b, err := s.ws.Read(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	if !json.Valid(b) {
		s.t.Fatalf("%s is not one value", b)
	}
	return string(b)
}

// ended waits until the other side has closed, and says how.
func (s *socket) ended() websocket.StatusCode {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 90*time.Second)
	defer cancel()
	for {
		if _, _, err := s.ws.Read(ctx); err != nil {
			if ctx.Err() != nil {
				s.t.Fatal("the socket stays open")
			}
			return websocket.CloseStatus(err)
		}
	}
}

func (s *socket) login(token string) {
	s.t.Helper()
	s.write(`{"jsonrpc":"2.0","id":"in","method":"authenticate","params":{"token":"` + token + `"}}`)
	if got := s.read(); !strings.HasPrefix(got, `{"jsonrpc":"2.0","id":"in","result":{"scopes":[`) {
		s.t.Fatalf("logging in: %s", got)
	}
}

func TestWebSocket(t *testing.T) {
	p := open(t)
	p.daemon.happen(bob)
	s := p.dial(p.url)
	s.login(p.token())
	s.write("{\"jsonrpc\":\"2.0\",\n\"id\":1,\"method\":\"watch\",\"params\":{\"after\":0}}")
	// Events may come before the answer.
	got := []string{s.read(), s.read()}
	slices.Sort(got)
	if got[0] != `{"jsonrpc":"2.0","id":1,"result":{"seq":1}}` || !strings.HasPrefix(got[1], `{"jsonrpc":"2.0","method":"event","params":{"seq":1,`) {
		t.Errorf("got %s", got)
	}
	p.daemon.happen(bob)
	if got := s.read(); !strings.HasPrefix(got, `{"jsonrpc":"2.0","method":"event","params":{"seq":2,`) {
		t.Errorf("got %s", got)
	}
	s.write(`[` + whoami + `]`)
	if got := s.read(); !strings.Contains(got, bob) {
		t.Errorf("got %s", got)
	}
	s.write(`nonsense`)
	if got := s.read(); !strings.Contains(got, `"code":"usage"`) {
		t.Errorf("got %s", got)
	}
	go p.stop()
	if got := s.ended(); got != websocket.StatusNormalClosure {
		t.Errorf("when the daemon stops: %v", got)
	}
}

func TestWebSocketNeedsToken(t *testing.T) {
	p := open(t)
	for _, first := range []string{
		whoami,
		`{"jsonrpc":"2.0","id":1,"method":"authenticate","params":{"token":"x"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"authenticate"}`,
		`nonsense`,
	} {
		s := p.dial()
		s.write(first)
		if got := s.read(); !strings.Contains(got, `"code":"not_allowed"`) {
			t.Errorf("%s: %s", first, got)
		}
		if got := s.ended(); got != statusToken {
			t.Errorf("%s: closed with %v", first, got)
		}
	}
	// Who says nothing is not waited for.
	if got := p.dial().ended(); got != statusToken && got != -1 {
		t.Errorf("silence: closed with %v", got)
	}
}

// TestWebSocketOfOtherPages: a page of another origin can open a WebSocket
// without asking.
func TestWebSocketOfOtherPages(t *testing.T) {
	p := open(t)
	_, port, _ := strings.Cut(p.host, ":")
	for _, origin := range []string{
		"https://evil.example", "http://127.0.0.1:1", "http://127.0.0.1", "http://localhost:" + port, "null",
		"http://" + p.host + ".evil.example",
	} {
		if ws, err := p.tryDial(origin); err == nil {
			t.Errorf("%s is let in", origin)
			_ = ws.CloseNow()
		}
	}
	p.dial(p.url)
}
