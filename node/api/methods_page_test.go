package api

import "testing"

// The recovery code is there until it was confirmed.
func TestRecovery(t *testing.T) {
	code := "abcd-efgh"
	c := &conn{Server: &Server{Recovery: func(confirmed bool) string {
		was := code
		if confirmed {
			code = ""
		}
		return was
	}}}
	for _, want := range []struct{ params, code string }{{`{}`, "abcd-efgh"}, {`{}`, "abcd-efgh"}, {`{"confirmed":true}`, ""}} {
		v, err := c.recovery(t.Context(), []byte(want.params))
		if err != nil || v.(Recovery).Code != want.code {
			t.Errorf("%s: %v, %v", want.params, v, err)
		}
	}
	if _, err := c.recovery(t.Context(), []byte(`{}`)); err == nil {
		t.Error("it is still there")
	}
}

// What somebody does counts as use; what a page asks by itself doesn't, nor a
// program with a token.
func TestUse(t *testing.T) {
	page := Grant{Scopes: Owner.Scopes, Page: true}
	for _, c := range []struct {
		grant  Grant
		method string
		use    bool
	}{
		{Owner, "read", true},
		{page, "read", false},
		{page, "markRead", false},
		{page, "status", false},
		{page, "active", true},
		{page, "send", true},
		{Grant{Scopes: []string{ScopeRead, ScopeSend}}, "send", false},
	} {
		k := &conn{Server: &Server{Daemon: &scripted{}}, Daemon: &scripted{}, grant: c.grant, lastSend: make(chan struct{})}
		k.Assign(t.Context(), c.method)
		if got := !k.LastUse().IsZero(); got != c.use {
			t.Errorf("%s by %+v counts: %v", c.method, c.grant, got)
		}
	}
}
