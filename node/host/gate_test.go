package host

import (
	"net/netip"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	somebody = "12D3KooWHQgA58knyQAe6FRe2SCPjpsXJUt1rkNVWK4ebPWVdad7"
	aRelay   = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
)

func idOf(t *testing.T, s string) peer.ID {
	t.Helper()
	id, err := peer.Decode(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func info(t *testing.T, id string, addrs ...string) peer.AddrInfo {
	t.Helper()
	p := peer.AddrInfo{ID: idOf(t, id)}
	for _, a := range addrs {
		p.Addrs = append(p.Addrs, ma.StringCast(a))
	}
	return p
}

// Who may have named an address, and what comes of it.
func TestGate(t *testing.T) {
	const (
		public   = "/ip4/5.5.5.5/tcp/1"
		other    = "/ip4/6.6.6.6/tcp/1"
		lan      = "/ip4/192.168.7.9/tcp/1"
		beyond   = "/ip4/10.9.9.9/tcp/1"
		loop     = "/ip4/127.0.0.1/tcp/631"
		loop6    = "/ip6/::1/tcp/631"
		name     = "/dns4/example.org/tcp/1"
		circuit  = public + "/p2p/" + aRelay + "/p2p-circuit"
		inside   = beyond + "/p2p/" + aRelay + "/p2p-circuit"
		multi    = "/ip4/224.0.0.251/udp/5353/quic-v1"
		mapped   = "/ip6/::ffff:10.9.9.9/tcp/1"
		metadata = "/ip4/169.254.169.254/tcp/80"
		secure   = "/dns4/example.org/tcp/443/tls/ws"
		resolved = "/ip4/6.6.6.6/tcp/443/tls/sni/example.org/ws"
	)
	for _, c := range []struct {
		what    string
		told    []string
		trusted []string
		dial    string
		want    bool
	}{
		{"a stranger at a public address", nil, nil, public, true},
		{"a stranger in this network", nil, nil, lan, false},
		{"a stranger in another private network", nil, nil, beyond, false},
		{"a stranger on loopback", nil, nil, loop, false},
		{"a stranger on multicast", nil, nil, multi, false},
		{"a stranger in disguise", nil, nil, mapped, false},
		{"a stranger at a link-local service", nil, nil, metadata, false},
		{"a contact where it said", []string{public}, nil, public, true},
		{"a contact elsewhere", []string{public}, nil, other, false},
		{"a contact in this network", []string{lan}, nil, lan, true},
		{"a contact in another private network", []string{beyond}, nil, beyond, false},
		{"a contact on loopback", []string{loop}, nil, loop, false},
		{"a contact on loopback, IPv6", []string{loop6}, nil, loop6, false},
		{"a contact at a link-local service", []string{metadata}, nil, metadata, false},
		{"a contact with a name", []string{name}, nil, other, true},
		{"a contact with a name, at another port", []string{name}, nil, "/ip4/6.6.6.6/tcp/22", false},
		{"a contact with a name of another kind", []string{name}, nil, "/ip6/2a00::1/tcp/1", false},
		{"a web socket with a name", []string{secure}, nil, resolved, true},
		{"a web socket with another name", []string{secure}, nil, "/ip4/6.6.6.6/tcp/443/tls/sni/example.net/ws", false},
		{"trusted by name in a private network", nil, []string{name}, beyond, true},
		{"a contact with a name for this network", []string{name}, nil, lan, true},
		{"a contact with a name for another network", []string{name}, nil, beyond, false},
		{"a contact with a name for loopback", []string{name}, nil, loop, false},
		{"a contact behind a circuit", []string{circuit}, nil, circuit, true},
		{"a contact behind a circuit inside", []string{inside}, nil, inside, false},
		{"trusted on loopback", nil, []string{loop}, loop, true},
		{"trusted in another private network", nil, []string{beyond}, beyond, true},
		{"trusted, but elsewhere", nil, []string{beyond}, public, false},
	} {
		g := newGate()
		g.subnets = func() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("192.168.7.0/24")} }
		g.unproven.earn(pool, purseFull)
		g.tell(info(t, somebody, c.told...), "")
		if len(c.trusted) > 0 {
			g.trust(info(t, somebody, c.trusted...))
		}
		if got := g.InterceptAddrDial(idOf(t, somebody), ma.StringCast(c.dial)); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}

// A host that has nothing but loopback is on a machine without a network, or
// in a test: others of its kind are there, too.
func TestGateLoopbackOnly(t *testing.T) {
	g := newGate()
	g.only = func() bool { return true }
	p := info(t, somebody, "/ip4/127.0.0.1/tcp/4001")
	if g.InterceptAddrDial(p.ID, p.Addrs[0]) {
		t.Error("a stranger on loopback")
	}
	g.tell(p, "")
	if !g.InterceptAddrDial(p.ID, p.Addrs[0]) {
		t.Error("not a contact on loopback")
	}
}

// Telling of a circuit lets its relay be dialled there, and nowhere else.
func TestGateCircuit(t *testing.T) {
	g := newGate()
	g.tell(info(t, somebody, "/ip4/5.5.5.5/tcp/1/p2p/"+aRelay+"/p2p-circuit"), "")
	relay := idOf(t, aRelay)
	if !g.InterceptAddrDial(relay, ma.StringCast("/ip4/5.5.5.5/tcp/1")) {
		t.Error("the relay is not dialled")
	}
	if g.InterceptAddrDial(relay, ma.StringCast("/ip4/5.5.5.5/udp/1/quic-v1")) {
		t.Error("the relay is dialled elsewhere")
	}
}

// What a peer wants a hole punched to is public, and one host.
func TestGatePunch(t *testing.T) {
	g := newGate()
	var in []ma.Multiaddr
	for _, s := range []string{
		"/ip4/192.168.1.1/tcp/1", "/ip4/6.6.6.6/tcp/1", "/ip4/6.6.6.6/udp/1/quic-v1", "/ip4/7.7.7.7/tcp/1",
		"/ip4/127.0.0.1/tcp/1", "/ip6/2a00::1/tcp/1", "/ip6/2a00::2/tcp/1", "/ip4/6.6.6.6/tcp/2", "/ip4/6.6.6.6/tcp/3",
	} {
		in = append(in, ma.StringCast(s))
	}
	got := g.punch(idOf(t, somebody), in)
	if len(got) != maxPunched || !got[0].Equal(in[1]) || !got[1].Equal(in[2]) || !got[2].Equal(in[5]) || !got[3].Equal(in[7]) {
		t.Errorf("%v", got)
	}
	if !g.InterceptAddrDial(idOf(t, somebody), in[1]) || g.InterceptAddrDial(idOf(t, somebody), in[3]) {
		t.Error("the gate thinks otherwise")
	}
}

// The gate forgets what was used longest ago, and never what the person named.
func TestGateIsBounded(t *testing.T) {
	g := newGate()
	now := time.Unix(1e9, 0)
	g.now = func() time.Time { now = now.Add(time.Second); return now }
	kept := info(t, somebody, "/ip4/10.1.2.3/tcp/1")
	g.trust(kept)
	for i := range maxVouched + 100 {
		g.tell(peer.AddrInfo{ID: peer.ID(rune(i)), Addrs: kept.Addrs}, "")
	}
	if len(g.vouched) > maxVouched || g.vouched[kept.ID] == nil {
		t.Errorf("%d entries", len(g.vouched))
	}
}
