package host

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"
	ws "github.com/libp2p/go-libp2p/p2p/transport/websocket"
	ma "github.com/multiformats/go-multiaddr"
)

// maxReservations is how many devices may keep a place at a relay.
const maxReservations = 2048

// circuitLimits let messages and files of ordinary size pass; libp2p's own,
// 128 KiB in 2 minutes, don't.
var circuitLimits = relay.Resources{
	Limit:          &relay.RelayLimit{Duration: 30 * time.Minute, Data: 64 << 20},
	ReservationTTL: time.Hour, MaxReservations: maxReservations, MaxCircuits: 32, BufferSize: 16 << 10,
	MaxReservationsPerIP: 32, MaxReservationsPerASN: 512,
}

func (cfg *Config) check() error {
	if _, ok := budgets[cfg.Profile]; !ok {
		return fmt.Errorf("%w: number %d", ErrUnsupported, cfg.Profile)
	}
	if cfg.Profile != Hidden {
		return nil
	}
	if cfg.SOCKS == "" {
		return fmt.Errorf("%w: a hidden host needs a proxy", ErrUnsupported)
	}
	if len(cfg.Listen) > 0 || cfg.PortMap || len(cfg.Announce) > 0 {
		return fmt.Errorf("%w: a hidden host listens nowhere and announces nothing", ErrUnsupported)
	}
	return nil
}

// listen are the addresses to listen on; the port of h is set to what they use.
func (cfg *Config) listen(h *Host, log *slog.Logger) ([]string, error) {
	if cfg.Profile == Hidden {
		h.port = 0
		return nil, nil
	}
	if len(cfg.Listen) > 0 {
		return cfg.Listen, nil
	}
	port, err := choosePort(cfg.Port)
	if err != nil {
		return nil, err
	}
	if cfg.Port != 0 && port != cfg.Port {
		log.Warn("the port used before is taken; listening on another")
	}
	h.port = port
	all := everywhere(port)
	if cfg.NetworkKey != nil {
		all = all[2:] // without QUIC
	}
	if cfg.Profile == Relay {
		all = append(all, fmt.Sprintf("/ip4/127.0.0.1/tcp/%d/ws", port+1))
	}
	return all, nil
}

// options are those of the profile.
func (cfg *Config) options(h *Host, b budget, listen []string) ([]libp2p.Option, error) {
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(cfg.Key[:]))
	if err != nil {
		return nil, fmt.Errorf("host: reading the key: %w", err)
	}
	out := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.BandwidthReporter(h.meter),
		libp2p.UserAgent(agent), libp2p.ProtocolVersion(agent),
		libp2p.ListenAddrStrings(listen...),
		libp2p.Security(tls.ID, tls.New), libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, muxer()),
		libp2p.ConnectionGater(h.gate),
		libp2p.AddrsFactory(h.announces),
		// A few contacts who are away for long are enough to make libp2p believe
		// that UDP, or IPv6, never gets through; then it refuses to call anybody.
		libp2p.UDPBlackHoleSuccessCounter(nil), libp2p.IPv6BlackHoleSuccessCounter(nil),
		libp2p.WithDialTimeout(b.dialTimeout),
		libp2p.EnableRelay(), // to call, and to be called, through others
		libp2p.Ping(false), libp2p.DisableMetrics(),
	}
	if cfg.NetworkKey != nil {
		out = append(out, libp2p.PrivateNetwork(pnet.PSK(cfg.NetworkKey[:])))
	}
	switch cfg.Profile {
	case Desktop:
		out = append(out, libp2p.EnableAutoNATv2())
	case Relay:
		out = append(out,
			libp2p.NonPublicAddrPublishing(false), libp2p.ForceReachabilityPublic(),
			libp2p.EnableNATService(), libp2p.EnableAutoNATv2(),
			libp2p.EnableRelayService(relay.WithResources(circuitLimits)))
	case Hidden:
		return append(out,
			libp2p.NoListenAddrs,
			libp2p.Transport(newSOCKS(cfg.SOCKS)),
			libp2p.MultiaddrResolver(noNames{}),
			libp2p.DisableIdentifyAddressDiscovery(), libp2p.ForceReachabilityPrivate(),
			libp2p.SwarmOpts(swarm.WithDialRanker(swarm.NoDelayDialRanker))), nil
	}
	out = append(out, libp2p.Transport(newTCP), libp2p.Transport(ws.New))
	if cfg.NetworkKey == nil {
		out = append(out, libp2p.Transport(newQUIC(h.gate)))
	}
	if cfg.PortMap {
		out = append(out, libp2p.NATManager(newPortMap))
	}
	return out, nil
}

// announces is what the host says of its addresses to everybody.
func (h *Host) announces(in []ma.Multiaddr) []ma.Multiaddr {
	if h.profile == Hidden {
		return nil
	}
	if len(h.announce) > 0 {
		return h.announce
	}
	out := announced(in)
	if h.circuits != nil {
		out = append(out, h.circuits.addrs()...)
	}
	return out
}

// Reachability says whether others can call this host without help.
type Reachability = network.Reachability

// Reachability is what peers have found out by calling back.
func (h *Host) Reachability() Reachability {
	if h.profile == Hidden {
		return network.ReachabilityPrivate
	}
	return Reachability(h.reach.Load())
}

// ErrNetworkKey is wrapped by the error of [ReadNetworkKey].
var ErrNetworkKey = errors.New("host: not a network key")

// ReadNetworkKey reads the key of a closed network, in the form that other
// libp2p programs use: a line /key/swarm/psk/1.0.0/, a line /base16/, and 64
// hex digits.
func ReadNetworkKey(r io.Reader) (*[32]byte, error) {
	psk, err := pnet.DecodeV1PSK(io.LimitReader(r, 4096))
	if err != nil || len(psk) != 32 {
		return nil, fmt.Errorf("%w: %w", ErrNetworkKey, err)
	}
	return (*[32]byte)(psk), nil
}
