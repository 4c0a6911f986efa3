// Package discovery notices contacts' devices on the local network, and puts
// the addresses that are known for a peer into the order in which to try them.
//
// It keeps no addresses (the engine does), dials nobody and announces no
// identity. It promises that what it says on the local network is random to
// everyone but contacts: an instance name that changes with the network and
// every 15 minutes, the ports, and eight tags of which a contact recognises its
// own.
package discovery

import (
	"log/slog"
	"slices"

	ma "github.com/multiformats/go-multiaddr"

	"rushlight/node/host"
	"rushlight/protocol/identity"
)

// PairSecret is a secret that this account shares with a contact and with
// nobody else.
type PairSecret struct {
	Account identity.AccountID
	Secret  [32]byte
}

// Config configures a [LAN]. Secrets, Found and Ports are needed.
type Config struct {
	// Secrets returns a secret for each contact that may notice this device.
	Secrets func() []PairSecret
	// Found is told the addresses, without a peer id, at which a contact's
	// device was noticed. It must not block.
	Found func(account identity.AccountID, addrs []ma.Multiaddr)
	// Ports are the UDP port of QUIC and the TCP port this device listens on;
	// 0 means none.
	Ports func() (quic, tcp uint16)
	// Logger receives what the person running the node should know; nil
	// discards it.
	Logger *slog.Logger
}

// MaxAddrs bounds what [Order] returns.
const MaxAddrs = 16

// Order merges addresses of one peer from several sources, given in order of
// trust: those seen on the local network now, those that worked before, those
// that others named. Within a source what the host tries first comes first.
// Each address occurs once; at most [MaxAddrs] are returned.
func Order(sources ...[]ma.Multiaddr) []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, s := range sources {
		s = slices.Clone(s)
		slices.SortStableFunc(s, func(a, b ma.Multiaddr) int { return host.Rank(a) - host.Rank(b) })
		for _, a := range s {
			if len(out) < MaxAddrs && a != nil && !slices.ContainsFunc(out, a.Equal) {
				out = append(out, a)
			}
		}
	}
	return out
}
