//go:build linux

package process_test

import (
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"rushlight/node/api"
)

// town is daemons in namespaces of their own, all on one network with public
// addresses, and a count of the questions to name servers that each has sent.
type town struct {
	t     *testing.T
	wan   string
	moved int
	all   []*citizen
}

type citizen struct {
	*daemon
	town  *town
	name  string
	relay bool
	addr  string
}

const dnsRules = `
table inet dns {
	chain out {
		type filter hook output priority 0;
		meta l4proto { tcp, udp } th dport { 53, 853 } counter drop
	}
}
`

func newTown(t *testing.T, names ...string) *town {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs Debian's nftables")
	}
	w := &town{t: t, wan: "rl-town-wan"}
	spaces := []string{w.wan}
	for _, n := range names {
		spaces = append(spaces, "rl-town-"+n)
	}
	newSpaces(t, spaces...)
	command(t, "ip", "-n", w.wan, "link", "add", "br0", "type", "bridge")
	command(t, "ip", "-n", w.wan, "link", "set", "br0", "up")
	for _, n := range names {
		c := &citizen{daemon: &daemon{space: "rl-town-" + n}, town: w, name: n, relay: strings.HasPrefix(n, "relay")}
		command(t, "ip", "link", "add", "eth0", "netns", c.space, "type", "veth", "peer", "name", "p"+n, "netns", w.wan)
		command(t, "ip", "-n", w.wan, "link", "set", "p"+n, "master", "br0", "up")
		command(t, "ip", "-n", c.space, "link", "set", "eth0", "up")
		rules(t, c.space, dnsRules)
		c.move()
		w.all = append(w.all, c)
	}
	return w
}

// move gives a citizen, whose daemon does not run, another address.
func (c *citizen) move() {
	c.town.t.Helper()
	c.town.moved++
	command(c.town.t, "ip", "-n", c.space, "addr", "flush", "dev", "eth0", "scope", "global")
	c.addr = fmt.Sprintf("5.7.0.%d", c.town.moved)
	command(c.town.t, "ip", "-n", c.space, "addr", "add", c.addr+"/16", "dev", "eth0")
	c.flags = []string{"--no-lan", "--no-page"}
	if c.relay {
		c.flags = append(c.flags, "--profile", "relay", "--listen", "/ip4/"+c.addr+"/udp/4001/quic-v1", "--listen", "/ip4/"+c.addr+"/tcp/4001")
	}
}

// questions is how many packets to name servers a citizen has sent.
func (c *citizen) questions() string {
	c.town.t.Helper()
	out, err := exec.Command("ip", "netns", "exec", c.space, "nft", "list", "chain", "inet", "dns", "out").CombinedOutput()
	if err != nil {
		c.town.t.Fatalf("%s", out)
	}
	m := regexp.MustCompile(`counter packets (\d+)`).FindSubmatch(out)
	if m == nil {
		c.town.t.Fatalf("no counter in %s", out)
	}
	return string(m[1])
}

// The shutdown test with real processes: the relay that everybody began with
// dies, and another; everybody who is left gets another address; and all start
// cold. Whoever had contacts has them still, and no name server was asked. How
// long that takes is measured in virtual time, by package world: here others may
// use the processor, too.
func TestShutdown(t *testing.T) {
	t.Parallel()
	w := newTown(t, "relay0", "relay1", "relay2", "a", "b", "c", "d")
	by := map[string]*citizen{}
	for _, c := range w.all {
		by[c.name] = c
		boot := c.flags
		if r := by["relay0"]; r != c {
			var self api.Self
			r.call("id", nil, &self)
			boot = append(boot, "--bootstrap", "/ip4/"+r.addr+"/udp/4001/quic-v1/p2p/"+self.Peer)
		}
		flags := c.flags
		c.flags = boot
		startDaemon(t, c.daemon, c.name)
		c.flags = flags
	}
	a, b, c, d := by["a"], by["b"], by["c"], by["d"]
	pairs := [][2]*citizen{{a, b}, {a, c}, {b, c}, {c, d}, {by["relay1"], c}}
	for _, p := range pairs {
		befriend(t, p[0].daemon, p[1].daemon)
	}
	for _, p := range pairs {
		chat(t, p[0], p[1], soon)
	}
	by["relay0"].kill()
	by["relay2"].kill()

	// One after the other, so that there is somebody to tell; then those who are
	// left all at once.
	for _, x := range []*citizen{by["relay1"], c} {
		x.kill()
		x.move()
		x.start()
		chat(t, by["relay1"], c, 2*time.Minute)
	}
	for _, x := range []*citizen{a, b, d} {
		chat(t, x, c, 2*time.Minute)
	}
	for _, x := range []*citizen{a, b, d} {
		x.kill()
		x.move()
	}
	for _, x := range []*citizen{by["relay1"], c} {
		x.kill()
	}
	living := []*citizen{by["relay1"], a, b, c, d}
	for _, x := range living {
		x.start()
	}
	for _, p := range pairs {
		t.Logf("%s and %s talk after %v", p[0].name, p[1].name, chat(t, p[0], p[1], 2*time.Minute))
	}
	for _, x := range w.all {
		if n := x.questions(); n != "0" {
			t.Errorf("%s has sent %s packets to name servers", x.name, n)
		}
	}
	// Control: the count counts.
	if err := inSpace(a.space, func() error {
		q, err := net.Dial("udp", "5.7.0.1:53")
		if err != nil {
			return err
		}
		defer q.Close()
		_, _ = q.Write([]byte("question")) // dropped, which is an error to some
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if a.questions() != "1" {
		t.Error("control: a question to a name server is not counted")
	}
}

// chat lets two say something to each other and returns how long that took.
func chat(t *testing.T, a, b *citizen, within time.Duration) time.Duration {
	t.Helper()
	began := time.Now()
	for _, x := range [][2]*citizen{{a, b}, {b, a}} {
		id, err := x[0].send(x[1].daemon, "hello", "")
		if err != nil {
			t.Fatal(err)
		}
		for {
			var got struct{ State string }
			err := x[0].try("wait", obj{"id": id, "state": api.StateDelivered, "timeout": "5s"}, &got)
			if err == nil && (got.State == api.StateDelivered || got.State == api.StateRead) {
				break
			}
			if time.Since(began) > within {
				t.Fatalf("%s to %s: %v after %v: %v", x[0].name, x[1].name, got.State, time.Since(began), err)
			}
		}
	}
	return time.Since(began).Round(time.Millisecond)
}
