package host

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"rushlight/node/sim/socks"
)

const (
	loopTCP  = "/ip4/127.0.0.1/tcp/0"
	loopQUIC = "/ip4/127.0.0.1/udp/0/quic-v1"
)

// running runs a host until the test ends.
func running(t testing.TB, h *Host) *Host {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return h
}

// until waits for a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func listensAt(h *Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.listening()} }

const echoes = "/test/echo/1"

// echo answers one byte with the same.
func echo(h *Host) {
	h.Libp2p().SetStreamHandler(echoes, func(s network.Stream) {
		var b [1]byte
		if _, err := s.Read(b[:]); err == nil {
			_, _ = s.Write(b[:])
		}
		_ = s.Close()
	})
}

func exchange(t testing.TB, from *Host, to peer.ID) network.Stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(network.WithAllowLimitedConn(t.Context(), "test"), 90*time.Second)
	defer cancel()
	s, err := from.Libp2p().NewStream(ctx, to, echoes)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetDeadline(time.Now().Add(90 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	if _, err := s.Write([]byte{7}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(b[:]); err != nil || b[0] != 7 {
		t.Fatalf("%v, %v", b, err)
	}
	return s
}

// A desktop gets a place at a relay, tells contacts so, and is called there.
func TestCircuit(t *testing.T) {
	relay := running(t, newHost(t, Config{Profile: Relay, Listen: []string{loopTCP, loopQUIC}}))
	moved := make(chan struct{}, 8)
	b := running(t, newHost(t, Config{
		Listen: []string{loopQUIC}, Circuits: []peer.AddrInfo{listensAt(relay)}, Moved: func() { moved <- struct{}{} },
	}))
	echo(b)
	until(t, "a place", func() bool { ps := b.Places(); return len(ps) == 1 && ps[0].Held })
	<-moved
	p := b.Places()[0]
	if !isTCP(p.Addr) {
		t.Errorf("the standing connection is %v", p.Addr)
	}
	if left := time.Until(p.Until); left < 30*time.Minute || left > 2*time.Hour {
		t.Errorf("the place lasts %v", left)
	}
	hints := b.Hints()
	last := ma.Cast(hints[len(hints)-1].Addr)
	if !isCircuit(last) || isCircuit(ma.Cast(hints[0].Addr)) {
		t.Fatalf("told are %v to %v", ma.Cast(hints[0].Addr), last)
	}
	a := newHost(t, Config{Listen: []string{loopQUIC}})
	ctx, cancel := context.WithTimeout(network.WithAllowLimitedConn(t.Context(), "test"), 90*time.Second)
	defer cancel()
	if err := a.Connect(ctx, peer.AddrInfo{ID: b.ID(), Addrs: []ma.Multiaddr{last}}); err != nil {
		t.Fatal(err)
	}
	if s := exchange(t, a, b.ID()); !s.Conn().Stat().Limited {
		t.Error("the circuit is not limited, or is none")
	}

	// A lost place is noticed and taken again.
	if err := b.Disconnect(relay.ID()); err != nil {
		t.Fatal(err)
	}
	until(t, "the place again", func() bool { return b.Places()[0].Held && b.Connected(relay.ID()) })
}

// A relay that has no room, or isn't there, is left alone for longer each time,
// and another takes its part.
func TestCircuitBackOff(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := info(t, somebody, fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", l.Addr().(*net.TCPAddr).Port))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	none := newHost(t, Config{Listen: []string{loopTCP}}) // no relay at all
	relay := newHost(t, Config{Profile: Relay, Listen: []string{loopTCP}})
	asked := false
	b := running(t, newHost(t, Config{
		Listen: []string{loopTCP}, Circuits: []peer.AddrInfo{dead, listensAt(none)},
		Candidates: func() []peer.AddrInfo { asked = true; return []peer.AddrInfo{listensAt(relay)} },
	}))
	b.Trust(listensAt(relay))
	until(t, "a place", func() bool { return b.circuits.held() == 1 })
	until(t, "failures", func() bool { return b.Places()[0].Failed > 0 && b.Places()[1].Failed > 0 })
	if !asked {
		t.Error("nobody was asked for relays")
	}
	c := &circuits{h: b}
	p := &place{}
	now := time.Now()
	for i := range 20 {
		c.settle(placed{p: p, err: net.ErrClosed}, now)
		if d := p.next.Sub(now); d > lastRetry || i > 12 && d != lastRetry || i == 0 && d != firstRetry {
			t.Errorf("after %d failures: %v", i+1, d)
		}
	}
}

// A hidden host dials addresses and names by the proxy, listens nowhere, and
// tells nobody an address.
func TestHidden(t *testing.T) {
	ctx := t.Context()
	p, err := socks.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	port := 0
	p.Dial = func(string) (net.Conn, error) { return net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)) }
	b := newHost(t, Config{Listen: []string{loopTCP, loopQUIC}})
	echo(b)
	w := newHost(t, Config{Listen: []string{"/ip4/127.0.0.1/tcp/0/ws"}})
	echo(w)
	for _, c := range []struct {
		to    *Host
		addr  string
		asked string
	}{
		{b, "/ip4/5.5.5.5/tcp/4001", "5.5.5.5:4001"},
		{b, "/ip6/2a00::5/tcp/4001", "[2a00::5]:4001"},
		{b, "/dns4/nowhere.invalid/tcp/4001", "nowhere.invalid:4001"},
		{b, "/dns/nowhere.invalid/tcp/4002", "nowhere.invalid:4002"},
		{b, "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:4001", "vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd.onion:4001"},
		{w, "/dns4/nowhere.invalid/tcp/80/ws", "nowhere.invalid:80"},
	} {
		a := newHost(t, Config{Profile: Hidden, SOCKS: p.Addr()})
		for _, l := range b.listening() {
			if isTCP(l) && c.to == b {
				port = firstPort([]ma.Multiaddr{l})
			}
		}
		if c.to == w {
			port = w.Port()
		}
		if err := a.Connect(ctx, peer.AddrInfo{ID: c.to.ID(), Addrs: []ma.Multiaddr{ma.StringCast(c.addr)}}); err != nil {
			t.Fatalf("%s: %v", c.addr, err)
		}
		exchange(t, a, c.to.ID())
		if asked := p.Asked(); asked[len(asked)-1] != c.asked {
			t.Errorf("asked for %s", asked[len(asked)-1])
		}
		if n := len(a.listening()) + len(a.Addrs()) + len(a.Hints()) + a.Port() + len(a.Libp2p().Addrs()); n != 0 {
			t.Errorf("%s: %v", c.addr, a.Libp2p().Addrs())
		}
		until(t, "identify", func() bool {
			v, err := c.to.Libp2p().Peerstore().Get(a.ID(), "AgentVersion")
			return err == nil && v == agent
		})
		// What the other side has is where the connection came from: the proxy.
		for _, known := range c.to.Libp2p().Peerstore().Addrs(a.ID()) {
			if !strings.HasPrefix(known.String(), "/ip4/127.0.0.1/tcp/") || known.String() == a.Libp2p().Network().ConnsToPeer(c.to.ID())[0].LocalMultiaddr().String() {
				t.Errorf("%s: the other side knows %v", c.addr, known)
			}
		}
	}
	users := p.Users()
	slices.Sort(users)
	if len(slices.Compact(users)) != len(p.Asked()) {
		t.Error("two connections share a circuit of Tor's")
	}
}

// None of these is dialled by a hidden host, with or without the proxy.
func TestHiddenRefuses(t *testing.T) {
	p, err := socks.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	a := newHost(t, Config{Profile: Hidden, SOCKS: p.Addr()})
	for _, s := range []string{
		"/ip4/5.5.5.5/udp/4001/quic-v1", "/dnsaddr/nowhere.invalid", "/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.1/tcp/1",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		if err := a.Connect(ctx, info(t, somebody, s)); err == nil {
			t.Errorf("dialled %s", s)
		}
		cancel()
	}
	if asked := p.Asked(); len(asked) != 0 {
		t.Errorf("the proxy was asked for %v", asked)
	}
	for _, c := range []Config{
		{Profile: Hidden},
		{Profile: Hidden, SOCKS: p.Addr(), Listen: []string{loopTCP}},
		{Profile: Hidden, SOCKS: p.Addr(), Announce: []string{"/ip4/5.5.5.5/tcp/1"}},
		{Profile: Hidden, SOCKS: p.Addr(), PortMap: true},
	} {
		if h, err := New(c); err == nil {
			t.Errorf("%+v works", c)
			_ = h.Close()
		}
	}
}

// A closed network lets in who has the key, over TCP, and nobody else.
func TestNetworkKey(t *testing.T) {
	text := "/key/swarm/psk/1.0.0/\n/base16/\n" + strings.Repeat("0f", 32) + "\n"
	key, err := ReadNetworkKey(strings.NewReader(text))
	if err != nil || key[31] != 0x0f {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "/key/swarm/psk/1.0.0/\n/base16/\n0f\n", strings.Repeat("0f", 32)} {
		if _, err := ReadNetworkKey(strings.NewReader(bad)); err == nil {
			t.Errorf("%q is a key", bad)
		}
	}
	b := newHost(t, Config{NetworkKey: key, Listen: []string{loopTCP}})
	echo(b)
	in := newHost(t, Config{NetworkKey: key, Listen: []string{loopTCP}})
	if err := in.Connect(t.Context(), listensAt(b)); err != nil {
		t.Fatal(err)
	}
	exchange(t, in, b.ID())
	out := newHost(t, Config{Listen: []string{loopTCP}})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := out.Connect(ctx, listensAt(b)); err == nil {
		t.Error("somebody without the key got in")
	}
	for _, a := range newHost(t, Config{NetworkKey: key}).listening() {
		if _, err := a.ValueForProtocol(ma.P_UDP); err == nil {
			t.Errorf("listens at %v, which the key does not close", a)
		}
	}
}

// What a relay announces is what it was told to, and it serves WebSocket for a
// reverse proxy on loopback.
func TestRelayAnnounces(t *testing.T) {
	told := []string{"/ip4/5.5.5.5/tcp/4001", "/dns4/relay.example/tcp/443/tls/ws"}
	r := newHost(t, Config{Profile: Relay, Announce: told})
	ws := func(a ma.Multiaddr) bool {
		_, err := a.ValueForProtocol(ma.P_WS)
		return err == nil && strings.HasPrefix(a.String(), "/ip4/127.0.0.1/")
	}
	if !slices.ContainsFunc(r.listening(), ws) {
		t.Errorf("listens at %v", r.listening())
	}
	var got []string
	for _, a := range r.Libp2p().Addrs() {
		got = append(got, a.String())
	}
	slices.Sort(got)
	slices.Sort(told)
	if !slices.Equal(got, told) {
		t.Errorf("announces %v", got)
	}
	if len(r.Addrs()) != 2 || len(r.Hints()) != 2 {
		t.Errorf("tells contacts %v", r.Addrs())
	}
}

// Names of profiles are those of the command line.
func TestProfileNames(t *testing.T) {
	for _, p := range []Profile{Desktop, Relay, Hidden} {
		if got, err := ParseProfile(p.String()); err != nil || got != p {
			t.Errorf("%v: %v", p, err)
		}
	}
	if _, err := ParseProfile("Desktop"); err == nil {
		t.Error("two spellings")
	}
	if ParseErr := func() error { _, err := ParsePeers([]string{"/ip4/1.2.3.4/tcp/1"}); return err }(); ParseErr == nil {
		t.Error("a peer without an id")
	}
}
