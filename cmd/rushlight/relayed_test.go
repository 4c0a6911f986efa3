package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// person is a profile that the program runs on.
type person struct {
	t    *testing.T
	dir  string
	pass string
	cmd  *exec.Cmd
}

func (p *person) up() {
	p.t.Helper()
	p.cmd = exec.Command("rushlight", "up", "--dir", p.dir, "--passphrase-file", p.pass, "--no-lan", "--listen", "/ip4/127.0.0.1/tcp/0")
	p.cmd.Stderr = p.t.Output()
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(p.down)
	p.until("ready", func() bool {
		out, err := exec.Command("rushlight", "status", "--dir", p.dir, "--json").Output()
		return err == nil && bytes.Contains(out, []byte(`"ready":true`))
	})
}

func (p *person) down() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		p.t.Error("daemon:", err)
	}
	p.cmd = nil
}

func (p *person) run(args ...string) string {
	p.t.Helper()
	cmd := exec.Command("rushlight", append(args, "--dir", p.dir)...)
	cmd.Stderr = p.t.Output()
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("%v: %v %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (p *person) until(what string, done func() bool) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 90*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			p.t.Fatalf("%s: waited too long until it was %s", p.dir, what)
		}
	}
}

// says waits until a command's output has a text.
func (p *person) says(text string, args ...string) {
	p.t.Helper()
	p.until(text, func() bool {
		out, err := exec.Command("rushlight", append(args, "--dir", p.dir)...).CombinedOutput()
		return err == nil && strings.Contains(string(out), text)
	})
}

// startRelay runs a relay and returns its full addresses.
func startRelay(t *testing.T, dir string) []string {
	t.Helper()
	addrs, _ := runRelay(t, "--config", relayFile(t, filepath.Dir(dir), filepath.Base(dir), `status = ""`))
	return addrs
}

// runRelay runs a relay until the test ends or stop is called.
func runRelay(t *testing.T, args ...string) (addrs []string, stop func(os.Signal)) {
	t.Helper()
	cmd := exec.Command("rushlight", append([]string{"relay", "--json"}, args...)...)
	cmd.Stderr = t.Output()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	stop = func(how os.Signal) {
		once.Do(func() {
			_ = cmd.Process.Signal(how)
			if err := cmd.Wait(); err != nil && how != os.Kill {
				t.Error("relay:", err)
			}
		})
	}
	t.Cleanup(func() { stop(syscall.SIGTERM) })
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var r struct{ Addrs []string }
	if err := json.Unmarshal(line, &r); err != nil || len(r.Addrs) == 0 {
		t.Fatal(string(line), err)
	}
	return r.Addrs, stop
}

// TestNeverOnlineTogether lets two people become contacts and talk through a
// relay; at no time do both of their daemons run.
func TestNeverOnlineTogether(t *testing.T) {
	if testing.Short() {
		t.Skip("starts daemons")
	}
	dir := t.TempDir()
	pass := filepath.Join(dir, "pass")
	if err := os.WriteFile(pass, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	relay := startRelay(t, filepath.Join(dir, "relay"))
	ann := &person{t: t, dir: filepath.Join(dir, "ann"), pass: pass}
	bob := &person{t: t, dir: filepath.Join(dir, "bob"), pass: pass}

	ann.up()
	ann.run(slices.Concat([]string{"relays", "add"}, relay)...)
	ann.says("mailbox: ok", "relays", "list")
	link := ann.run("invite")
	ann.down()

	bob.up()
	bob.run(slices.Concat([]string{"relays", "add"}, relay)...)
	bob.says("mailbox: ok", "relays", "list")
	bob.run("add", link, "--as", "ann")
	bob.run("send", "ann", "Hello, whenever you read this")
	bob.down()

	ann.up()
	ann.says("approved", "contacts")
	who := ann.run("contacts", "--json")
	var list struct{ Contacts []struct{ ID string } }
	if err := json.Unmarshal([]byte(who), &list); err != nil || len(list.Contacts) != 1 {
		t.Fatal(who, err)
	}
	ann.run("rename", list.Contacts[0].ID, "bob")
	ann.run("send", "bob", "Good to know you", "--wait", "stored", "--timeout", "90s")
	ann.down()

	bob.up()
	bob.says("Good to know you", "read", "ann", "--peek")
	bob.says("me: Hello, whenever you read this (stored)", "read", "ann", "--peek")
	bob.down()

	ann.up()
	ann.says("bob: Hello, whenever you read this", "read", "bob", "--peek")
	ann.says("me: Good to know you (delivered)", "read", "bob", "--peek")
	ann.run("send", "bob", "Third", "--wait", "stored", "--timeout", "90s")
	ann.down()

	// Acknowledgements are gathered for seconds: one that ann's daemon ended
	// before is left the next time that it runs.
	for round := range 5 {
		bob.up()
		bob.says("Third", "read", "ann", "--peek")
		told := func() bool {
			return strings.Contains(bob.run("read", "ann", "--peek"), "me: Hello, whenever you read this (delivered)")
		}
		if round == 4 {
			bob.until("told of the delivery", told)
		}
		if told() {
			bob.down()
			return
		}
		bob.down()
		ann.up()
		ann.run("send", "bob", fmt.Sprint("Once more ", round), "--wait", "stored", "--timeout", "60s")
		ann.down()
	}
}

// TestAskedWhileAway asks somebody who is away to be a contact, through a relay:
// what is said with it is shown until that is decided.
func TestAskedWhileAway(t *testing.T) {
	if testing.Short() {
		t.Skip("starts daemons")
	}
	dir := t.TempDir()
	pass := filepath.Join(dir, "pass")
	if err := os.WriteFile(pass, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	relay := startRelay(t, filepath.Join(dir, "relay"))
	ann := &person{t: t, dir: filepath.Join(dir, "ann"), pass: pass}
	bob := &person{t: t, dir: filepath.Join(dir, "bob"), pass: pass}

	ann.up()
	ann.run(slices.Concat([]string{"relays", "add"}, relay)...)
	ann.says("mailbox: ok", "relays", "list")
	link := ann.run("invite", "--needs-approval")
	ann.down()

	bob.up()
	bob.run(slices.Concat([]string{"relays", "add"}, relay)...)
	bob.says("mailbox: ok", "relays", "list")
	bob.run("add", link, "--as", "ann", "--message", strings.Repeat("🔑", 999)+"!")
	bob.down()

	ann.up()
	ann.says("says: "+strings.Repeat("🔑", 999)+"!", "requests")
	var list struct {
		Contacts []struct{ ID, Message string }
	}
	if err := json.Unmarshal([]byte(ann.run("requests", "--json")), &list); err != nil || len(list.Contacts) != 1 || list.Contacts[0].Message == "" {
		t.Fatal(list, err)
	}
	ann.run("approve", list.Contacts[0].ID)
	if out := ann.run("contacts", "--json"); strings.Contains(out, "🔑") || !strings.Contains(out, `"approved"`) {
		t.Error("after approval:", out)
	}
}
