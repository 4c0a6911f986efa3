// Package host is the device's place in the network: one libp2p host with the
// transports, budgets and announced addresses of its profile, and frames of
// bounded size over its streams.
//
// It does not know accounts, contacts or messages, and it decides nothing
// about whom to call. It promises that a host starts in well under 50 ms, that
// it tells strangers no address of a private network and dials none that they
// name, that a hidden one sends nothing but to its proxy, and that a frame is
// refused by its header before its body takes memory.
package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	ma "github.com/multiformats/go-multiaddr"
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
	// interfaces, IPv4 and IPv6, on Port, and for a relay also WebSocket on
	// loopback, for a reverse proxy. A hidden host does not listen.
	Listen []string
	// Port is used when Listen is empty; keep the result of [Host.Port] and
	// give it again, so that the device's addresses survive a restart. Zero,
	// or a port that somebody else holds, means a free one.
	Port int
	// Profile sets transports, limits and what is announced.
	Profile Profile
	// SOCKS is the host:port of the proxy through which a hidden host dials.
	SOCKS string
	// Announce are the addresses told to others in place of those the host
	// sees itself: those of a relay with a name, or behind a reverse proxy.
	Announce []string
	// NetworkKey closes the network to all who don't have it. There is then
	// no QUIC, which can't be closed in this way.
	NetworkKey *[32]byte
	// PortMap asks the router to pass calls on (UPnP, NAT-PMP). That can be
	// heard on the local network.
	PortMap bool
	// Circuits are circuit relays at which to keep a place, and Candidates,
	// which may be nil, is asked for more when too few of them work.
	Circuits   []peer.AddrInfo
	Candidates func() []peer.AddrInfo
	// Brief is for a host that lives for a few questions to the hash table: it
	// calls hundreds of nodes in a minute, and lets go of them soon.
	Brief bool
	// Beside is another host of this device: what the one knows of addresses,
	// and who has answered there, the other does, too.
	Beside *Host
	// IdleCap bounds the bytes that are spent in a day, both ways, on what
	// serves no message; see [Host.Thrift]. Zero is no bound.
	IdleCap int64
	// Moved, when set, is called after a circuit relay was found at which the
	// host can be called: [Host.Hints] says more than before. It must not block.
	Moved func()
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
	h        host.Host
	profile  Profile
	port     int
	announce []ma.Multiaddr
	log      *slog.Logger
	meter    *meter
	saving   atomic.Int32 // a Thrift
	moved    func()
	away     *away
	gate     *gate
	circuits *circuits // nil where there are none
	puncher  *puncher  // nil where there is none
	reach    atomic.Int32
}

// New starts a host. libp2p begins to listen and starts its goroutines here;
// [Host.Close] ends them. An error means nothing is left running. What takes
// longer is begun by [Host.Run].
func New(cfg Config) (*Host, error) {
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	h := &Host{profile: cfg.Profile, port: cfg.Port, gate: newGate(), meter: newMeter(cfg.IdleCap), away: newAway(), log: log}
	if h.moved = cfg.Moved; h.moved == nil {
		h.moved = func() {}
	}
	h.gate.dialled, h.meter.heard = h.meter.dialled, h.gate.heard
	if cfg.Beside != nil {
		h.gate.unproven = cfg.Beside.gate.unproven
	}
	if cfg.Profile == Desktop {
		h.circuits = newCircuits(h, cfg.Candidates)
	}
	var err error
	if h.announce, err = parseAll(cfg.Announce); err != nil {
		return nil, err
	}
	listen, err := cfg.listen(h, log)
	if err != nil {
		return nil, err
	}
	b := cfg.budget()
	rm, err := b.resourceManager()
	if err != nil {
		return nil, err
	}
	cm, err := b.connManager()
	if err != nil {
		return nil, errors.Join(err, rm.Close())
	}
	options, err := cfg.options(h, b, listen)
	if err == nil {
		options = append(options, libp2p.ResourceManager(rm), libp2p.ConnectionManager(cm))
		h.h, err = libp2p.New(append(options, cfg.Libp2p...)...)
	}
	if err != nil {
		return nil, fmt.Errorf("host: starting: %w", errors.Join(err, cm.Close(), rm.Close()))
	}
	// Starting succeeds when one of the addresses works.
	own := h.listening()
	if len(own) < len(listen) {
		log.Info("not every listen address works", "listening", len(own), "wanted", len(listen))
	}
	if len(cfg.Listen) > 0 {
		h.port = firstPort(own)
	}
	h.h.Network().Notify(&network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) {
		h.gate.connected(c, time.Now())
	}})
	h.gate.only = func() bool { return len(listen) > 0 && !slices.ContainsFunc(h.interfaces(), notLoopback) }
	if cfg.Profile == Desktop {
		h.circuits.offer(cfg.Circuits)
		if ids, ok := h.h.(interface{ IDService() identify.IDService }); ok {
			h.puncher = newPuncher(h, ids.IDService())
		}
	}
	for _, p := range cfg.Circuits {
		h.Trust(p)
	}
	return h, nil
}

// Run keeps the host reachable until ctx ends: places at circuit relays, holes
// in routers. All its goroutines have ended when it returns.
func (h *Host) Run(ctx context.Context) error {
	sub, err := h.h.EventBus().Subscribe(new(event.EvtLocalReachabilityChanged), eventbus.Name("host"))
	if err != nil {
		return Opaque("host: listening to events", err)
	}
	bundle := &network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) { h.meter.begun(c) }}
	h.h.Network().Notify(bundle)
	defer h.h.Network().StopNotify(bundle)
	var wg sync.WaitGroup
	var punching error
	if h.circuits != nil {
		wg.Go(func() { h.circuits.run(ctx) })
	}
	if h.puncher != nil {
		wg.Go(func() { punching = h.puncher.run(ctx) })
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			wg.Wait()
			return errors.Join(punching, sub.Close())
		case now := <-look.C:
			h.account(now)
		case <-h.meter.much:
			h.account(time.Now())
		case e, ok := <-sub.Out():
			if ok {
				h.reach.Store(int32(e.(event.EvtLocalReachabilityChanged).Reachability))
			}
		}
	}
}

// Trust lets the host dial the peer at addresses that the person named, even
// inside a private network.
func (h *Host) Trust(p peer.AddrInfo) {
	h.gate.trust(p)
	h.h.Peerstore().AddAddrs(p.ID, p.Addrs, peerstore.PermanentAddrTTL)
}

// Traffic returns how many bytes the host's streams have carried since it
// started.
func (h *Host) Traffic() (in, out int64) { return h.meter.in.Load(), h.meter.out.Load() }

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

// Profile is what kind of node this is.
func (h *Host) Profile() Profile { return h.profile }

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
// The peer is dialled at these addresses and those of [Host.Trust] alone; one
// inside a private network counts only if this machine is in it, too. A
// connection by way of a circuit relay is enough if ctx allows it.
func (h *Host) Connect(ctx context.Context, p peer.AddrInfo) error {
	p.Addrs = h.away.choose(p, h.Thrift())
	h.gate.tell(p, contactIn(ctx))
	return h.connect(ctx, p)
}

func (h *Host) connect(ctx context.Context, p peer.AddrInfo) error {
	if s, ok := h.h.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(p.ID)
	}
	err := h.h.Connect(ctx, p)
	h.away.note(p, err == nil)
	if err != nil {
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
