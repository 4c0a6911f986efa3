//go:build linux

package browser_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"rushlight/node/api"
)

const passphrase = "correct horse battery staple"

// daemon is the program, running.
type daemon struct {
	t       testing.TB
	dir     string
	cmd     *exec.Cmd
	account string
	link    string // one-time link of the page
	code    string // recovery code, on the first run
}

// newDaemon is one on a profile that is made for it.
func newDaemon(t testing.TB, name string) *daemon {
	t.Helper()
	needBrowser(t)
	d := &daemon{t: t, dir: filepath.Join(t.TempDir(), "profile")}
	t.Cleanup(d.kill)
	d.make(name)
	return d
}

// make makes a profile and starts the daemon on it.
func (d *daemon) make(name string) {
	d.t.Helper()
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		d.t.Fatal(err)
	}
	d.writePass()
	d.start("--name", name)
}

func (d *daemon) writePass() {
	d.t.Helper()
	if err := os.WriteFile(d.pass(), []byte(passphrase+"\n"), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d *daemon) pass() string { return filepath.Join(d.dir, "..", "passphrase") }

// start runs the daemon until it is ready.
func (d *daemon) start(more ...string) {
	d.t.Helper()
	args := slices.Concat([]string{
		"up", "--dir", d.dir, "--json", "--no-open", "--passphrase-file", d.pass(), "--no-lan",
		"--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1",
	}, more)
	d.cmd = exec.Command(program, args...)
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	logs, err := os.OpenFile(filepath.Join(d.dir, "..", "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer logs.Close()
	d.cmd.Stderr = logs
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	r := bufio.NewReader(out)
	line, err := r.ReadBytes('\n')
	if err != nil {
		text, _ := os.ReadFile(logs.Name())
		d.t.Fatalf("the daemon did not get ready: %v\n%s", err, text)
	}
	go func() { _, _ = io.Copy(io.Discard, r) }() // until it ends
	var ready struct {
		Account, Page, Recovery string
	}
	if err := json.Unmarshal(line, &ready); err != nil {
		d.t.Fatal(err)
	}
	d.account, d.link, d.code = ready.Account, ready.Page, ready.Recovery
	if d.link == "" {
		d.t.Fatalf("no page: %s", line)
	}
}

// stop ends the daemon as an interrupt does.
func (d *daemon) stop() {
	d.t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGINT); err != nil {
		d.t.Fatal(err)
	}
	if err := d.cmd.Wait(); err != nil {
		d.t.Fatal(err)
	}
	d.cmd = nil
}

func (d *daemon) kill() {
	if d.cmd != nil {
		_ = d.cmd.Process.Kill() // it may have ended
		_ = d.cmd.Wait()
	}
}

// call asks the daemon over its socket, as the command line does.
func (d *daemon) call(method string, params, result any) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := api.Dial(ctx, d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	defer c.Close()
	if err := c.Call(ctx, method, params, result); err != nil {
		d.t.Fatalf("%s: %v", method, err)
	}
}

// newLink makes a new one-time link.
func (d *daemon) newLink() string {
	d.t.Helper()
	out, err := exec.Command(program, "page", "--dir", d.dir, "--json").Output()
	if err != nil {
		d.t.Fatal(err)
	}
	var p struct{ URL string }
	if err := json.Unmarshal(out, &p); err != nil || p.URL == "" {
		d.t.Fatalf("no link in %s", out)
	}
	return p.URL
}

// origin is where the page is.
func (d *daemon) origin() string {
	at, _, _ := strings.Cut(d.link, "/#")
	return at
}

// code1 is the code in a link.
func codeOf(link string) string {
	_, code, _ := strings.Cut(link, "#code=")
	return code
}

// befriend makes contacts of two daemons.
func befriend(t testing.TB, a, b *daemon) {
	t.Helper()
	var inv api.Invite
	a.call("invite", struct{}{}, &inv)
	var r struct{ Contact api.Contact }
	b.call("add", map[string]string{"link": inv.Link}, &r)
	until(t, "both are contacts", func() bool {
		for _, d := range []*daemon{a, b} {
			var c struct{ Contacts []api.Contact }
			d.call("contacts", struct{}{}, &c)
			if len(c.Contacts) == 0 || slices.ContainsFunc(c.Contacts, func(k api.Contact) bool { return k.State != api.ContactApproved }) {
				return false
			}
		}
		return true
	})
}

// drafted waits until the daemon has what was begun to be written to somebody.
func (d *daemon) drafted(to, text string) {
	d.t.Helper()
	until(d.t, "the daemon has the draft", func() bool {
		var has api.Draft
		d.call("draft", map[string]string{"who": to}, &has)
		return has.Text == text
	})
}

// until waits for a condition.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited too long until %s", what)
		}
	}
}
