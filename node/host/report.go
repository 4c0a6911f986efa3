package host

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Conn is one connection as a person may want to see it.
type Conn struct {
	Peer      peer.ID
	Transport string // quic, tcp, websocket or circuit
	Place     bool   // the peer is a circuit relay that this host uses
	Inbound   bool
	Since     time.Time
}

// Conns lists the connections.
func (h *Host) Conns() []Conn {
	places := map[peer.ID]bool{}
	for _, p := range h.Places() {
		places[p.Peer] = p.Held
	}
	var out []Conn
	for _, c := range h.h.Network().Conns() {
		s := c.Stat()
		out = append(out, Conn{
			Peer: c.RemotePeer(), Transport: TransportOf(c.RemoteMultiaddr()), Place: places[c.RemotePeer()],
			Inbound: s.Direction == network.DirInbound, Since: s.Opened,
		})
	}
	slices.SortFunc(out, func(a, b Conn) int { return a.Since.Compare(b.Since) })
	return out
}

// TransportOf names the transport of an address: quic, tcp, websocket, circuit
// or onion.
func TransportOf(a ma.Multiaddr) string {
	has := func(code int) bool { _, err := a.ValueForProtocol(code); return err == nil }
	switch {
	case a == nil:
		return ""
	case isCircuit(a):
		return "circuit"
	case has(ma.P_QUIC_V1):
		return "quic"
	case isWebSocket(a):
		return "websocket"
	case has(ma.P_ONION3):
		return "onion"
	}
	return "tcp"
}

// Transports lists what the host listens on, or, hidden, how it dials.
func (h *Host) Transports() []string {
	if h.profile == Hidden {
		return []string{"socks"}
	}
	var out []string
	for _, a := range h.listening() {
		if t := TransportOf(a); !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	if h.circuits != nil && h.circuits.held() > 0 {
		out = append(out, "circuit")
	}
	slices.Sort(out)
	return out
}

// Reach is whether others can call this host, and why or why not.
type Reach struct {
	Word string // public, relayed, private or unknown
	Code string // why, as a word that stays, for programs
	Why  string // why, in words
}

// Reach says how this host is reached.
func (h *Host) Reach() Reach {
	held := h.circuits != nil && h.circuits.held() > 0
	public := slices.ContainsFunc(h.Addrs(), func(a ma.Multiaddr) bool { return manet.IsPublicAddr(a) && !isCircuit(a) })
	switch {
	case h.profile == Hidden:
		return Reach{"private", "hidden", "a hidden profile calls others and is not called"}
	case h.profile == Relay && len(h.announce) > 0:
		return Reach{"public", "announced", "at the addresses it was told to announce"}
	case h.Reachability() == network.ReachabilityPublic && public:
		return Reach{"public", "called", "others have called back"}
	case held && h.Reachability() == network.ReachabilityPrivate:
		return Reach{"relayed", "stopped", "a router or firewall stops calls, but they come through a relay"}
	case held:
		return Reach{"relayed", "through", "calls come through a relay"}
	case h.Reachability() == network.ReachabilityPrivate:
		return Reach{"private", "unreached", "a router or firewall stops calls, and no relay passes them on"}
	case public:
		return Reach{"unknown", "untried", "there is a public address, but nobody has called back yet"}
	}
	return Reach{"unknown", "local", "on the local network only, as far as is known"}
}
