package door

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rushlight/node/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	bob   = "rl1bobbobbobbobbobbobbobbobbobbobbobbobbobbobbobbobbobbobbobbobbob"
	eve   = "rl1eveeveeveeveeveeveeveeveeveeveeveeveeveeveeveeveeveeveeveeveeve"
	msgID = "0123456789abcdef0123456789abcdef"
)

// fake is a Daemon with a log of events.
type fake struct {
	api.Daemon // nil: what isn't here is not called

	mu      sync.Mutex
	log     []api.Event
	changed chan struct{}
	first   uint64
}

func newFake() *fake { return &fake{changed: make(chan struct{}), first: 1} }

func (f *fake) Self(context.Context) (api.Self, error) { return api.Self{Account: bob}, nil }

func (f *fake) Check(context.Context) (api.CheckReport, error) {
	return api.CheckReport{OK: true}, nil
}

func (f *fake) Contacts(context.Context) ([]api.Contact, error) {
	return []api.Contact{{ID: bob}, {ID: eve}}, nil
}

func (f *fake) Find(_ context.Context, who string) (api.Contact, error) {
	return api.Contact{ID: who}, nil
}

func (f *fake) Send(_ context.Context, r api.SendRequest) (api.Sent, error) {
	if r.Entered != nil {
		r.Entered()
	}
	return api.Sent{ID: msgID, State: api.StateQueued, To: r.To}, nil
}

// happen appends an event about a conversation.
func (f *fake) happen(with string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, api.Event{
		Seq: f.first + uint64(len(f.log)), Type: api.EventState, State: &api.StateChange{ID: msgID, Conversation: with, State: api.StateRead},
	})
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fake) Watch(ctx context.Context, after uint64, started func(uint64), fn func(api.Event) error) error {
	f.mu.Lock()
	last := f.first + uint64(len(f.log)) - 1
	f.mu.Unlock()
	if after != api.FromNow && after+1 < f.first {
		return &api.Error{Code: api.CodeGone, Message: "gone", First: &f.first}
	}
	started(last)
	for after = min(after, last); ; {
		f.mu.Lock()
		changed := f.changed
		var next *api.Event
		if i := int(after + 1 - f.first); i < len(f.log) {
			next = &f.log[i]
		}
		f.mu.Unlock()
		if next != nil {
			if err := fn(*next); err != nil {
				return err
			}
			after = next.Seq
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// place is a running door.
type place struct {
	t      testing.TB
	url    string
	host   string
	daemon *fake
	serves api.Daemon // in place of daemon, when set
	tokens *Tokens
	path   string
	key    *[32]byte
	stop   func()
}

func open(t testing.TB) *place {
	t.Helper()
	p := &place{t: t, daemon: newFake(), path: filepath.Join(t.TempDir(), FileName), key: &[32]byte{1}}
	p.start()
	return p
}

func (p *place) start() {
	p.t.Helper()
	var err error
	if p.tokens, err = OpenTokens(p.path, p.key); err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(p.t.Context())
	ln, err := Listen(ctx, "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	p.host = AddrOf(ln).String()
	p.url = "http://" + p.host
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the page") })
	var daemon api.Daemon = p.daemon
	if p.serves != nil {
		daemon = p.serves
	}
	d := &Door{Server: &api.Server{Daemon: daemon, Version: "v1"}, Tokens: p.tokens, Page: page}
	done := make(chan error, 1)
	go func() { done <- d.Serve(ctx, ln) }()
	p.stop = sync.OnceFunc(func() {
		cancel()
		http.DefaultClient.CloseIdleConnections()
		if err := <-done; err != nil {
			p.t.Error("Serve:", err)
		}
	})
	p.t.Cleanup(p.stop)
}

// token is one that may do everything.
func (p *place) token() string {
	p.t.Helper()
	t, err := p.tokens.Exchange(p.tokens.NewCode())
	if err != nil {
		p.t.Fatal(err)
	}
	return t
}

// made is a token as people make it.
func (p *place) made(g api.Grant) (token, id string) {
	p.t.Helper()
	token, id, err := p.tokens.Create("test", g)
	if err != nil {
		p.t.Fatal(err)
	}
	return token, id
}

// do sends a request; header is pairs, Host among them.
func (p *place) do(method, path, body string, header ...string) (status int, text string, h http.Header) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 90*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, p.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if body != "" { // other types replace it
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		} else {
			r.Header.Set(header[i], header[i+1])
		}
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return res.StatusCode, string(b), res.Header
}

func (p *place) rpc(token, body string) (int, string) {
	p.t.Helper()
	status, text, _ := p.do("POST", "/api/v1/rpc", body, "Authorization", "Bearer "+token)
	return status, text
}

const whoami = `{"jsonrpc":"2.0","id":7,"method":"id"}`

func codeOf(t testing.TB, text string) string {
	t.Helper()
	var e struct{ Error struct{ Code string } }
	if err := json.NewDecoder(bytes.NewReader([]byte(text))).Decode(&e); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return e.Error.Code
}
