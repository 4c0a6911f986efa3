package node

import (
	"strconv"

	ma "github.com/multiformats/go-multiaddr"

	"rushlight/node/discovery"
	"rushlight/node/host"
	"rushlight/protocol/identity"
)

// hintsOf turns a host's addresses into what invites and cards carry.
func hintsOf(h *host.Host) (out []identity.Hint) {
	if h == nil {
		return nil
	}
	for _, a := range h.Addrs() {
		rest, last := ma.SplitLast(a)
		if last == nil || last.Protocol().Code != ma.P_P2P {
			continue
		}
		out = append(out, identity.Hint{Peer: []byte(h.ID()), Addr: rest.Bytes()})
	}
	return out
}

// presence lists the secrets for the local network.
func (n *Node) presence() (out []discovery.PairSecret) {
	n.engine.Presence(func(a identity.AccountID, secret [32]byte) bool {
		out = append(out, discovery.PairSecret{Account: a, Secret: secret})
		return true
	})
	return out
}

func (n *Node) found(a identity.AccountID, addrs []ma.Multiaddr) { n.delivery.Found(a, addrs) }

// portsOf returns the UDP port of QUIC and the TCP port a host listens on.
func portsOf(h *host.Host) (quic, tcp uint16) {
	for _, a := range h.Libp2p().Network().ListenAddresses() {
		if _, err := a.ValueForProtocol(ma.P_QUIC_V1); err == nil {
			quic = port(a, ma.P_UDP)
		} else {
			tcp = max(tcp, port(a, ma.P_TCP))
		}
	}
	return quic, tcp
}

func port(a ma.Multiaddr, protocol int) uint16 {
	v, err := a.ValueForProtocol(protocol)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(v, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}
