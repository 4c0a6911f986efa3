package host

import (
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// somewhere is one of many public hosts.
func somewhere(i int) string { return fmt.Sprintf("/ip4/7.%d.%d.1/udp/1/quic-v1", i/250, i%250) }

// naming is a gate at which contacts name addresses.
type naming struct {
	*gate
	t    *testing.T
	pass func(time.Duration)
}

func newNaming(t *testing.T) naming {
	t.Helper()
	g, pass := timed()
	return naming{g, t, pass}
}

// calls counts the calls that are made when a contact names some hosts, from
// the n-th on, one a second, for its device or for a relay that it is behind.
func (g naming) calls(contact, form string, n, some int) (calls int) {
	g.t.Helper()
	relay, device := idOf(g.t, aRelay), idOf(g.t, somebody)
	for i := n; i < n+some; i++ {
		p := info(g.t, somebody, fmt.Sprintf(form, somewhere(i)))
		g.met(device, contact)
		g.tell(p, contact)
		if isCircuit(p.Addrs[0]) && g.InterceptAddrDial(relay, ma.StringCast(somewhere(i))) ||
			!isCircuit(p.Addrs[0]) && g.InterceptAddrDial(device, p.Addrs[0]) {
			calls++
		}
		g.pass(time.Second)
	}
	return calls
}

const behindRelay = "%s/p2p/" + aRelay + "/p2p-circuit"

// Whatever a contact names, for its devices or for relays, is paid from its
// purse: it gets no more bytes sent to third parties than it has sent itself.
func TestPurse(t *testing.T) {
	g := newNaming(t)
	if n := g.calls("one", behindRelay, 0, 300); n != 1 {
		t.Errorf("%d third parties were called as relays", n)
	}
	if n := g.calls("one", "%s", 300, 300); n != 0 {
		t.Errorf("%d more third parties were called", n)
	}
	// Other contacts have purses of their own, even for the same relay.
	if n := g.calls("another", behindRelay, 0, 1) + g.calls("another", "%s", 600, 300); n != 1 {
		t.Errorf("%d third parties were called for another contact", n)
	}
	// What the contact sends counts, what others send doesn't, nor what is said in
	// the hash table.
	g.heard(idOf(t, aRelay), "", 100*purseFull)
	g.heard(peer.ID("a stranger"), "", 100*purseFull)
	g.heard(idOf(t, somebody), "/rushlight/kad/1.0.0", 100*purseFull)
	if n := g.calls("another", "%s", 900, 100); n != 0 {
		t.Errorf("%d more for what others had sent", n)
	}
	for range 3 {
		g.heard(idOf(t, somebody), "", quicCost/2)
	}
	if n := g.calls("another", "%s", 1000, 300); n != 1 {
		t.Errorf("%d more for what it had sent", n)
	}
	// No more is saved than the purse holds.
	g.heard(idOf(t, somebody), "", 100*purseFull)
	if n := g.calls("another", "%s", 1300, 300); n != purseFull/quicCost {
		t.Errorf("%d more for a full purse", n)
	}
	g.pass(7 * 24 * time.Hour)
	if n := g.calls("another", "%s", 1600, 300); n != 0 {
		t.Errorf("%d more by QUIC after a week", n)
	}
	p := info(t, somebody, "/ip4/6.6.6.6/tcp/1")
	g.tell(p, "another")
	if !g.InterceptAddrDial(p.ID, p.Addrs[0]) {
		t.Error("nor by TCP after a week")
	}
	// Where somebody was called in vain nobody is called again as long as that
	// would leave nothing for another address.
	g.met(idOf(t, aRelay), "third")
	g.heard(idOf(t, aRelay), "", quicCost)
	if n := g.calls("third", "%s", 1900, 1) + g.calls("third", "%s", 1900, 1); n != 1 {
		t.Errorf("%d calls of one address", n)
	}
	if n := g.calls("third", "%s", 1901, 1); n != 1 {
		t.Errorf("%d calls of another address", n)
	}
	// Each of an invite's addresses can be called.
	if n := g.calls(contactIn(CallsForInvite(t.Context(), [16]byte{1})), "%s", 2000, 20); n != 8 {
		t.Errorf("%d of an invite's addresses were called", n)
	}
}

// A contact whose address changes every day, and who is there, pays nothing in
// the end: whoever answers gets back what calling it has cost. Control: if
// somebody else answers there, it is spent.
func TestPurseIsRefilledByAnswers(t *testing.T) {
	const days = 100
	for who, want := range map[peer.ID]int{idOf(t, somebody): days, idOf(t, aRelay): 1} {
		g, called := newNaming(t), 0
		for i := range days {
			if n := g.calls("one", "%s", i, 1); n > 0 {
				called++
			}
			ip, _ := ipOf(ma.StringCast(somewhere(i)))
			g.unproven.giveBack(who, ip)
			g.pass(24 * time.Hour)
		}
		if called < want || called > want+3 {
			t.Errorf("%v answered: called on %d of %d days", who, called, days)
		}
		if p := g.unproven.purses["one"]; len(p.paid) > maxPaid || who == idOf(t, somebody) && (p.left != purseFirst || len(g.unproven.owed) > 0) {
			t.Errorf("%.0f bytes left, %d paid for, %d owed", p.left, len(p.paid), len(g.unproven.owed))
		}
	}
}

// What is left is remembered from one run to the next, and known to all hosts of
// a device.
func TestPurseOutlivesTheHost(t *testing.T) {
	h := newHost(t, Config{})
	if n := h.Purse("one"); n != -1 {
		t.Errorf("%d bytes are left of no purse", n)
	}
	h.PurseWas("one", 100, time.Now().Add(-24*time.Hour))
	if n := h.Purse("one"); n < 100+paidDaily || n > 100+paidDaily+10 {
		t.Errorf("%d bytes are left", n)
	}
	h.PurseWas("two", 1<<40, time.Now())
	if n := h.Purse("two"); n != purseFull {
		t.Errorf("%d bytes are left", n)
	}
	h.Met(peer.ID("a device"), "three")
	if n := h.Purse("three"); n != purseFirst {
		t.Errorf("%d bytes are left", n)
	}
	if beside := newHost(t, Config{Beside: h}); beside.Purse("two") != purseFull {
		t.Error("another host of the device has other purses")
	}
}
