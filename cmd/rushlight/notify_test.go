package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"rushlight/node/api"
)

// said is a Daemon to which messages come, a minute apart.
type said struct {
	api.Daemon
	events []api.Event
}

func (d said) Chat(_ context.Context, r api.ChatRequest) (c api.Chat, err error) {
	if r.Who == "muted" {
		c.Muted = 1
	}
	return c, nil
}

func (d said) Watch(_ context.Context, _ uint64, _ func(uint64), fn func(api.Event) error) error {
	for _, e := range d.events {
		<-time.After(time.Minute)
		for range 2 { // one of them is enough
			if err := fn(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func TestNotify(t *testing.T) {
	d := said{events: []api.Event{
		{Message: &api.Message{Conversation: "bob", FromName: "Bob", Text: "secret", Kind: api.KindText}},
		{Message: &api.Message{Conversation: "muted", FromName: "Eve", Text: "loud", Kind: api.KindText}},
		{Message: &api.Message{Conversation: "bob", Mine: true, Text: "mine", Kind: api.KindText}},
		{Typing: &api.Typing{}},
		{Message: &api.Message{Conversation: "bob", FromName: "Bob", Text: "soon gone", Kind: api.KindText, Expires: 1}},
		{Message: &api.Message{Conversation: "bob", FromName: "Bob", Text: "burns", Kind: api.KindText, Burn: 1}},
		{Message: &api.Message{Conversation: "bob", FromName: "<b>-Bob", Text: "$(run)\n<img src=x>", Kind: api.KindText}},
	}}
	const plain = "Rushlight: New message"
	for how, want := range map[string][]string{
		api.NotifyPlain:   {plain, plain, plain, plain},
		api.NotifyContent: {"Bob: secret", plain, plain, "＜b＞-Bob: ＄(run) ＜img src=x＞"},
		api.NotifyOff:     nil,
	} {
		synctest.Test(t, func(t *testing.T) {
			var got []string
			if err := notify(t.Context(), d, func() string { return how }, func(title, text string) error {
				got = append(got, title+": "+text)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q", how, got)
			}
		})
	}
}

// What somebody else wrote is one line of a notification and nothing that a
// desktop, a command or a script could take it for.
func TestInert(t *testing.T) {
	for in, want := range map[string]string{
		"hello, it's 5 o'clock":          "hello, it's 5 o'clock",
		"--icon=/etc/passwd":             "－-icon=/etc/passwd",
		" -u":                            "－u",
		"two\nlines\r\n\"@ of it":        "two lines \"@ of it",
		"$(calc) `calc` $env:PATH":       "＄(calc) ｀calc｀ ＄env:PATH",
		"]]></text><action x='y'/>":      "]]＞＜/text＞＜action x='y'/＞",
		`<a href="http://x">&lt;</a>`:    `＜a href="http://x"＞＆lt;＜/a＞`,
		"a\u202eb\x1b[1m":                "a\ufffdb\ufffd[1m",
		strings.Repeat("é", maxShown+1):  strings.Repeat("é", maxShown) + "…",
		strings.Repeat("<>", maxShown/2): strings.Repeat("＜＞", maxShown/2),
	} {
		if got := inert(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestHasDesktop(t *testing.T) {
	_, err := os.Stat(fmt.Sprintf("/run/user/%d/bus", os.Getuid()))
	bus := err == nil
	for _, c := range []struct {
		goos string
		env  map[string]string
		want bool
	}{
		{"linux", nil, bus},
		{"linux", map[string]string{"DISPLAY": ":0"}, true},
		{"linux", map[string]string{"WAYLAND_DISPLAY": "wayland-0"}, true},
		{"linux", map[string]string{"DBUS_SESSION_BUS_ADDRESS": "unix:path=/x"}, true},
		{"linux", map[string]string{"DISPLAY": ":10", "SSH_CONNECTION": "x"}, false},
		{"linux", map[string]string{"DISPLAY": ":0", "CI": "1"}, false},
		{"windows", nil, true},
		{"darwin", nil, true},
		{"darwin", map[string]string{"SSH_CONNECTION": "x"}, false},
	} {
		if got := hasDesktop(c.goos, func(name string) string { return c.env[name] }); got != c.want {
			t.Errorf("%s with %v: %v", c.goos, c.env, got)
		}
	}
}

// written FILE waits until something has written the file.
func awaitFile(ts *testscript.TestScript, _ bool, args []string) {
	poll(ts, "the file is written", func(context.Context) bool {
		fi, err := os.Stat(ts.MkAbs(args[0]))
		return err == nil && fi.Size() > 0
	})
}
