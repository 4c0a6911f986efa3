package host

import (
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// timed is a gate whose time passes as told.
func timed() (g *gate, pass func(time.Duration)) {
	g = newGate()
	now := time.Unix(1e9, 0)
	g.now = func() time.Time { return now }
	return g, func(d time.Duration) { now = now.Add(d) }
}

// However many name a third party, strangers or contacts, and however long
// nobody answers there, it is called seldom.
func TestThirdPartyIsCalledSeldom(t *testing.T) {
	const quic, tcp = "/ip4/6.6.6.6/udp/%d/quic-v1", "/ip4/6.6.6.6/tcp/%d"
	for what, named := range map[string]bool{"by the hash table": false, "by a contact": true} {
		g, pass := timed()
		g.met(peer.ID("a device"), "a contact")
		hour := func(form string) (calls int) {
			for i := range 720 { // every 5 s
				p := peer.AddrInfo{ID: peer.ID(fmt.Sprint(i)), Addrs: []ma.Multiaddr{ma.StringCast(fmt.Sprintf(form, 1+i))}}
				if named {
					g.tell(p, "a contact")
					g.unproven.earn("a contact", purseFull) // which has sent much
				}
				g.unproven.earn(pool, purseFull) // as nodes have
				if g.InterceptAddrDial(p.ID, p.Addrs[0]) {
					calls++
				}
				pass(5 * time.Second)
			}
			return calls
		}
		first, day := hour(quic), 0
		for range 23 {
			day += hour(quic)
		}
		if first < quicFew || first > quicFew+3 || day > 5 {
			t.Errorf("named %s: %d calls by QUIC in an hour, %d more in a day", what, first, day)
		}
		for range 48 {
			hour(quic)
		}
		later := 0
		for range 24 {
			later += hour(quic)
		}
		if later < 1 || later > 2 {
			t.Errorf("named %s: %d calls by QUIC on the fourth day", what, later)
		}
		if n := hour(tcp); n < tcpFew || n > tcpFew+6 {
			t.Errorf("named %s: %d calls by TCP in an hour", what, n)
		}

		// Control: where somebody answers, calls are free, as they are elsewhere.
		g.unproven.proven(ma.StringCast("/ip4/6.6.6.6/tcp/7"), g.now())
		if n := hour(quic); n != 720 {
			t.Errorf("named %s: %d calls where somebody answered", what, n)
		}
		pass(provenFor)
		if n := hour(quic); n > quicFew+3 {
			t.Errorf("named %s: %d calls where somebody answered long ago", what, n)
		}
		if p := info(t, somebody, "/ip4/6.6.6.7/udp/1/quic-v1"); !g.InterceptAddrDial(p.ID, p.Addrs[0]) {
			t.Error("another host is not called")
		}
	}
}

// Contacts that name ever new third parties get few of them called by QUIC, all
// contacts together; the hash table's nodes are called all the same, and so is
// whom the person named.
func TestManyThirdParties(t *testing.T) {
	g, pass := timed()
	calls := 0
	for i := range 5000 {
		p := info(t, somebody, somewhere(i))
		g.tell(p, fmt.Sprint("contact ", i))
		if g.InterceptAddrDial(p.ID, p.Addrs[0]) {
			calls++
		}
		pass(time.Second)
	}
	if calls < newFew || calls > newFew+6 {
		t.Errorf("%d third parties were called in 5,000 s", calls)
	}
	if len(g.unproven.purses) > maxPurses {
		t.Errorf("%d purses are kept", len(g.unproven.purses))
	}
	if len(g.unproven.called) > maxUnproven {
		t.Errorf("%d are remembered", len(g.unproven.called))
	}
	if !g.InterceptAddrDial(peer.ID("a node"), ma.StringCast("/ip4/8.8.1.1/udp/1/quic-v1")) {
		t.Error("a node of the hash table is not called")
	}
	p := info(t, aRelay, "/ip4/8.8.2.2/udp/1/quic-v1")
	g.trust(p)
	for range 100 {
		if !g.InterceptAddrDial(p.ID, p.Addrs[0]) {
			t.Fatal("whom the person named is not called")
		}
	}
}

// Where somebody answered is remembered for some addresses, the latest.
func TestProvenIsBounded(t *testing.T) {
	g, pass := timed()
	at := func(i int) ma.Multiaddr {
		return ma.StringCast(fmt.Sprintf("/ip4/9.%d.%d.1/udp/1/quic-v1", i/250, i%250))
	}
	for i := range maxProven + 50 {
		g.unproven.proven(at(i), g.now())
		pass(time.Millisecond)
	}
	if n := len(g.unproven.answered); n != maxProven {
		t.Errorf("%d are remembered", n)
	}
	free := func(i int) bool {
		ip, _ := ipOf(at(i))
		for range 2 * quicFew {
			if !g.unproven.may(call{peer.ID("a device"), ip, true}, []string{fmt.Sprint(i)}, g.now()) {
				return false
			}
		}
		return true
	}
	if free(0) || !free(maxProven+49) {
		t.Error("not the latest are remembered")
	}
}
