package host

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/x/rate"
)

// Profile is what kind of node the host belongs to.
type Profile uint8

// The profiles.
const (
	Desktop Profile = iota // a person's computer: few connections, long idle
	Relay                  // a public server: many connections
	Hidden                 // only through Tor
)

// budget is what a profile may use.
type budget struct {
	memory      int64         // bytes that streams and connections may hold
	files       int           // file descriptors
	conns       int           // connections
	inbound     int           // of these, inbound
	perAddress  int           // connections from one IPv4 address or IPv6 /56
	perSecond   float64       // new connections a second from one of those
	burst       int           // and at once
	low, high   int           // idle connections kept, and tolerated
	grace       time.Duration // for a new one
	trim        time.Duration // how often it is looked whether there are too many
	dialTimeout time.Duration // for one address
	peer        rcmgr.ResourceLimits
	system      rcmgr.ResourceLimits
	circuits    rcmgr.ResourceLimits // of the circuit service
}

// budgets of the profiles.
var budgets = map[Profile]budget{
	Desktop: {
		memory: 512 << 20, files: 1024, conns: 256, inbound: 128,
		perAddress: 16, perSecond: 1, burst: 32, low: 4, high: 24, grace: time.Minute, trim: time.Minute,
		dialTimeout: 10 * time.Second,
	},
	Relay: {
		memory: 4 << 30, files: 32768, conns: 8192, inbound: 6144,
		perAddress: 64, perSecond: 5, burst: 128, low: 4000, high: 5000, grace: time.Minute, trim: 10 * time.Second,
		dialTimeout: 15 * time.Second,
		peer:        rcmgr.ResourceLimits{Streams: 512, StreamsInbound: 256, StreamsOutbound: 512, Memory: 64 << 20},
		system:      rcmgr.ResourceLimits{Streams: 65536, StreamsInbound: 32768, StreamsOutbound: 65536, Memory: 3 << 30},
		circuits:    rcmgr.ResourceLimits{Streams: 2 * maxReservations, StreamsInbound: 2 * maxReservations, StreamsOutbound: 2 * maxReservations, Memory: 256 << 20},
	},
	Hidden: {
		memory: 256 << 20, files: 512, conns: 128, inbound: 64,
		perAddress: 16, perSecond: 1, burst: 32, low: 16, high: 32, grace: time.Minute, trim: time.Minute,
		dialTimeout: 60 * time.Second,
	},
}

// Connections of a brief host. One look-up in a large network calls some sixty
// nodes, and putting a beacon is up to a dozen of them at once. Where there are
// too many, calls to nodes that live fail, and the hash table forgets them.
const (
	briefConns          = 1536
	briefLow, briefHigh = 64, 128
	briefGrace          = 5 * time.Second
)

// budget is what the host may use.
func (cfg *Config) budget() budget {
	b := budgets[cfg.Profile]
	if cfg.Brief {
		b.conns, b.low, b.high, b.grace, b.trim = briefConns, briefLow, briefHigh, briefGrace, 2*briefGrace
	}
	return b
}

// ParseProfile reads the name of a profile.
func ParseProfile(name string) (Profile, error) {
	for p, n := range profileNames {
		if n == name {
			return Profile(p), nil
		}
	}
	return 0, fmt.Errorf("%w: no such name", ErrUnsupported)
}

var profileNames = [...]string{Desktop: "desktop", Relay: "relay", Hidden: "hidden"}

// String is the profile's name.
func (p Profile) String() string {
	if int(p) < len(profileNames) {
		return profileNames[p]
	}
	return "unknown"
}

// loopback is exempt from the limits for one address: a person's own
// programs, a reverse proxy and Tor all arrive from there.
var loopback = []rate.PrefixLimit{
	{Prefix: netip.MustParsePrefix("127.0.0.0/8")},
	{Prefix: netip.MustParsePrefix("::1/128")},
}

func (b budget) resourceManager() (network.ResourceManager, error) {
	scaling := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&scaling)
	limits := rcmgr.PartialLimitConfig{System: b.system}
	if b.circuits != (rcmgr.ResourceLimits{}) {
		limits.Service = map[string]rcmgr.ResourceLimits{relay.ServiceName: b.circuits}
		limits.Protocol = map[protocol.ID]rcmgr.ResourceLimits{proto.ProtoIDv2Hop: b.circuits, proto.ProtoIDv2Stop: b.circuits}
	}
	limits.System.Conns = rcmgr.LimitVal(b.conns)
	limits.System.ConnsInbound = rcmgr.LimitVal(b.inbound)
	limits.System.ConnsOutbound = rcmgr.LimitVal(b.conns)
	limits.System.FD = rcmgr.LimitVal(b.files)
	limits.Transient.Conns = rcmgr.LimitVal(max(64, b.conns/4))
	limits.Transient.ConnsInbound = rcmgr.LimitVal(max(48, b.inbound/4))
	limits.Transient.ConnsOutbound = limits.Transient.Conns
	limits.PeerDefault = b.peer

	one := rate.Limit{RPS: b.perSecond, Burst: b.burst}
	rm, err := rcmgr.NewResourceManager(
		rcmgr.NewFixedLimiter(limits.Build(scaling.Scale(b.memory, b.files))),
		rcmgr.WithMetricsDisabled(),
		// Loopback is unlimited in libp2p's own per-network table, kept here.
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: b.perAddress}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: b.perAddress}, {PrefixLength: 48, ConnCount: 4 * b.perAddress}}),
		rcmgr.WithConnRateLimiters(&rate.Limiter{
			NetworkPrefixLimits: loopback,
			SubnetRateLimiter: rate.SubnetLimiter{
				IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: one}},
				IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: one}},
				GracePeriod:      time.Minute,
			},
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("host: making the resource manager: %w", err)
	}
	return rm, nil
}

func (b budget) connManager() (*connmgr.BasicConnMgr, error) {
	cm, err := connmgr.NewConnManager(b.low, b.high, connmgr.WithGracePeriod(b.grace), connmgr.WithSilencePeriod(b.trim))
	if err != nil {
		return nil, fmt.Errorf("host: making the connection manager: %w", err)
	}
	return cm, nil
}
