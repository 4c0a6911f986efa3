// Package host is the device's place in the network: one libp2p host with the
// transports, budgets and announced addresses of its profile, and frames of
// bounded size over its streams.
//
// It does not know accounts, contacts or messages, and it decides nothing
// about whom to call. It promises that a host starts in well under 50 ms, that
// it tells strangers no address of a private network, and that a frame is
// refused by its header before its body takes memory.
package host

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ws "github.com/libp2p/go-libp2p/p2p/transport/websocket"
)

// agent is the only name the host gives itself; the default would be the
// module name and the version of the binary.
const agent = "rushlight/1"

// keepAlive is how often an idle TCP connection is probed. The default of 30 s
// costs an idle device more traffic than its messages do.
const keepAlive = 4 * time.Minute

// ErrUnsupported is returned by [New] for a profile that can't run yet.
var ErrUnsupported = errors.New("host: profile is not supported")

// Config says how a host is made. The zero value is a desktop with an all-zero
// key on a port of its choice: everybody sets Key.
type Config struct {
	// Key is the seed of the Ed25519 key whose public half is the peer id. It
	// is random for each device and says nothing about the account.
	Key [32]byte
	// Listen are the multiaddrs to listen on. Empty means QUIC and TCP on all
	// interfaces, IPv4 and IPv6, on Port.
	Listen []string
	// Port is used when Listen is empty; keep the result of [Host.Port] and
	// give it again, so that the device's addresses survive a restart. Zero,
	// or a port that somebody else holds, means a free one.
	Port int
	// Profile sets limits and what is announced.
	Profile Profile
	// Logger receives what the person running the node should know; nil
	// discards it.
	Logger *slog.Logger
	// Libp2p are more options, after all others. A simulation puts the host
	// on a network of its own with them; a running node has none.
	Libp2p []Option
}

// Option is an option of libp2p's.
type Option = libp2p.Option

// Host is a running libp2p host.
type Host struct {
	h       host.Host
	port    int
	traffic *metrics.BandwidthCounter
}

// New starts a host. libp2p begins to listen and starts its goroutines here;
// [Host.Close] ends them. An error means nothing is left running.
func New(cfg Config) (*Host, error) {
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	b, err := cfg.Profile.budget()
	if err != nil {
		return nil, err
	}
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(cfg.Key[:]))
	if err != nil {
		return nil, fmt.Errorf("host: reading the key: %w", err)
	}
	port, listen := cfg.Port, cfg.Listen
	if len(listen) == 0 {
		if port, err = choosePort(cfg.Port); err != nil {
			return nil, err
		}
		if cfg.Port != 0 && port != cfg.Port {
			log.Warn("the port used before is taken; listening on another")
		}
		listen = everywhere(port)
	}
	rm, err := b.resourceManager()
	if err != nil {
		return nil, err
	}
	cm, err := b.connManager()
	if err != nil {
		return nil, errors.Join(err, rm.Close())
	}
	traffic := metrics.NewBandwidthCounter()
	h, err := libp2p.New(append([]libp2p.Option{
		libp2p.Identity(key),
		libp2p.BandwidthReporter(traffic),
		libp2p.UserAgent(agent), libp2p.ProtocolVersion(agent),
		libp2p.ListenAddrStrings(listen...),
		libp2p.Transport(quic.NewTransport),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Transport(ws.New), // to dial; it listens only where Listen says so
		libp2p.Security(tls.ID, tls.New),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, muxer()),
		libp2p.ResourceManager(rm),
		libp2p.ConnectionManager(cm),
		libp2p.AddrsFactory(announced),
		// A few contacts who are away for long are enough to make libp2p believe
		// that UDP, or IPv6, never gets through; then it refuses to call anybody.
		libp2p.UDPBlackHoleSuccessCounter(nil),
		libp2p.IPv6BlackHoleSuccessCounter(nil),
		libp2p.WithDialTimeout(b.dialTimeout),
		libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.DisableRelay(),
		libp2p.Ping(false),
		libp2p.DisableMetrics(),
	}, cfg.Libp2p...)...)
	if err != nil {
		return nil, fmt.Errorf("host: starting: %w", errors.Join(err, cm.Close(), rm.Close()))
	}
	// Starting succeeds when one of the addresses works.
	if n := len(h.Network().ListenAddresses()); n < len(listen) {
		log.Info("not every listen address works", "listening", n, "wanted", len(listen))
	}
	if len(cfg.Listen) > 0 {
		port = firstPort(h.Network().ListenAddresses())
	}
	return &Host{h: h, port: port, traffic: traffic}, nil
}

// Traffic returns how many bytes the host's streams have carried since it
// started.
func (h *Host) Traffic() (in, out int64) {
	t := h.traffic.GetBandwidthTotals()
	return t.TotalIn, t.TotalOut
}

// muxer is yamux with probes that fit an idle device.
func muxer() *yamux.Transport {
	c := *yamux.DefaultTransport.Config()
	c.KeepAliveInterval = keepAlive
	c.MeasureRTTInterval = keepAlive
	return (*yamux.Transport)(&c)
}

// Libp2p returns the host for stream handlers and new streams.
func (h *Host) Libp2p() host.Host { return h.h }

// ID returns the peer id.
func (h *Host) ID() peer.ID { return h.h.ID() }

// Port returns the port that the host listens on, 0 when it doesn't listen.
func (h *Host) Port() int { return h.port }

// Close ends every connection and goroutine of the host.
func (h *Host) Close() error {
	if err := h.h.Close(); err != nil {
		return Opaque("host: closing", err)
	}
	return nil
}

// Connect returns when a connection to the peer stands, QUIC being tried a
// moment before TCP. Unlike libp2p's own Connect it does not refuse an address
// because an earlier attempt failed: how often to try is the caller's decision.
func (h *Host) Connect(ctx context.Context, p peer.AddrInfo) error {
	if s, ok := h.h.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(p.ID)
	}
	if err := h.h.Connect(ctx, p); err != nil {
		return Opaque("host: connecting", err)
	}
	return nil
}

// Disconnect ends all connections to the peer.
func (h *Host) Disconnect(p peer.ID) error {
	if err := h.h.Network().ClosePeer(p); err != nil {
		return Opaque("host: disconnecting", err)
	}
	return nil
}

// Connected reports whether a connection to the peer stands.
func (h *Host) Connected(p peer.ID) bool {
	return h.h.Network().Connectedness(p) == network.Connected
}
