//go:build linux

package process_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"rushlight/node/api"
	"rushlight/node/sim/socks"
	"rushlight/protocol/suite"
)

// A hidden profile is in one namespace; the proxy, a resolver nobody may ask,
// and Bob, who is known by a name only, are in the other.
const (
	proxyAt = "10.77.1.2:9050"
	bobAt   = "10.77.1.2:4001"
	bobName = "bob.invalid:4001"
	relayAt = "10.77.1.2:4002"
)

// hideOut makes the two namespaces, and Bob.
func hideOut(t *testing.T, names ...string) (bob *daemon, p *socks.Proxy) {
	t.Helper()
	newLAN(t, names...)
	// A namespace's own resolver, so that questions would be packets here.
	etc := filepath.Join("/etc/netns", names[0])
	if err := os.MkdirAll(etc, 0o755); err != nil {
		t.Skip("no way to give a namespace a resolver: ", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(etc) })
	if err := os.WriteFile(filepath.Join(etc, "resolv.conf"), []byte("nameserver 10.77.1.2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	l := listenIn(t, names[1], proxyAt)
	p = socks.Serve(l)
	p.Dial = func(asked string) (net.Conn, error) {
		if asked == bobName {
			asked = bobAt
		}
		return dialIn(names[1], asked)
	}
	t.Cleanup(func() { _ = p.Close() })
	bob = startDaemon(t, &daemon{space: names[1], flags: []string{
		"--no-lan", "--listen", "/ip4/10.77.1.2/tcp/4001", "--announce", "/dns4/bob.invalid/tcp/4001",
	}}, "bob")
	return bob, p
}

// stop ends the daemon in order.
func (d *daemon) stop() {
	d.t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		d.t.Fatal(err)
	}
	<-d.exited
	d.client.Close()
	d.cmd = nil
}

// startRelayIn runs a relay in a namespace and returns its full addresses.
func startRelayIn(t *testing.T, space string) []string {
	t.Helper()
	cmd := exec.Command("ip", "netns", "exec", space, program, "relay", "--dir", filepath.Join(t.TempDir(), "relay"),
		"--listen", "/ip4/10.77.1.2/tcp/4002", "--json")
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var r struct{ Addrs []string }
	if err == nil {
		err = json.Unmarshal(line, &r)
	}
	if err != nil || len(r.Addrs) == 0 {
		t.Fatalf("the relay said %q: %v", line, err)
	}
	return r.Addrs
}

// until waits, long, for something to be so.
func (d *daemon) until(what string, so func() bool) {
	d.t.Helper()
	d.within(2*time.Minute, what, so)
}

func (d *daemon) within(limit time.Duration, what string, so func() bool) {
	d.t.Helper()
	for deadline := time.Now().Add(limit); !so(); {
		if time.Now().After(deadline) {
			d.t.Fatal("waited too long until ", what)
		}
		<-time.After(200 * time.Millisecond)
	}
}

// mailboxes are the states of the daemon's mailboxes, by relay.
func (d *daemon) mailboxes() map[string]string {
	d.t.Helper()
	var res struct{ Mailboxes []api.Mailbox }
	d.call("mailboxes", nil, &res)
	out := map[string]string{}
	for _, m := range res.Mailboxes {
		out[m.Peer] = m.State
	}
	return out
}

// sendFile sends a file and returns when the other side has saved it.
func (d *daemon) sendFile(to *daemon, size int) {
	d.t.Helper()
	content := make([]byte, size)
	suite.Random(content)
	name := fmt.Sprintf("of %s.bin", filepath.Base(d.dir))
	path := filepath.Join(d.t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.call("send", obj{"recipient": to.account, "message": "a file", "attachments": []string{path}}, nil)
	var got api.Message
	to.until("the file is announced", func() bool {
		var res struct{ Messages []api.Message }
		to.call("read", obj{"who": d.account, "peek": true}, &res)
		i := slices.IndexFunc(res.Messages, func(m api.Message) bool { return len(m.Files) > 0 && m.Files[0].Name == name })
		if i >= 0 {
			got = res.Messages[i]
		}
		return i >= 0
	})
	dir := d.t.TempDir()
	var there struct{ Files []api.Saved }
	to.until("the file is saved", func() bool {
		return to.try("save", obj{"id": got.ID, "path": dir, "timeout": "30s"}, &there) == nil && len(there.Files) == 1
	})
	saved, err := os.ReadFile(there.Files[0].Path)
	if err != nil || !slices.Equal(saved, content) {
		d.t.Errorf("%d bytes were saved of %d: %v", len(saved), size, err)
	}
}

// live is what the daemon does in the test: it starts, meets Bob, gets a
// mailbox, both write and send files, it gives the mailbox up, rests, is asked
// how it is, stops, and does some of it again.
func live(t *testing.T, bob, d *daemon, relay []string) {
	t.Helper()
	befriend(t, bob, d)
	var added struct{ Mailbox api.Mailbox }
	d.call("addRelay", obj{"addr": relay}, &added)
	d.until("there is a mailbox", func() bool { return d.mailboxes()[added.Mailbox.Peer] == api.MailboxOK })
	d.sendFile(bob, 400<<10)
	bob.sendFile(d, 400<<10)
	d.call("removeRelay", obj{"peer": added.Mailbox.Peer}, nil)
	d.until("the mailbox is given up", func() bool { return d.mailboxes()[added.Mailbox.Peer] != api.MailboxOK })
	for range 2 {
		if _, err := d.send(bob, "to bob", ""); err != nil {
			t.Fatal(err)
		}
		d.drainedWithin(time.Minute)
		if _, err := bob.send(d, "from bob", ""); err != nil {
			t.Fatal(err)
		}
		bob.drainedWithin(time.Minute)
		<-time.After(3 * time.Second)
		var s api.Status
		d.call("status", nil, &s)
		d.stop()
		d.start()
	}
	var res struct{ Messages []api.Message }
	d.call("read", obj{"who": bob.account}, &res)
	if len(res.Messages) != 6 {
		t.Errorf("%d messages", len(res.Messages))
	}
	d.stop()
}

// TestHidden checks that a hidden profile sends not one packet that is not for
// its proxy, from start to end, names included. It needs root and Debian's
// iproute2.
func TestHidden(t *testing.T) {
	t.Parallel()
	names := []string{"rl-hidden", "rl-hiddenout"}
	bob, p := hideOut(t, names...)
	c := watchSpace(t, names[0])
	d := startDaemon(t, &daemon{space: names[0], flags: []string{"--profile", "hidden", "--socks", proxyAt}}, "hid")
	live(t, bob, d, startRelayIn(t, names[1]))
	if beside := c.beside(proxyAt); len(beside) > 0 {
		t.Errorf("packets beside the proxy:\n%s", strings.Join(beside, "\n"))
	}
	if len(c.seen) == 0 {
		t.Error("no packet was seen at all")
	}
	asked := p.Asked()
	slices.Sort(asked)
	if asked = slices.Compact(asked); !slices.Equal(asked, []string{relayAt, bobName}) {
		t.Errorf("the proxy was asked for %v", asked)
	}
}

// TestHiddenControl is the same with a desktop: the capture sees it, and its
// questions for Bob's name.
func TestHiddenControl(t *testing.T) {
	t.Parallel()
	names := []string{"rl-open", "rl-openout"}
	bob, _ := hideOut(t, names...)
	c := watchSpace(t, names[0])
	d := startDaemon(t, &daemon{space: names[0]}, "open")
	var inv api.Invite
	bob.call("invite", nil, &inv)
	_ = d.try("add", obj{"link": inv.Link}, nil) // nobody resolves the name
	d.stop()
	beside := strings.Join(c.beside(proxyAt), "\n")
	for _, want := range []string{"10.77.1.2:53", "224.0.0.251:5353"} {
		if !strings.Contains(beside, want) {
			t.Errorf("the capture did not see %s among\n%s", want, beside)
		}
	}
}
