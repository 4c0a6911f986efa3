package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"go.uber.org/goleak"

	"rushlight/protocol/suite"
)

// No goroutine outlives the tests.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func newHost(t testing.TB, c Config) *Host {
	t.Helper()
	if c.Key == ([32]byte{}) {
		suite.Random(c.Key[:])
	}
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func TestPortAndIDSurviveARestart(t *testing.T) {
	var key [32]byte
	suite.Random(key[:])
	h := newHost(t, Config{Key: key})
	port, id := h.Port(), h.ID()
	if port == 0 {
		t.Fatal("no port")
	}
	for _, a := range h.listening() {
		if !strings.Contains(a.String(), fmt.Sprintf("/%d", port)) {
			t.Errorf("another port: %v", a)
		}
	}
	other := newHost(t, Config{Port: port})
	if other.Port() == port {
		t.Error("two hosts of one machine share a port")
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	again := newHost(t, Config{Key: key, Port: port})
	if again.Port() != port || again.ID() != id {
		t.Errorf("port %d became %d", port, again.Port())
	}
}

func TestAddrs(t *testing.T) {
	h := newHost(t, Config{})
	addrs := h.Addrs()
	if len(addrs) == 0 {
		t.Fatal("no addresses")
	}
	for i, a := range addrs {
		if manet.IsIPUnspecified(a) || manet.IsIP6LinkLocal(a) {
			t.Errorf("%v can't be dialled", a)
		}
		if _, id := peer.SplitAddr(a); id != h.ID() {
			t.Errorf("%v does not end in the peer id", a)
		}
		if i > 0 && Rank(addrs[i-1]) > Rank(a) {
			t.Errorf("%v after %v", a, addrs[i-1])
		}
	}
	if hs := h.Hints(); len(hs) == 0 || len(hs) > 8 || string(hs[0].Peer) != string(h.ID()) {
		t.Errorf("%d hints", len(hs))
	}
	// Each works as printed.
	for _, a := range addrs {
		c := newHost(t, Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}})
		info, err := peer.AddrInfoFromP2pAddr(a)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		if err := c.Connect(ctx, *info); err != nil {
			t.Errorf("%v: %v", a, err)
		}
		cancel()
	}
}

// What a stranger hears from identify: no private address, and no loopback
// unless there is nothing else.
func TestAnnounced(t *testing.T) {
	all := []string{"/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.2/tcp/1", "/ip4/100.64.0.1/tcp/1", "/ip6/fd00::1/tcp/1", "/ip6/::1/tcp/1", "/ip4/5.5.5.5/tcp/1"}
	var in []ma.Multiaddr
	for _, s := range all {
		in = append(in, ma.StringCast(s))
	}
	if got := announced(in); len(got) != 1 || got[0].String() != all[5] {
		t.Errorf("announced %v", got)
	}
	if got := announced(in[:2]); len(got) != 0 {
		t.Errorf("announced %v", got)
	}
	if got := announced(in[:1]); len(got) != 1 {
		t.Errorf("loopback alone: announced %v", got)
	}

	h := newHost(t, Config{})
	c := newHost(t, Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}})
	if err := c.Connect(t.Context(), peer.AddrInfo{ID: h.ID(), Addrs: []ma.Multiaddr{ma.StringCast(fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", h.Port()))}}); err != nil {
		t.Fatal(err)
	}
	for _, a := range h.Libp2p().Addrs() {
		if !manet.IsPublicAddr(a) {
			t.Errorf("announces %v", a)
		}
	}
	agent, err := c.Libp2p().Peerstore().Get(h.ID(), "AgentVersion")
	if err != nil || agent != "rushlight/1" {
		t.Errorf("agent %v, %v", agent, err)
	}
}

// QUIC is used where both work, TCP with TLS where QUIC doesn't.
func TestTransports(t *testing.T) {
	h := newHost(t, Config{Listen: []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}})
	tcpOnly := slices.DeleteFunc(h.Addrs(), func(a ma.Multiaddr) bool { _, err := a.ValueForProtocol(ma.P_TCP); return err != nil })
	for want, addrs := range map[string][]ma.Multiaddr{"quic-v1": h.Libp2p().Network().ListenAddresses(), "tcp": tcpOnly} {
		var bare []ma.Multiaddr
		for _, a := range addrs {
			rest, _ := peer.SplitAddr(a)
			bare = append(bare, rest)
		}
		// QUIC has a moment before TCP begins, which a machine may be too busy
		// to use.
		var s network.ConnectionState
		for tries := 0; tries < 10 && s.Transport != want; tries++ {
			c := newHost(t, Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}})
			if err := c.Connect(t.Context(), peer.AddrInfo{ID: h.ID(), Addrs: bare}); err != nil {
				t.Fatal(err)
			}
			s = c.Libp2p().Network().ConnsToPeer(h.ID())[0].ConnState()
		}
		if s.Transport != want || want == "tcp" && s.Security != "/tls/1.0.0" {
			t.Errorf("%+v instead of %s", s, want)
		}
	}
}

// A failed call is not held against the address.
func TestConnectAfterFailure(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var key [32]byte
	suite.Random(key[:])
	listen := fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", at)
	probe := newHost(t, Config{Key: key, Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}})
	to := peer.AddrInfo{ID: probe.ID(), Addrs: []ma.Multiaddr{ma.StringCast(listen)}}
	c := newHost(t, Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}})
	if err := c.Connect(t.Context(), to); err == nil {
		t.Fatal("nobody listens there")
	}
	newHost(t, Config{Key: key, Listen: []string{listen}})
	if err := c.Connect(t.Context(), to); err != nil {
		t.Error(err)
	}
	if !c.Connected(to.ID) {
		t.Error("not connected")
	}
	if err := c.Disconnect(to.ID); err != nil || c.Libp2p().Network().Connectedness(to.ID) == network.Connected {
		t.Errorf("still connected, %v", err)
	}
}

func TestUnsupported(t *testing.T) {
	for _, p := range []Profile{Hidden, 9} {
		if _, err := New(Config{Profile: p}); !errors.Is(err, ErrUnsupported) {
			t.Errorf("profile %d: %v", p, err)
		}
	}
	newHost(t, Config{Profile: Relay, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if _, err := New(Config{Listen: []string{"nonsense"}}); err == nil {
		t.Error("listens on nonsense")
	}
}

// Many connections from loopback are not limited like those from one address.
func TestLoopbackIsExempt(t *testing.T) {
	h := newHost(t, Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	to := peer.AddrInfo{ID: h.ID(), Addrs: h.Libp2p().Network().ListenAddresses()}
	for i := range 40 {
		c := newHost(t, Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}})
		if err := c.Connect(t.Context(), to); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		h, err := New(Config{})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := h.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// Errors name no peer and no address, and still say what they are.
func TestErrorsNameNobody(t *testing.T) {
	c := newHost(t, Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}})
	other := newHost(t, Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	to := peer.AddrInfo{ID: other.ID(), Addrs: other.Libp2p().Network().ListenAddresses()}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	err := c.Connect(t.Context(), to)
	if err == nil || strings.Contains(err.Error(), to.ID.String()) || strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("%v", err)
	}
	// Control: the cause does name the peer.
	if inner := errors.Unwrap(err); inner == nil || !strings.Contains(inner.Error(), to.ID.String()) {
		t.Errorf("%v", inner)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Connect(ctx, to); !errors.Is(err, context.Canceled) {
		t.Errorf("%v hides its cause", err)
	}
}
