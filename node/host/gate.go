package host

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// gate decides which addresses are dialled, whatever libp2p has heard of them:
//
//   - An address that the person named is dialled ([Host.Trust]).
//   - A peer that [Host.Connect] was given addresses for, which are those of a
//     contact's card or invite or of the local network, is dialled at these and
//     nowhere else: what it says of itself later counts for nothing.
//   - Any other peer, one that the DHT named, is dialled at public addresses, as
//     long as nodes have sent as much as that costs ([pool]).
//   - A public address at which nobody has answered is dialled seldom, whoever
//     named it, unless that was the person.
//   - A private address is dialled only inside a network that this machine is
//     in itself, and loopback only by a host that listens nowhere else.
//
// So nobody can use this device to call into its own network, or to send
// packets to a third party in numbers.
type gate struct {
	dialled  func(ma.Multiaddr)
	only     func() bool // the host has no address but loopback
	subnets  func() []netip.Prefix
	now      func() time.Time
	unproven *unproven
	mu       sync.Mutex
	vouched  map[peer.ID]*vouched
}

// vouched are the addresses at which a peer may be dialled.
type vouched struct {
	told    []named        // replaced by each call
	met     []named        // and those that it has as a node of the hash table, too
	punched []ma.Multiaddr // while a hole is punched
	trusted []ma.Multiaddr // named by the person; never forgotten
	only    []ma.Multiaddr // of these, those to dial for now; nil is all
	contact string         // whose device it is, if that is known
	used    time.Time
}

// named is an address, and the contact that has to pay for calls to it.
type named struct {
	addr ma.Multiaddr
	by   string
}

func (n named) equal(o named) bool { return n.by == o.by && n.addr.Equal(o.addr) }

const maxVouched = 4096

var _ connmgr.ConnectionGater = (*gate)(nil)

func newGate() *gate {
	return &gate{
		dialled: func(ma.Multiaddr) {}, only: func() bool { return false }, subnets: subnets, now: time.Now,
		vouched: map[peer.ID]*vouched{}, unproven: newUnproven(),
	}
}

// bare is the address without what follows the transport's own part.
func bare(a ma.Multiaddr) ma.Multiaddr {
	if rest, id := peer.SplitAddr(a); id != "" {
		return rest
	}
	return a
}

// tell replaces the addresses at which the peer may be dialled. For an address
// behind a circuit relay the relay's address is added to its own. by is the
// contact that named them; empty is the peer itself.
func (g *gate) tell(p peer.AddrInfo, by string) {
	if len(p.Addrs) == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.entry(p.ID)
	v.told = v.told[:0:0]
	for _, a := range p.Addrs {
		v.told = append(v.told, named{bare(a), cmp.Or(by, string(p.ID))})
		if addr, relay, ok := splitCircuit(a); ok && relay != p.ID {
			r := g.entry(relay)
			n := named{addr, cmp.Or(by, string(p.ID))}
			if !slices.ContainsFunc(r.told, n.equal) {
				r.told = append(r.told[max(0, len(r.told)-15):], n)
			}
		}
	}
}

// trust adds addresses that the person named.
func (g *gate) trust(p peer.AddrInfo) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.entry(p.ID)
	for _, a := range p.Addrs {
		v.trusted = append(v.trusted, bare(a))
	}
}

// narrow lets the peer be dialled, of the addresses at which it may be, only at
// these until it is called again with nil.
func (g *gate) narrow(p peer.ID, addrs []ma.Multiaddr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.entry(p)
	v.only = nil
	for _, a := range addrs {
		v.only = append(v.only, bare(a))
	}
}

// punch replaces the addresses to which a hole is being punched by those of
// addrs that are public, of one IPv4 and one IPv6 host, and returns them.
func (g *gate) punch(p peer.ID, addrs []ma.Multiaddr) []ma.Multiaddr {
	hosts, by := map[bool]netip.Addr{}, cmp.Or(g.contactOf(p), string(p))
	var out []ma.Multiaddr
	for _, a := range addrs {
		ip, ok := ipOf(a)
		if !ok || len(out) == maxPunched || isCircuit(a) || !manet.IsPublicAddr(a) {
			continue
		}
		if _, seen := hosts[ip.Is4()]; !seen {
			if !g.unproven.may(call{p, ip, isQUIC(a)}, []string{by}, g.now()) {
				continue
			}
			hosts[ip.Is4()] = ip
		}
		if hosts[ip.Is4()] == ip {
			out = append(out, bare(a))
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.entry(p).punched = out
	return out
}

// entry returns the peer's entry. The caller holds the lock.
func (g *gate) entry(p peer.ID) *vouched {
	v := g.vouched[p]
	if v == nil {
		if len(g.vouched) >= maxVouched {
			g.forgetOne()
		}
		v = &vouched{}
		g.vouched[p] = v
	}
	v.used = g.now()
	return v
}

// forgetOne drops the entry that was used longest ago.
func (g *gate) forgetOne() {
	var oldest peer.ID
	for p, v := range g.vouched {
		if len(v.trusted) == 0 && (oldest == "" || v.used.Before(g.vouched[oldest].used)) {
			oldest = p
		}
	}
	delete(g.vouched, oldest)
}

// InterceptAddrDial implements [connmgr.ConnectionGater].
func (g *gate) InterceptAddrDial(p peer.ID, a ma.Multiaddr) bool {
	ok := g.allows(p, a)
	if ok {
		g.dialled(a)
	}
	return ok
}

func (g *gate) allows(p peer.ID, a ma.Multiaddr) bool {
	a = bare(a)
	addr := a
	relay, _, circuit := splitCircuit(a)
	if circuit {
		addr = relay
	}
	var by []string
	g.mu.Lock()
	if v := g.vouched[p]; v != nil {
		v.used = g.now()
		if v.only != nil && !slices.ContainsFunc(v.only, a.Equal) {
			g.mu.Unlock()
			return false
		}
		same := func(o ma.Multiaddr) bool { return stands(o, a) }
		if slices.ContainsFunc(v.trusted, same) {
			g.mu.Unlock()
			return true
		}
		if slices.ContainsFunc(v.punched, a.Equal) {
			g.mu.Unlock()
			return true
		}
		for _, o := range v.told {
			if same(o.addr) {
				by = append(by, o.by)
			}
		}
		if by == nil && len(v.told)+len(v.trusted)+len(v.punched) > 0 {
			g.mu.Unlock()
			return false
		}
	}
	g.mu.Unlock()
	if circuit && relay == nil {
		return true // by way of a relay that a connection stands to
	}
	ip, ok := ipOf(addr)
	switch {
	case !ok:
		return true // a name, or an onion address: for the transport to resolve
	case ip.IsLoopback():
		return by != nil && g.only()
	case ip.IsUnspecified() || ip.IsMulticast():
		return false
	case manet.IsPublicAddr(addr):
		return circuit || by == nil && g.mayNode(p, ip, a) || by != nil && g.unproven.may(call{p, ip, isQUIC(addr)}, by, g.now())
	}
	return by != nil && within(ip, g.subnets())
}

// InterceptPeerDial implements [connmgr.ConnectionGater].
func (g *gate) InterceptPeerDial(peer.ID) bool { return true }

// InterceptAccept implements [connmgr.ConnectionGater].
func (g *gate) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured implements [connmgr.ConnectionGater].
func (g *gate) InterceptSecured(network.Direction, peer.ID, network.ConnMultiaddrs) bool { return true }

// InterceptUpgraded implements [connmgr.ConnectionGater].
func (g *gate) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

// stands reports whether an address is the one named, or one that the name in
// it resolves to.
func stands(named, a ma.Multiaddr) bool {
	if named.Equal(a) {
		return true
	}
	if !hasName(named) || len(a) == 0 {
		return false
	}
	want := map[int]int{ma.P_IP4: ma.P_DNS4, ma.P_IP6: ma.P_DNS6}[a[0].Protocol().Code]
	if got := named[0].Protocol().Code; want == 0 || got != want && got != ma.P_DNS {
		return false
	}
	// A WebSocket carries the name along.
	rest := slices.DeleteFunc(slices.Clone(a[1:]), func(c ma.Component) bool {
		return c.Protocol().Code == ma.P_SNI && c.Value() == named[0].Value()
	})
	return named[1:].Equal(rest)
}

// hasName reports whether an address begins with a name to resolve.
func hasName(a ma.Multiaddr) bool {
	if len(a) == 0 {
		return false
	}
	switch a[0].Protocol().Code {
	case ma.P_DNS, ma.P_DNS4, ma.P_DNS6:
		return true
	}
	return false
}

// splitCircuit takes the address of a circuit relay out of one behind it. The
// address is nil when there is only the relay's name.
func splitCircuit(a ma.Multiaddr) (addr ma.Multiaddr, relay peer.ID, ok bool) {
	i := slices.IndexFunc(a, func(c ma.Component) bool { return c.Protocol().Code == ma.P_CIRCUIT })
	if i < 0 {
		return nil, "", false
	}
	addr, relay = peer.SplitAddr(a[:i])
	return addr, relay, true
}

// ipOf is the IP address that an address begins with.
func ipOf(a ma.Multiaddr) (netip.Addr, bool) {
	ip, err := manet.ToIP(a)
	if err != nil {
		return netip.Addr{}, false
	}
	addr, ok := netip.AddrFromSlice(ip)
	return addr.Unmap(), ok
}

// subnets are the networks that this machine is in. A single address, which is
// what a tunnel has, stands for the smallest usual network around it.
func subnets() []netip.Prefix {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var out []netip.Prefix
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(n.IP)
		if !ok {
			continue
		}
		ip = ip.Unmap()
		bits, _ := n.Mask.Size()
		if bits == ip.BitLen() {
			bits = map[bool]int{true: 24, false: 64}[ip.Is4()]
		}
		if p, err := ip.Prefix(bits); err == nil && bits > 0 {
			out = append(out, p)
		}
	}
	return out
}

func within(ip netip.Addr, nets []netip.Prefix) bool {
	return slices.ContainsFunc(nets, func(n netip.Prefix) bool { return n.Contains(ip) })
}
