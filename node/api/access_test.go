package api

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestScopes calls every method with tokens of every kind.
func TestScopes(t *testing.T) {
	grants := map[string]Grant{
		"read":              {Scopes: []string{ScopeRead}},
		"send":              {Scopes: []string{ScopeSend}},
		"read+send":         {Scopes: []string{ScopeRead, ScopeSend}},
		"admin":             Owner,
		"none":              {},
		"read, one":         {Scopes: []string{ScopeRead}, Conversation: bob},
		"send, one":         {Scopes: []string{ScopeSend}, Conversation: bob},
		"admin, one":        {Scopes: []string{ScopeAdmin}, Conversation: bob},
		"something strange": {Scopes: []string{"Admin", ""}},
	}
	// What each may call, written down once more: a method that is new is for
	// admin alone.
	reading := []string{"version", "id", "status", "check", "contacts", "listContacts", "requests", "wait", "read", "markRead", "message", "search", "conversations", "watch", "unwatch", "mailboxes", "transfers", "getAttachment", "sendReceipt", "subscribeReceive", "listGroups", "listAccounts", "listIdentities"}
	sending := []string{"version", "id", "status", "send", "wait", "react", "edit", "unsend", "draft", "sendTyping", "sendReaction", "remoteDelete", "preview"}
	notAlone := []string{"preview", "id", "status", "check", "requests", "mailboxes", "transfers", "listGroups", "listAccounts", "listIdentities"}
	one := func(list []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(m string) bool { return slices.Contains(notAlone, m) })
	}
	want := map[string][]string{
		"read": reading, "send": sending, "read+send": append(slices.Clone(reading), sending...),
		"admin": slices.Collect(maps.Keys(table)), "read, one": one(reading), "send, one": one(sending),
		"admin, one": append(one(reading), one(sending)...),
	}
	for name, g := range grants {
		for method := range table {
			out := (&Server{Daemon: &scripted{err: errBadDuration}, Version: "v"}).Answer(t.Context(),
				[]byte(`{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":{"nonsense":1}}`), g)
			refused := bytes.Contains(out, []byte(errScope.Message))
			if may := slices.Contains(want[name], method); may == refused {
				t.Errorf("%s calls %s: %s", name, method, out)
			}
		}
	}
}

// TestOneConversation: a token for bob's conversation does nothing in another.
func TestOneConversation(t *testing.T) {
	const other = "fedcba9876543210fedcba9876543210"
	g := Grant{Scopes: []string{ScopeRead, ScopeSend}, Conversation: bob}
	ask := func(method, params string) string {
		t.Helper()
		d := &twoPeople{scripted: &scripted{wait: func(context.Context, string, string) (string, error) { return StateRead, nil }}}
		out := (&Server{Daemon: d}).Answer(t.Context(), []byte(`{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":`+params+`}`), g)
		var m struct {
			Result json.RawMessage
			Error  *struct{ Data Error }
		}
		if err := json.Unmarshal(out, &m); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if m.Error != nil {
			return m.Error.Data.Code
		}
		return string(m.Result)
	}
	for _, c := range []struct{ method, here, there string }{
		{"send", `{"recipient":"bob","message":"hi"}`, `{"recipient":"eve","message":"hi"}`},
		{"send", `{"recipient":"bob","message":"hi","replyTo":"` + msgID + `"}`, `{"recipient":"bob","message":"hi","replyTo":"` + other + `"}`},
		{"send", `{"recipient":"bob","forward":"` + msgID + `"}`, `{"recipient":"bob","forward":"` + other + `"}`},
		{
			"send", `{"recipient":"bob","message":"hi","mentions":[{"start":0,"length":1,"who":"me"}]}`,
			`{"recipient":"bob","message":"hi","mentions":[{"start":0,"length":1,"who":"eve"}]}`,
		},
		{"read", `{"who":"bob"}`, `{"who":"eve"}`},
		{"read", `{"who":"bob","before":"` + msgID + `"}`, `{"who":"bob","before":"` + other + `"}`},
		{"markRead", `{"ids":["` + msgID + `"]}`, `{"ids":["` + msgID + `","` + other + `"]}`},
		{"read", `{"who":"bob","around":"` + msgID + `"}`, `{"who":"bob","around":"` + other + `"}`},
		{"message", `{"id":"` + msgID + `"}`, `{"id":"` + other + `"}`},
		{"wait", `{"id":"` + msgID + `"}`, `{"id":"` + other + `"}`},
		{"search", `{"query":"x","in":"bob"}`, `{"query":"x","in":"eve"}`},
		{"react", `{"id":"` + msgID + `","emoji":"x"}`, `{"id":"` + other + `","emoji":"x"}`},
		{"edit", `{"id":"` + msgID + `","message":"x"}`, `{"id":"` + other + `","message":"x"}`},
		{"unsend", `{"id":"` + msgID + `"}`, `{"id":"` + other + `"}`},
		{"sendReaction", `{"recipient":"bob","emoji":"x","targetAuthor":"bob","targetTimestamp":1700000000123}`, `{"recipient":"eve","emoji":"x","targetAuthor":"bob","targetTimestamp":1700000000123}`},
		{"remoteDelete", `{"recipient":"bob","targetTimestamp":1700000000123}`, `{"recipient":"eve","targetTimestamp":1700000000123}`},
		{"sendReceipt", `{"recipient":"bob","targetTimestamp":1700000000123}`, `{"recipient":"eve","targetTimestamp":1700000000123}`},
		{"draft", `{"who":"bob"}`, `{"who":"eve"}`},
		{"getAttachment", `{"id":"` + msgID + `-0"}`, `{"id":"` + other + `-0"}`},
		{"sendTyping", `{"recipient":"bob"}`, `{"recipient":"eve"}`},
	} {
		if got := ask(c.method, c.here); !strings.HasPrefix(got, "{") {
			t.Errorf("%s %s: %s", c.method, c.here, got)
		}
		if got := ask(c.method, c.there); got != CodeNotAllowed && got != CodeUnknownMessage {
			t.Errorf("%s %s: %s", c.method, c.there, got)
		}
	}
	for _, method := range []string{"contacts", "listContacts", "conversations"} {
		if got := ask(method, `{}`); !strings.Contains(got, bob) || strings.Contains(got, eve) {
			t.Errorf("%s: %s", method, got)
		}
	}
	if got := ask("search", `{"query":"x"}`); !strings.Contains(got, "only in "+bob) {
		t.Errorf("searching everywhere: %s", got)
	}
}

const eve = "rl1eveeveeveeveeveeveeveeveeveeveeveeveeveeveeveeveeveeveeveeveeve"

// twoPeople is a Daemon with another contact.
type twoPeople struct{ *scripted }

func (d *twoPeople) Find(ctx context.Context, who string) (Contact, error) {
	if who == "eve" {
		return Contact{ID: eve}, nil
	}
	return d.scripted.Find(ctx, who)
}

func (d *twoPeople) Message(ctx context.Context, id string) (Message, error) {
	if id != msgID {
		return Message{ID: id, Conversation: eve}, nil
	}
	return d.scripted.Message(ctx, id)
}

func (d *twoPeople) Contacts(context.Context) ([]Contact, error) {
	return []Contact{{ID: eve}, bobContact}, nil
}

func (d *twoPeople) Chats(context.Context) ([]Chat, error) {
	return []Chat{{ID: bob}, {ID: eve}}, nil
}

func (d *twoPeople) Search(_ context.Context, r SearchRequest) ([]Message, error) {
	return []Message{{Text: "only in " + r.In}}, nil
}

// A token that may send may not have the daemon read files of its machine.
func TestPathsAreForTheOwner(t *testing.T) {
	for _, c := range []struct {
		g    Grant
		file string
		want bool
	}{
		{Owner, "/etc/passwd", true},
		{Grant{Scopes: []string{ScopeSend}}, "/etc/passwd", false},
		{Grant{Scopes: []string{ScopeSend}}, "data:text/plain;base64,aGk=", true},
	} {
		out := (&Server{Daemon: &scripted{}, Version: "v"}).Answer(t.Context(),
			[]byte(`{"jsonrpc":"2.0","id":1,"method":"send","params":{"recipient":"bob","attachments":["`+c.file+`"]}}`), c.g)
		if ok := bytes.Contains(out, []byte("SUCCESS")); ok != c.want {
			t.Errorf("%v sends %s: %s", c.g, c.file, out)
		}
	}
}
