package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zalando/go-keyring"

	"rushlight/node/api"
	"rushlight/storage"
	"rushlight/storage/keyfile"
)

// What others write can't act on the terminal, nor pass for something else.
func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"bob":              "bob",
		"Åsa 李 👍":          "Åsa 李 👍",
		"\x1b[2Jbob":       "\ufffd[2Jbob",
		"a\nb\tc":          "a\ufffdb\ufffdc",
		"a\u202eb\u2066c":  "a\ufffdb\ufffdc",
		"a\u009b31mb":      "a\ufffd31mb",
		"a\xffb":           "a\ufffdb",
		"a\u2028b\u2029c":  "a\ufffdb\ufffdc",
		"\u05d0\u05d1 abc": "\u05d0\u05d1 abc",
	} {
		if got := clean(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	if got, want := cleanText("one\r\n12:00 eve: two\n\tthree\n\n"), "one\n    12:00 eve: two\n        three"; got != want {
		t.Errorf("text became %q, want %q", got, want)
	}
}

func TestPrintMessage(t *testing.T) {
	now := time.Date(2026, 5, 4, 15, 0, 0, 0, time.FixedZone("", 3600))
	at := func(h int) api.Time { return api.TimeOf(time.Date(2026, 5, 4, h, 5, 0, 0, time.UTC)) }
	for _, c := range []struct {
		m    api.Message
		want string
	}{
		{api.Message{Sent: at(13), FromName: "bob", Text: "hi"}, "14:05 bob: hi\n"},
		{api.Message{Sent: at(13), Mine: true, State: api.StateRead, Text: "hi"}, "14:05 me: hi (read)\n"},
		{api.Message{Sent: at(13) - 86_400_000, From: "rl1abcdefghijkl", Text: "hi"}, "2026-05-03 14:05 rl1abcdefgh: hi\n"},
		{api.Message{Sent: at(13), FromName: "b\x07b", Text: "\x1b]0;x\x07", Kind: api.KindText}, "14:05 b\ufffdb: \ufffd]0;x\ufffd\n"},
		{api.Message{Sent: at(13), FromName: "bob", Text: "hi", Edited: true, Waiting: true}, "14:05 bob: hi (edited, something before it has not arrived)\n"},
		{api.Message{Sent: at(13), FromName: "bob", Kind: api.KindNewer}, "14:05 bob: (this message needs a newer version of rushlight)\n"},
	} {
		var b strings.Builder
		printMessage(&b, c.m, now)
		if b.String() != c.want {
			t.Errorf("got %q, want %q", b.String(), c.want)
		}
	}
}

func TestByteText(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_950: "1.0 MB", 67_200_000: "67.2 MB"} {
		if got := byteText(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{"/a/b-c_1.2": "/a/b-c_1.2", "a b": "'a b'", "a'b": `'a'\''b'`, "": "''", "$x": "'$x'", "é": "'é'"} {
		if got := quote(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestCanListen(t *testing.T) {
	for addr, want := range map[string]bool{
		"/ip4/0.0.0.0/udp/4001/quic-v1": true, "/ip6/::/tcp/0": true, "/ip4/127.0.0.1/tcp/65535": true,
		"127.0.0.1:80": false, "/ip4/0.0.0.0": false, "/ip4/nonsense/tcp/1": false, "/ip6/1.2.3.4/tcp/1": false, "/ip4/::1/tcp/1": false,
		"/ip4/1.2.3.4/tcp/65536": false, "/ip4/1.2.3.4/sctp/1": false, "": false, "/": false, "x/ip4/1.2.3.4/tcp/1": false, "/dns/example.org/tcp/1": false,
	} {
		if canListen(addr) != want {
			t.Errorf("%q: %v", addr, !want)
		}
	}
}

// Errors from below get the codes that people and programs act on.
func TestExplain(t *testing.T) {
	for _, c := range []struct {
		err  error
		code string
		exit int
	}{
		{keyfile.ErrWrongPassphrase, api.CodeWrongPassphrase, 5},
		{keyfile.ErrDowngrade, api.CodeCorruptStore, 1},
		{keyfile.ErrVersion, api.CodeNewerStore, 1},
		{storage.ErrRolledBack, api.CodeCorruptStore, 1},
		{storage.ErrCorrupt, api.CodeCorruptStore, 1},
		{storage.ErrVersion, api.CodeNewerStore, 1},
		{storage.ErrNoSpace, api.CodeDiskFull, 1},
		{storage.ErrLocked, api.CodeAlreadyRunning, 1},
		{&os.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC}, api.CodeDiskFull, 1},
		{&os.PathError{Op: "open", Path: "/x", Err: syscall.EACCES}, api.CodeReadOnly, 1},
		{context.DeadlineExceeded, api.CodeTimeout, 4},
		{errors.New("boom"), api.CodeInternal, 1},
	} {
		e := api.AsError(explain(fmt.Errorf("opening: %w", c.err)))
		if e.Code != c.code || api.ExitCode(e.Code) != c.exit {
			t.Errorf("%v: %s, exit code %d", c.err, e.Code, api.ExitCode(e.Code))
		}
	}
	if explain(nil) != nil {
		t.Error("no error became one")
	}
}

func TestFail(t *testing.T) {
	first := uint64(9)
	err := &failure{
		&api.Error{Code: api.CodeGone, Message: "<gone> & over", Hint: "h", First: &first},
		map[string]any{"id": "x"},
	}
	var out, errOut bytes.Buffer
	a := &app{out: &out, err: &errOut, json: true}
	if n := a.fail(err); n != 1 {
		t.Errorf("exit code %d", n)
	}
	if got, want := out.String(), `{"error":{"code":"gone","message":"<gone> & over","hint":"h","first":9},"id":"x"}`+"\n"; got != want || errOut.Len() > 0 {
		t.Errorf("printed %s%s, want %s", got, errOut.String(), want)
	}
	out.Reset()
	a.json = false
	a.fail(err)
	if got, want := errOut.String(), "rushlight: <gone> & over\n  h\n"; got != want || out.Len() > 0 {
		t.Errorf("printed %s%s, want %s", out.String(), got, want)
	}
}

func TestQR(t *testing.T) {
	text, err := qrText("rushlight:"+strings.Repeat("a", 480), false)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	width := len([]rune(lines[0]))
	for i, l := range lines {
		if len([]rune(l)) != width {
			t.Fatalf("line %d has %d columns, not %d", i, len([]rune(l)), width)
		}
		if i < quiet/2 && strings.Trim(l, "█") != "" {
			t.Errorf("line %d is not all margin", i)
		}
	}
	if want := (width + 1) / 2; len(lines) != want {
		t.Errorf("%d lines for %d columns", len(lines), width)
	}
	if _, err := qrText("rushlight:"+strings.Repeat("a", 5000), false); err == nil {
		t.Error("5,000 characters fit a QR code")
	}
}

// The sources of a passphrase, in their order.
func TestPassphraseSources(t *testing.T) {
	keyring.MockInit()
	dir := t.TempDir()
	if err := os.Mkdir(keyDir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	file := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", "")
	t.Setenv("RUSHLIGHT_PASSPHRASE_FILE", "")
	a := &app{in: strings.NewReader("typed\n"), out: &bytes.Buffer{}, err: &bytes.Buffer{}, dir: dir}
	get := func(first bool) (string, error) {
		t.Helper()
		p, keep, err := a.passphrase(t.Context(), first)
		if err == nil {
			err = keep()
		}
		return string(p), err
	}

	for _, first := range []bool{true, false} {
		if p, err := get(first); api.AsError(err).Code != api.CodeNoPassphrase {
			t.Errorf("with no source: %q, %v", p, err)
		}
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere") // the mock answers
	made, err := get(true)
	if err != nil || len(made) < 26 {
		t.Fatalf("a random passphrase: %q, %v", made, err)
	}
	if p, err := get(false); err != nil || p != made {
		t.Errorf("from the keyring: %q, %v", p, err)
	}
	t.Setenv("RUSHLIGHT_PASSPHRASE_FILE", file("env", " from env \r\n"))
	if p, err := get(false); err != nil || p != " from env " {
		t.Errorf("from the variable: %q, %v", p, err)
	}
	a.passphraseFile = file("flag", "from flag\n\n")
	if p, err := get(false); err != nil || p != "from flag\n" {
		t.Errorf("from the flag: %q, %v", p, err)
	}
	keyring.MockInitWithError(errors.New("locked"))
	a.passphraseFile = ""
	t.Setenv("RUSHLIGHT_PASSPHRASE_FILE", "")
	if p, err := get(false); api.AsError(err).Code != api.CodeNoPassphrase {
		t.Errorf("with a keyring that fails: %q, %v", p, err)
	}
	if p, err := get(true); api.AsError(err).Code != api.CodeNoPassphrase {
		t.Errorf("with a keyring that fails, the first time: %q, %v", p, err)
	}
}
