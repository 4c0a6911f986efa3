package node

import (
	"context"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"rushlight/node/discovery"
	"rushlight/node/engine"
	"rushlight/node/files"
	"rushlight/node/host"
	"rushlight/protocol/beacon"
	"rushlight/protocol/identity"
	"rushlight/storage"
)

// newFinder makes the part that finds contacts who have moved.
func (n *Node) newFinder() (err error) {
	bootstrap, err := host.ParsePeers(n.cfg.Bootstrap)
	if err != nil {
		return err
	}
	n.finder, err = discovery.NewFinder(discovery.FinderConfig{
		Host: n.host,
		Fresh: func() (*host.Host, error) {
			return discovery.Fresh(host.Config{
				Profile: n.cfg.Profile, SOCKS: n.cfg.SOCKS, NetworkKey: n.cfg.NetworkKey, Logger: n.log, Libp2p: n.cfg.Host, Beside: n.host,
			})
		},
		Serve:     n.cfg.Profile == host.Relay,
		Bootstrap: bootstrap,
		Store:     memory{n.engine},
		Hints:     func() []identity.Hint { return hintsOf(n.host) },
		Contacts:  n.presence,
		Known:     n.known,
		Waits:     n.engine.Waits,
		Invites:   n.openInvites,
		Found:     func(a identity.AccountID) { n.delivery.Hope(a) },
		Logger:    n.log,
		Mailboxes: n.engine.BeaconRelays,
		FoundRelays: func(ctx context.Context, a identity.AccountID, relays []beacon.Relay, made time.Time) {
			if err := n.engine.FoundRelays(ctx, a, relays, made); err != nil {
				n.log.Debug("taking relays from a beacon", "err", err)
			}
		},
	})
	if err == nil {
		n.engine.SetHooks(engine.Hooks{Beacon: n.finder.Reads, Relays: n.finder.Changed, Heard: n.finder.HeardRelay})
		err = n.engine.HeardRelays(n.finder.HeardRelay)
	}
	return err
}

// openInvites lists the secrets of the invites that can still be used.
func (n *Node) openInvites() [][32]byte {
	out, err := n.engine.OpenInvites(time.Now())
	if err != nil {
		n.log.Error("listing invites", "err", err)
	}
	return out
}

// memory lets the finder keep records with the engine.
type memory struct{ e *engine.Engine }

func (m memory) Remember(ctx context.Context, write func(k discovery.Keeper) error) error {
	return m.e.Remember(ctx, func(k engine.Keeper) error { return write(k) })
}

func (m memory) Remembered(prefix storage.Key, each func(value []byte) error) error {
	return m.e.Remembered(prefix, each)
}

// known lists where a contact may be reached as far as the engine knows.
func (n *Node) known(a identity.AccountID) []identity.Hint {
	return stillCalled(n.engine.Hints(a), n.finder.Hints(a), n.host.Proven)
}

// stillCalled leaves out of the addresses that are known where a device has
// never been reached, if it has said since where it is: a call there may cost all
// that the contact has left for calls (spec §14.5).
func stillCalled(known, said []identity.Hint, proven func(ma.Multiaddr) bool) []identity.Hint {
	return slices.DeleteFunc(slices.Clone(known), func(h identity.Hint) bool {
		addr, err := ma.NewMultiaddrBytes(h.Addr)
		return err == nil && manet.IsPublicAddr(addr) && !proven(addr) &&
			slices.ContainsFunc(said, func(o identity.Hint) bool { return slices.Equal(o.Peer, h.Peer) && len(o.Addr) > 0 })
	})
}

// located is the engine, knowing also where the finder says contacts are.
type located struct {
	*engine.Engine
	known  func(identity.AccountID) []identity.Hint
	finder *discovery.Finder
	files  *files.Manager
}

// Waits reports whether there is something to say to, or to get from, a contact.
func (l located) Waits(a identity.AccountID) bool { return l.files.Waits(a) || l.Engine.Waits(a) }

// watchers tells the finder and the files how contacts come and go.
type watchers struct {
	*discovery.Finder
	files *files.Manager
}

// There implements delivery.Watcher.
func (w watchers) There(a identity.AccountID, p peer.ID, called bool) {
	w.Finder.There(a, p, called)
	w.files.Changed()
}

// Hints lists where a contact may be reached: what it, or its beacon, said
// last, then what the engine knows.
func (l located) Hints(a identity.AccountID) []identity.Hint {
	out := slices.Clone(l.finder.Hints(a))
	for _, h := range l.known(a) {
		if !slices.ContainsFunc(out, func(o identity.Hint) bool {
			return slices.Equal(o.Peer, h.Peer) && slices.Equal(o.Addr, h.Addr)
		}) {
			out = append(out, h)
		}
	}
	return out
}
