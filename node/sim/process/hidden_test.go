//go:build linux

package process_test

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"rushlight/node/api"
	"rushlight/node/sim/socks"
)

// A hidden profile is in one namespace; the proxy, a resolver nobody may ask,
// and Bob, who is known by a name only, are in the other.
const (
	proxyAt = "10.77.1.2:9050"
	bobAt   = "10.77.1.2:4001"
	bobName = "bob.invalid:4001"
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

// live is what the daemon does in the test: it starts, meets Bob, both write,
// it rests, is asked how it is, stops, and does some of it again.
func live(t *testing.T, bob, d *daemon) {
	t.Helper()
	befriend(t, bob, d)
	for range 2 {
		if _, err := d.send(bob, "to bob", ""); err != nil {
			t.Fatal(err)
		}
		d.drainedWithin(20 * time.Second)
		if _, err := bob.send(d, "from bob", ""); err != nil {
			t.Fatal(err)
		}
		bob.drainedWithin(20 * time.Second)
		<-time.After(3 * time.Second)
		var s api.Status
		d.call("status", nil, &s)
		d.stop()
		d.start()
	}
	var res struct{ Messages []api.Message }
	d.call("read", obj{"who": bob.account}, &res)
	if len(res.Messages) != 4 {
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
	live(t, bob, d)
	if beside := c.beside(proxyAt); len(beside) > 0 {
		t.Errorf("packets beside the proxy:\n%s", strings.Join(beside, "\n"))
	}
	if len(c.seen) == 0 {
		t.Error("no packet was seen at all")
	}
	asked := p.Asked()
	slices.Sort(asked)
	if asked = slices.Compact(asked); !slices.Equal(asked, []string{bobName}) {
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
