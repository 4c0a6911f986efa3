//go:build linux

package process_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"rushlight/node"
	"rushlight/node/delivery"
	"rushlight/node/host"
	"rushlight/protocol/identity"
	"rushlight/protocol/suite"
)

// gauge is what a victim says of itself.
type gauge struct {
	Goroutines int
	Heap       uint64 // bytes in use after a collection
	Conns      int
}

// serveVictim runs a node that tells its address, and its gauge for each line
// it reads.
func serveVictim(dir string) int {
	var root [32]byte
	suite.Random(root[:])
	code := identity.NewRecoveryCode()
	n, err := node.Open(node.Config{Dir: dir, Root: root, NewIdentity: &code, NoLAN: true, Listen: []string{
		"/ip4/0.0.0.0/tcp/4001", "/ip6/::/tcp/4001", "/ip4/0.0.0.0/udp/4001/quic-v1",
	}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	<-n.Ready()
	fmt.Println(strings.Join(n.Addrs(), " "))
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		s, err := n.Status(ctx)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		_ = json.NewEncoder(os.Stdout).Encode(gauge{runtime.NumGoroutine(), m.HeapInuse, s.Peers})
	}
	cancel()
	if err := <-done; err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// victim is such a node in a namespace.
type victim struct {
	*double
	t     *testing.T
	addrs []string
}

func newVictim(t *testing.T, space string) *victim {
	t.Helper()
	v := &victim{t: t, double: newDouble(t, space, "RUSHLIGHT_VICTIM="+t.TempDir())}
	line, err := v.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	v.addrs = strings.Fields(line)
	t.Cleanup(func() {
		if err := v.end(); err != nil {
			t.Error("the victim ended with ", err)
		}
	})
	return v
}

func (v *victim) gauge() (g gauge) {
	v.t.Helper()
	if _, err := fmt.Fprintln(v.in); err != nil {
		v.t.Fatal(err)
	}
	line, err := v.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &g)
	}
	if err != nil {
		v.t.Fatal(err)
	}
	return g
}

// recovers waits until the victim holds no more than before.
func (v *victim) recovers(base gauge) {
	v.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		g := v.gauge()
		if g.Goroutines <= base.Goroutines+4 && g.Heap < base.Heap+8<<20 {
			v.t.Logf("before %+v, after %+v", base, g)
			return
		}
		if time.Now().After(deadline) {
			v.t.Fatalf("before %+v, after %+v", base, g)
		}
		<-time.After(500 * time.Millisecond)
	}
}

// serveAttack does what peers should not, with libp2p, to the full address.
func serveAttack(to string) int {
	if err := attack(to); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func attack(to string) error {
	info, err := host.ParsePeer(to)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	open := 0
	for range 8 { // as many peers
		var key [32]byte
		suite.Random(key[:])
		h, err := host.New(host.Config{Key: key, Listen: []string{"/ip4/0.0.0.0/udp/0/quic-v1"}, Libp2p: []host.Option{
			func(c *libp2p.Config) error { c.ResourceManager = &network.NullResourceManager{}; return nil },
		}})
		if err != nil {
			return err
		}
		defer h.Close()
		h.Trust(info)
		for h.Connect(ctx, info) != nil { // the floods have used up what this address may
			select {
			case <-time.After(500 * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		n, err := pester(ctx, h, info.ID)
		if err != nil {
			return err
		}
		open += n
	}
	fmt.Println(open)
	_, _ = io.Copy(io.Discard, os.Stdin) // until told
	return nil
}

// pester opens streams that say nothing, half of something, or something
// unknown, and reads none of them. It returns how many were let in.
func pester(ctx context.Context, h *host.Host, to peer.ID) (open int, err error) {
	for i := range 300 {
		proto := []protocol.ID{delivery.ProtocolMessages, delivery.ProtocolInvite, "/unknown/1", "/ipfs/id/1.0.0", "/libp2p/circuit/relay/0.2.0/stop"}[i%5]
		s, err := h.Libp2p().NewStream(ctx, to, proto)
		if err != nil {
			if proto == delivery.ProtocolMessages && open == 0 {
				return 0, err
			}
			continue
		}
		var first []byte
		switch i % 4 {
		case 0:
			first = []byte{1}
		case 1:
			first = []byte{1, 0, 0, 34, 1, 2, 3}
		case 2:
			first = []byte{1, 0xff, 0xff, 0xff}
		case 3:
			first = make([]byte, 4096)
		}
		if _, err := s.Write(first); err == nil {
			open++
		}
	}
	return open, nil
}

// TestHostilePeers floods a node from one address block and pesters it with
// silent, half-open and unknown streams: it holds few of them, still answers a
// friend, and in the end holds no more than before. It needs root and Debian's
// iproute2; loopback is exempt from limits for one address.
func TestHostilePeers(t *testing.T) {
	t.Parallel()
	names := []string{"rl-victim", "rl-mob"}
	newLAN(t, names...)
	for i := range 64 {
		command(t, "ip", "-n", names[1], "addr", "add", fmt.Sprintf("fd77::%x/64", 0x100+i), "dev", "wire0", "nodad")
	}
	command(t, "ip", "-n", names[0], "addr", "add", "fd77::1/64", "dev", "wire0", "nodad")
	command(t, "ip", "-n", names[1], "addr", "add", "10.77.1.3/24", "dev", "wire0")
	v := newVictim(t, names[0])
	base := v.gauge()

	const perAddress = 16 // connections from one IPv4 address or IPv6 /56
	flood := func(n int, to string, from func(i int) net.Addr) int {
		t.Helper()
		var conns []net.Conn
		err := inSpace(names[1], func() error {
			for i := range n {
				d := net.Dialer{LocalAddr: from(i), Timeout: 2 * time.Second}
				c, err := d.Dial("tcp", to)
				if err != nil {
					return err
				}
				conns = append(conns, c)
				if len(conns) == 2000 { // file descriptors are few
					conns = settle(conns)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		held := settle(conns)
		g := v.gauge()
		t.Logf("%d connections: %d held, %+v", n, len(held), g)
		if g.Goroutines > base.Goroutines+6*perAddress || g.Heap > base.Heap+16<<20 {
			t.Errorf("a flood costs %+v, before it was %+v", g, base)
		}
		// A friend at another address gets through meanwhile.
		if c, err := dialFrom(names[1], "10.77.1.3", "10.77.1.1:4001"); err != nil {
			t.Error("a friend can't connect: ", err)
		} else {
			_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
			if _, err := c.Read(make([]byte, 1)); err != nil {
				t.Error("a friend is not greeted: ", err)
			}
			_ = c.Close()
		}
		for _, c := range held {
			_ = c.Close()
		}
		return len(held)
	}
	if n := flood(10000, "10.77.1.1:4001", func(int) net.Addr { return &net.TCPAddr{IP: net.IPv4(10, 77, 1, 2)} }); n > perAddress {
		t.Errorf("%d connections of one IPv4 address are held", n)
	}
	v.recovers(base)
	if n := flood(2000, "[fd77::1]:4001", func(i int) net.Addr {
		return &net.TCPAddr{IP: net.ParseIP(fmt.Sprintf("fd77::%x", 0x100+i%64))}
	}); n > perAddress {
		t.Errorf("%d connections of one IPv6 network are held", n)
	}
	v.recovers(base)

	for _, transport := range []string{"/tcp/", "/quic-v1/"} {
		to := v.addrs[slices.IndexFunc(v.addrs, func(a string) bool { return strings.Contains(a, "10.77.1.1") && strings.Contains(a, transport) })]
		mob := newDouble(t, names[1], "RUSHLIGHT_ATTACK="+to)
		line, err := mob.out.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		g := v.gauge()
		t.Logf("%s: %s streams opened, %+v", transport, strings.TrimSpace(line), g)
		if g.Heap > base.Heap+32<<20 {
			t.Errorf("pestering costs %+v, before it was %+v", g, base)
		}
		if err := mob.end(); err != nil {
			t.Error(err)
		}
		v.recovers(base)
	}
}

// settle drops the connections that the other side has closed.
func settle(conns []net.Conn) (held []net.Conn) {
	<-time.After(500 * time.Millisecond)
	for _, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		// A connection that is kept is greeted, or silent.
		_, err := c.Read(make([]byte, 64))
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			held = append(held, c)
		} else {
			_ = c.Close()
		}
	}
	return held
}

func dialFrom(space, from, to string) (c net.Conn, err error) {
	err = inSpace(space, func() (err error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 2 * time.Second}
		c, err = d.Dial("tcp", to)
		return err
	})
	return c, err
}

// TestPoisonedAddresses lets a contact claim addresses inside this machine,
// inside other networks and of a third party that never asked: the first two
// are not dialled, and the third is sent few packets, however many addresses of
// it there are; package world measures a day of that. Its control names an
// address in another network on the command line.
func TestPoisonedAddresses(t *testing.T) {
	t.Parallel()
	const third = "9.9.9.9"
	names := []string{"rl-good", "rl-evil"}
	newLAN(t, names...)
	command(t, "ip", "-n", names[1], "addr", "add", third+"/32", "dev", "lo")
	rules(t, names[1], `
table inet quiet {
	chain in {
		type filter hook input priority 0;
		ip daddr `+third+` drop
	}
}
`)
	evil := startDaemon(t, &daemon{space: names[1], flags: []string{
		"--no-lan", "--listen", "/ip4/10.77.1.2/tcp/4001", "--announce", "/ip4/10.77.1.2/tcp/4001",
		"--announce", "/ip4/127.0.0.1/tcp/631", "--announce", "/ip4/10.9.9.9/tcp/80", "--announce", "/ip4/192.168.0.1/udp/53/quic-v1",
		"--announce", "/ip4/169.254.169.254/tcp/80", "--announce", "/ip6/::1/tcp/631",
		"--announce", "/ip4/" + third + "/udp/53/quic-v1", "--announce", "/ip4/" + third + "/udp/123/quic-v1",
	}}, "evil")
	c := watchSpace(t, names[0])
	good := startDaemon(t, &daemon{space: names[0], flags: []string{"--no-lan"}}, "good")
	befriend(t, evil, good)
	if _, err := good.send(evil, "hello", ""); err != nil {
		t.Fatal(err)
	}
	good.drainedWithin(soon)
	evil.kill()
	if _, err := good.send(evil, "are you there?", ""); err != nil {
		t.Fatal(err)
	}
	if good.drains(8 * time.Second) {
		t.Error("delivered to nobody")
	}
	good.stop()
	var other []string
	toThird := 0
	for what, n := range c.end() {
		switch {
		case strings.HasPrefix(what, "udp ") && strings.Contains(what, " "+third+":"):
			toThird += n
		case what != "arp "+third && !strings.Contains(what, " 10.77.1.2:4001") && !strings.HasPrefix(what, onWire):
			other = append(other, fmt.Sprintf("%d × %s", n, what))
		}
	}
	// Two calls of ten to twelve packets each.
	t.Logf("%d packets to a third party", toThird)
	if toThird == 0 || toThird > 2*12 {
		t.Errorf("%d packets to a third party", toThird)
	}
	if len(other) > 0 {
		t.Errorf("dialled, besides where the contact is:\n%s", strings.Join(other, "\n"))
	}

	control := watchSpace(t, names[0])
	good.start("--relay", "/ip4/10.9.9.9/tcp/80/p2p/12D3KooWHQgA58knyQAe6FRe2SCPjpsXJUt1rkNVWK4ebPWVdad7")
	<-time.After(time.Second)
	if seen := fmt.Sprint(control.end()); !strings.Contains(seen, "arp 10.9.9.9") {
		t.Errorf("the capture does not see what is dialled: %s", seen)
	}
}
