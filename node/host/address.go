package host

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strconv"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"rushlight/protocol/identity"
)

// everywhere are the listen addresses of a port on all interfaces. UDP comes
// first: the same order in which others should try them.
func everywhere(port int) []string {
	return []string{
		fmt.Sprintf("/ip4/0.0.0.0/udp/%d/quic-v1", port), fmt.Sprintf("/ip6/::/udp/%d/quic-v1", port),
		fmt.Sprintf("/ip4/0.0.0.0/tcp/%d", port), fmt.Sprintf("/ip6/::/tcp/%d", port),
	}
}

// choosePort returns want when it is free for TCP and UDP, else a random free
// port. libp2p shares TCP ports, so without this look two hosts of one machine
// could take the same one and each miss half of its calls.
func choosePort(want int) (int, error) {
	if want != 0 && free(want) {
		return want, nil
	}
	for range 64 {
		n, err := rand.Int(rand.Reader, big.NewInt(lastPort-firstFree))
		if err != nil {
			return 0, fmt.Errorf("host: choosing a port: %w", err)
		}
		if p := firstFree + int(n.Int64()); free(p) {
			return p, nil
		}
	}
	return 0, errors.New("host: found no free port")
}

// Ports are chosen below the range that systems give to outgoing connections.
const firstFree, lastPort = 20000, 32000

func free(port int) bool {
	addr := ":" + strconv.Itoa(port)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	c, errUDP := net.ListenPacket("udp", addr)
	if errUDP == nil {
		errUDP = c.Close()
	}
	return l.Close() == nil && errUDP == nil
}

// firstPort is the port of the first address that has one.
func firstPort(addrs []ma.Multiaddr) int {
	for _, a := range addrs {
		for _, proto := range []int{ma.P_UDP, ma.P_TCP} {
			if v, err := a.ValueForProtocol(proto); err == nil {
				if n, err := strconv.Atoi(v); err == nil {
					return n
				}
			}
		}
	}
	return 0
}

// announced is what the host tells every peer it speaks with: public
// addresses and those behind circuit relays. What is inside a private network
// goes only to contacts, sealed, by way of [Host.Addrs]. A host that has
// loopback alone announces that.
func announced(in []ma.Multiaddr) []ma.Multiaddr {
	out := slices.DeleteFunc(slices.Clone(in), func(a ma.Multiaddr) bool { return !isCircuit(a) && !manet.IsPublicAddr(a) })
	if len(out) == 0 && !slices.ContainsFunc(in, notLoopback) {
		return in
	}
	return out
}

func notLoopback(a ma.Multiaddr) bool { return !manet.IsIPLoopback(a) }

// listening are the addresses the host listens on, circuits left out.
func (h *Host) listening() []ma.Multiaddr {
	return slices.DeleteFunc(h.h.Network().ListenAddresses(), isCircuit)
}

// interfaces are the same for each interface.
func (h *Host) interfaces() []ma.Multiaddr {
	in, err := h.h.Network().InterfaceListenAddresses()
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(in, isCircuit)
}

// Addrs returns the addresses at which the host can be dialled right now, one
// for each interface and transport, ending in /p2p/<id>: QUIC before TCP,
// public before private, what routers pass on among them, and those behind
// circuit relays last. Loopback is among them only when there is nothing else;
// link-local addresses never are, since they need a zone. A host that was told
// what to announce has these alone.
func (h *Host) Addrs() []ma.Multiaddr {
	if h.profile == Hidden {
		return nil
	}
	self := ma.StringCast("/p2p/" + h.h.ID().String())
	var out, local []ma.Multiaddr
	if len(h.announce) > 0 {
		for _, a := range h.announce {
			out = append(out, a.Encapsulate(self))
		}
		return out
	}
	in := h.interfaces()
	for _, a := range h.h.Addrs() {
		if manet.IsPublicAddr(a) && !isCircuit(a) && !slices.ContainsFunc(in, a.Equal) {
			in = append(in, a)
		}
	}
	for _, a := range in {
		switch full := a.Encapsulate(self); {
		case manet.IsIPLoopback(a):
			local = append(local, full)
		case !manet.IsIP6LinkLocal(a) && !manet.IsIPUnspecified(a):
			out = append(out, full)
		}
	}
	if len(out) == 0 {
		out = local
	}
	slices.SortStableFunc(out, func(a, b ma.Multiaddr) int { return cmp.Compare(Rank(a), Rank(b)) })
	out = slices.CompactFunc(out, ma.Multiaddr.Equal)
	if h.circuits != nil {
		for _, a := range h.circuits.addrs() {
			out = append(out, a.Encapsulate(self))
		}
	}
	return out
}

// Rank orders addresses by what should be tried first: lower is better.
func Rank(a ma.Multiaddr) int {
	rank := 0
	if isCircuit(a) {
		rank += 8
	}
	if _, err := a.ValueForProtocol(ma.P_QUIC_V1); err != nil {
		rank += 4
	}
	if !manet.IsPublicAddr(a) {
		rank += 2
	}
	if _, err := a.ValueForProtocol(ma.P_IP6); err == nil {
		rank++
	}
	return rank
}

// Hints returns [Host.Addrs] as contacts are told them, at most
// [identity.MaxHints]. Where there are more, three are kept for circuits and
// three for TCP: a contact behind a network without UDP has use for no other.
func (h *Host) Hints() []identity.Hint {
	var quic, rest, circuits []identity.Hint
	for _, a := range h.Addrs() {
		addr, id := peer.SplitAddr(a)
		if addr == nil {
			continue
		}
		hint := identity.Hint{Peer: []byte(id), Addr: addr.Bytes()}
		if len(hint.Addr) > maxHint {
			continue
		}
		_, err := a.ValueForProtocol(ma.P_QUIC_V1)
		switch {
		case isCircuit(a):
			circuits = append(circuits, hint)
		case err == nil:
			quic = append(quic, hint)
		default:
			rest = append(rest, hint)
		}
	}
	circuits = circuits[:min(len(circuits), 3)]
	direct := identity.MaxHints - len(circuits)
	quic = quic[:min(len(quic), direct-min(len(rest), 3))]
	rest = rest[:min(len(rest), direct-len(quic))]
	return slices.Concat(quic, rest, circuits)
}

// maxHint is the longest address of a hint in bytes (spec §3.5).
const maxHint = 128

// ParsePeer reads the full address of a peer, which ends in /p2p/<id>.
func ParsePeer(s string) (peer.AddrInfo, error) {
	info, err := peer.AddrInfoFromString(s)
	if err != nil || len(info.Addrs) == 0 {
		return peer.AddrInfo{}, Opaque("host: that is not the address of a peer", err)
	}
	return *info, nil
}

// ParsePeers reads several, and brings those of one peer together.
func ParsePeers(list []string) ([]peer.AddrInfo, error) {
	var out []peer.AddrInfo
	for _, s := range list {
		p, err := ParsePeer(s)
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(out, func(o peer.AddrInfo) bool { return o.ID == p.ID }); i >= 0 {
			out[i].Addrs = append(out[i].Addrs, p.Addrs...)
		} else {
			out = append(out, p)
		}
	}
	return out, nil
}

// parseAll reads addresses without a peer.
func parseAll(list []string) ([]ma.Multiaddr, error) {
	var out []ma.Multiaddr
	for _, s := range list {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return nil, Opaque("host: reading an address", err)
		}
		out = append(out, bare(a))
	}
	return out, nil
}
