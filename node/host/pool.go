package host

import (
	"context"
	"net/netip"
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/quic-go/quic-go"
)

// The pool is one purse for all that nodes of the hash table name, of others or
// of themselves, whichever of them it was. It begins empty, and ends with the
// process. What peers send for the connections that this device makes is added,
// and byte for byte what they say of themselves ([identify]) and in the hash
// table. So all of them together make a device send third parties less than they
// have sent it (spec §14.5). What one sends, another may spend.
const pool = "the hash table"

// What counts of that: by QUIC what has come, as far as a handshake goes, since
// what may have come with it is counted when it is read; by TCP the handshake of
// Noise, which is the shortest.
const greetQUIC, greetTCP = 2300, 300

// pooled tells the protocols by which the pool earns.
func pooled(p protocol.ID) bool { return isDHT(p) || p == identify.ID }

// Meet is [Host.Connect] for a node of the hash table that the owner of a purse
// has named. It is called itself, not by way of a relay.
func (h *Host) Meet(ctx context.Context, p peer.AddrInfo, purse string) error {
	p.Addrs = slices.DeleteFunc(slices.Clone(p.Addrs), isCircuit)
	h.gate.meets(p, purse)
	return h.connect(ctx, p)
}

// meets replaces the addresses at which a node is called from a purse.
func (g *gate) meets(p peer.AddrInfo, purse string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.entry(p.ID)
	v.met = nil
	for _, a := range p.Addrs {
		v.met = append(v.met, named{bare(a), purse})
	}
}

// payer is the purse from which a call to an address is paid that nobody has
// named as a contact's.
func (g *gate) payer(p peer.ID, a ma.Multiaddr) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v := g.vouched[p]; v != nil {
		for _, n := range v.met {
			if stands(n.addr, a) {
				return n.by
			}
		}
	}
	return pool
}

// mayNode reports whether a node of the hash table may be called. By TCP that is
// paid now, by QUIC packet for packet (see [bill]).
func (g *gate) mayNode(p peer.ID, ip netip.Addr, a ma.Multiaddr) bool {
	to := call{p, ip, isQUIC(a)}
	if to.quic {
		return g.unproven.may(to, nil, g.now())
	}
	return g.unproven.may(to, []string{g.payer(p, a)}, g.now())
}

// greeted adds what a peer has sent for a connection.
func (g *gate) greeted(c network.Conn) {
	if a := c.RemoteMultiaddr(); c.Stat().Direction != network.DirOutbound || isCircuit(a) || !manet.IsPublicAddr(a) {
		return
	}
	n := int64(greetTCP)
	var q *quic.Conn
	if c.As(&q) {
		s := q.ConnectionStats()
		n = int64(min(s.BytesReceived+28*s.PacketsReceived, greetQUIC))
	}
	g.unproven.earn(pool, n)
}
