package node

import (
	"strconv"

	ma "github.com/multiformats/go-multiaddr"

	"rushlight/node/discovery"
	"rushlight/node/host"
	"rushlight/protocol/identity"
)

// hintsOf is what invites and cards say of a host's addresses.
func hintsOf(h *host.Host) []identity.Hint {
	if h == nil {
		return nil
	}
	return h.Hints()
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

// addrTexts writes binary addresses as text.
func addrTexts(raw [][]byte) (out []string) {
	for _, b := range raw {
		if a, err := ma.NewMultiaddrBytes(b); err == nil {
			out = append(out, a.String())
		}
	}
	return out
}
