package discovery

import (
	"crypto/sha256"
	"net/netip"
	"sync"

	"github.com/libp2p/go-libp2p-kbucket/peerdiversity"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// How many nodes of one block of addresses, a /16 of IPv4 or a /32 of IPv6, the
// routing table holds: in all, and at one distance. Whoever has such a block
// can't fill the table with it. A young network whose nodes have one hoster is
// still found: searches go beyond the table.
const (
	fromBlock   = 10
	fromBlockAt = 4
)

// diverse keeps the routing table diverse. Addresses without a block that costs
// anything, those of private networks and of Tor, are not counted.
type diverse struct {
	addrs func(peer.ID) []ma.Multiaddr

	mu  sync.Mutex
	all map[peerdiversity.PeerIPGroupKey]int
	at  map[place]int
}

// place is a block at a distance.
type place struct {
	block    peerdiversity.PeerIPGroupKey
	distance int
}

var _ peerdiversity.PeerIPGroupFilter = (*diverse)(nil)

func newDiverse(addrs func(peer.ID) []ma.Multiaddr) *diverse {
	return &diverse{addrs: addrs, all: map[peerdiversity.PeerIPGroupKey]int{}, at: map[place]int{}}
}

// Allow implements [peerdiversity.PeerIPGroupFilter].
func (d *diverse) Allow(g peerdiversity.PeerGroupInfo) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all[g.IPGroupKey] < fromBlock && d.at[place{g.IPGroupKey, g.Cpl}] < fromBlockAt
}

// Increment implements [peerdiversity.PeerIPGroupFilter].
func (d *diverse) Increment(g peerdiversity.PeerGroupInfo) { d.count(g, 1) }

// Decrement implements [peerdiversity.PeerIPGroupFilter].
func (d *diverse) Decrement(g peerdiversity.PeerGroupInfo) { d.count(g, -1) }

func (d *diverse) count(g peerdiversity.PeerGroupInfo, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := place{g.IPGroupKey, g.Cpl}
	if d.all[g.IPGroupKey] += n; d.all[g.IPGroupKey] <= 0 {
		delete(d.all, g.IPGroupKey)
	}
	if d.at[p] += n; d.at[p] <= 0 {
		delete(d.at, p)
	}
}

// PeerAddresses implements [peerdiversity.PeerIPGroupFilter]. The library reads
// IPv4 addresses by their /16; what is to be counted otherwise stands for an
// address that nobody has.
func (d *diverse) PeerAddresses(p peer.ID) (out []ma.Multiaddr) {
	blocks := map[netip.Prefix]bool{}
	for _, a := range d.addrs(p) {
		ip, err := manet.ToIP(a)
		addr, ok := netip.AddrFromSlice(ip)
		if addr = addr.Unmap(); err != nil || !ok || !manet.IsPublicAddr(a) {
			out = append(out, standIn([]byte(p)))
			continue
		}
		bits := 16
		if addr.Is6() {
			bits = 32
		}
		block := netip.PrefixFrom(addr, bits).Masked()
		if blocks[block] {
			continue
		}
		blocks[block] = true
		if addr.Is6() {
			out = append(out, standIn(block.Addr().AsSlice()))
		} else {
			out = append(out, ma.StringCast("/ip4/"+addr.String()))
		}
	}
	return out
}

// standIn is an address of 240.0.0.0/4, which is in no use.
func standIn(of []byte) ma.Multiaddr {
	h := sha256.Sum256(of)
	return ma.StringCast("/ip4/" + netip.AddrFrom4([4]byte{240 + h[0]&15, h[1], h[2], h[3]}).String())
}

// addrsOfPeer are those of the connections to a peer.
func (t *Table) addrsOfPeer(p peer.ID) (out []ma.Multiaddr) {
	for _, c := range t.h.Libp2p().Network().ConnsToPeer(p) {
		out = append(out, c.RemoteMultiaddr())
	}
	return out
}
