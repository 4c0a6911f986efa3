package door

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"rushlight/node/api"
)

// session exchanges a code as the page does.
func (p *place) session(code string) (status int, token string) {
	p.t.Helper()
	status, text, _ := p.do("POST", "/api/v1/session", `{"code":"`+code+`"}`)
	_, rest, _ := strings.Cut(text, `"token":"`)
	token, _, _ = strings.Cut(rest, `"`)
	return status, token
}

func TestCode(t *testing.T) {
	p := open(t)
	code := p.tokens.NewCode()
	if status, _ := p.session(code[:len(code)-1]); status != http.StatusUnauthorized {
		t.Errorf("a wrong code: %d", status)
	}
	status, token := p.session(code)
	if status != http.StatusOK {
		t.Fatalf("the code: %d", status)
	}
	if status, text := p.rpc(token, whoami); status != http.StatusOK || !strings.Contains(text, bob) {
		t.Errorf("%d %s", status, text)
	}
	if status, token := p.session(code); status != http.StatusUnauthorized || token != "" {
		t.Errorf("a code used twice: %d", status)
	}
	if status, _ := p.session(""); status != http.StatusUnauthorized {
		t.Errorf("no code: %d", status)
	}
}

func TestCodeExpires(t *testing.T) {
	p := open(t)
	now := time.Now()
	clock := func(d time.Duration) {
		p.tokens.mu.Lock()
		defer p.tokens.mu.Unlock()
		p.tokens.now = func() time.Time { return now.Add(d) }
	}
	clock(0)
	late, inTime := p.tokens.NewCode(), p.tokens.NewCode()
	clock(59 * time.Second)
	if status, _ := p.session(inTime); status != http.StatusOK {
		t.Errorf("after 59 s: %d", status)
	}
	clock(61 * time.Second)
	if status, _ := p.session(late); status != http.StatusUnauthorized {
		t.Errorf("after 61 s: %d", status)
	}
}

func TestCodesAreFew(t *testing.T) {
	p := open(t)
	first := p.tokens.NewCode()
	for range maxCodes {
		p.tokens.NewCode()
	}
	if len(p.tokens.codes) != maxCodes {
		t.Errorf("%d codes are kept", len(p.tokens.codes))
	}
	if _, err := p.tokens.Exchange(first); !errors.Is(err, ErrCode) {
		t.Errorf("the oldest code: %v", err)
	}
}

// TestRestart: a page stays logged in, and the disk holds nothing to log in with
// or that says whose conversation a token is for.
func TestRestart(t *testing.T) {
	p := open(t)
	code := p.tokens.NewCode()
	_, page := p.session(code)
	made, id := p.made(api.Grant{Scopes: []string{api.ScopeSend}, Conversation: bob})
	b, err := os.ReadFile(p.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{code, page, made, bob, "test"} {
		if strings.Contains(string(b), secret) {
			t.Errorf("%q is on the disk", secret)
		}
	}
	if fi, err := os.Stat(p.path); err != nil || fi.Mode().Perm()&0o077 != 0 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}

	p.stop()
	p.start()
	if status, text := p.rpc(page, whoami); status != http.StatusOK || !strings.Contains(text, bob) {
		t.Errorf("the page after a restart: %d %s", status, text)
	}
	if s := p.tokens.Session(made); s == nil || s.ID != id || s.Grant.Conversation != bob || !s.Grant.Has(api.ScopeSend) || s.Grant.Has(api.ScopeRead) {
		t.Errorf("a token after a restart: %+v", s)
	}
	if status, _ := p.session(code); status != http.StatusUnauthorized {
		t.Errorf("the code after a restart: %d", status)
	}

	// While locked only the page is let in.
	locked, err := OpenTokens(p.path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if locked.Session(page) == nil {
		t.Error("the page is not let in while the profile is locked")
	}
	if s := locked.Session(made); s != nil && len(s.Grant.Scopes) > 0 {
		t.Errorf("a token while locked: %+v", s)
	}
	if _, err := locked.Exchange(locked.NewCode()); !errors.Is(err, ErrCode) {
		t.Errorf("a link while locked: %v", err)
	}
	// Another profile in the same place knows none.
	other, err := OpenTokens(p.path, &[32]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	if other.Session(page) != nil || other.Session(made) != nil || len(other.List()) != 0 {
		t.Error("tokens of another profile are good")
	}
}

func TestPagesAreFew(t *testing.T) {
	p := open(t)
	first := p.token()
	for range maxPages {
		p.token()
	}
	if p.tokens.Session(first) != nil || len(p.tokens.List()) != maxPages {
		t.Errorf("%d tokens", len(p.tokens.List()))
	}
	last := p.token()
	const day = 24 * time.Hour
	for _, c := range []struct {
		after time.Duration
		good  bool
	}{{20 * day, true}, {45 * day, true}, {80 * day, false}} { // used on the 20th and the 45th
		later, err := openTokens(p.path, p.key, func() time.Time { return time.Now().Add(c.after) })
		if err != nil {
			t.Fatal(err)
		}
		if (later.Session(last) != nil) != c.good {
			t.Errorf("after %v: %v", c.after, !c.good)
		}
	}
}

func TestPort(t *testing.T) {
	p := open(t)
	page := p.token()
	made, _ := p.made(api.Grant{Scopes: []string{api.ScopeRead}})
	for _, port := range []uint16{1000, 1000} {
		if err := p.tokens.SetPort(port); err != nil {
			t.Fatal(err)
		}
	}
	if p.tokens.Session(page) == nil {
		t.Error("the first port has shut a page out")
	}
	again, err := OpenTokens(p.path, p.key)
	if err != nil || again.Port() != 1000 {
		t.Fatalf("port %d, %v", again.Port(), err)
	}
	if err := again.SetPort(2000); err != nil {
		t.Fatal(err)
	}
	if again.Session(page) != nil || again.Session(made) == nil {
		t.Error("after a change of the port")
	}
}

func TestRevoke(t *testing.T) {
	p := open(t)
	token, id := p.made(api.Owner)
	ws := p.dial()
	ws.login(token)
	if err := p.tokens.Revoke(id); err != nil {
		t.Fatal(err)
	}
	ws.ended()
	if status, _ := p.rpc(token, whoami); status != http.StatusUnauthorized {
		t.Errorf("a revoked token: %d", status)
	}
	if err := p.tokens.Revoke(id); !errors.Is(err, &api.Error{Code: api.CodeUnknownToken}) {
		t.Errorf("revoked twice: %v", err)
	}
	page := p.token()
	if status, _, _ := p.do("DELETE", "/api/v1/session", "", "Authorization", "Bearer "+page); status != http.StatusNoContent {
		t.Errorf("logging out: %d", status)
	}
	if p.tokens.Session(page) != nil {
		t.Error("logged out, and still in")
	}
}

// The id of a token can be named on a command line: one in 64 would begin like
// an option.
func TestIDsAreNoOptions(t *testing.T) {
	for range 2000 {
		if id := random(6); strings.HasPrefix(id, "-") || len(id) != 8 {
			t.Fatalf("an id is %q", id)
		}
	}
}
