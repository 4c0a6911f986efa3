// Package node puts the parts of a running Rushlight together: store, engine,
// network host, delivery and discovery. It starts every long-lived goroutine
// and waits for each.
//
// It decides nothing about messages; that is the engine's. It promises that
// [Open] leaves nothing running when it fails, that nothing is answered before
// it is committed, and that [Node.Run] returns only when everything it started
// has ended and the store is closed.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"rushlight/node/delivery"
	"rushlight/node/discovery"
	"rushlight/node/engine"
	"rushlight/node/files"
	"rushlight/node/host"
	"rushlight/node/post"
	"rushlight/node/preview"
	"rushlight/protocol/identity"
	"rushlight/storage"
)

// ErrNoIdentity is returned by [Open] for a profile in which no identity was
// made, when Config.NewIdentity is nil.
var ErrNoIdentity = engine.ErrNoIdentity

// Config says how a node runs. Dir and Root are needed; the zero value of
// every other field works.
type Config struct {
	Dir    string   // the profile directory
	Root   [32]byte // opens the store; see package keyfile
	Listen []string // multiaddrs; empty is QUIC and TCP on all interfaces
	NoLAN  bool     // neither announce nor notice anything on the local network
	// Profile is what kind of node this is. A hidden one dials everything
	// through the SOCKS5 proxy at SOCKS (host:port), listens nowhere and
	// touches no local network, whatever else is set.
	Profile host.Profile
	SOCKS   string
	// Announce are the addresses told to others in place of those the node
	// sees itself.
	Announce []string
	// NetworkKey closes the network to all who don't have it.
	NetworkKey *[32]byte
	// Relays are full multiaddrs of relays to use, Bootstrap of peers through
	// which to join the network.
	Relays    []string
	Bootstrap []string
	// IdleCap bounds the bytes spent in a day, both ways, on what serves no
	// message. Zero is no bound.
	IdleCap int64
	Name    string // the name this person claims, used when the identity is made
	// NewIdentity, when the store has no identity, is the recovery code to
	// make one under.
	NewIdentity *identity.RecoveryCode
	Logger      *slog.Logger
	Version     string
	// Store is how the store behaves; its Dir, Root and Logger are ignored.
	Store storage.Options
	// Host are more options of the network host; see [host.Config].
	Host []host.Option
}

// Node is an open profile.
type Node struct {
	cfg      Config
	log      *slog.Logger
	store    *storage.Store
	engine   *engine.Engine
	host     *host.Host
	delivery *delivery.Manager
	lan      *discovery.LAN
	finder   *discovery.Finder
	post     *post.Post
	files    *files.Manager
	preparer preparer // of what is sent
	looker   *looker
	started  time.Time
	ready    chan struct{}
	joins    joins
	day      day
	closing  sync.Once
	closeErr error
}

// Open opens the store, makes the identity if asked, and starts listening.
// Nothing is delivered before [Node.Run].
func Open(cfg Config) (*Node, error) {
	n := &Node{cfg: cfg, log: cfg.Logger, ready: make(chan struct{}), started: time.Now()}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	n.joins.init()
	n.looker = newLooker(preview.Options{})
	if err := n.open(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *Node) open() (err error) {
	store := n.cfg.Store
	store.Dir, store.Root, store.Logger = filepath.Join(n.cfg.Dir, "store"), n.cfg.Root, n.log
	n.store, err = storage.Open(store)
	if err != nil {
		return fmt.Errorf("opening the store: %w", err)
	}
	var listening atomic.Pointer[host.Host]
	var finding atomic.Pointer[discovery.Finder]
	o := engine.Options{Logger: n.log, Hints: func() []identity.Hint { return hintsOf(listening.Load()) }}
	n.engine, err = engine.Open(n.store, o)
	if errors.Is(err, engine.ErrNoIdentity) && n.cfg.NewIdentity != nil {
		if err = engine.Create(n.store, *n.cfg.NewIdentity, n.cfg.Name, time.Now()); err != nil {
			return fmt.Errorf("making the identity: %w", err)
		}
		n.engine, err = engine.Open(n.store, o)
	}
	if err != nil {
		return err
	}
	port, err := n.engine.Port()
	if err != nil {
		return fmt.Errorf("reading the profile: %w", err)
	}
	relays, err := host.ParsePeers(n.cfg.Relays)
	if err != nil {
		return fmt.Errorf("reading the relays: %w", err)
	}
	lan := n.cfg.Profile == host.Desktop && !n.cfg.NoLAN
	n.host, err = host.New(host.Config{
		Key: n.engine.HostKey(), Listen: n.cfg.Listen, Port: int(port),
		Profile: n.cfg.Profile, SOCKS: n.cfg.SOCKS, Announce: n.cfg.Announce, NetworkKey: n.cfg.NetworkKey,
		PortMap:  lan && len(n.cfg.Listen) == 0,
		Circuits: relays, IdleCap: n.cfg.IdleCap, Logger: n.log, Libp2p: n.cfg.Host,
		Moved: func() {
			if f := finding.Load(); f != nil {
				f.Changed()
			}
		},
	})
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	listening.Store(n.host)
	if err := n.newFinder(); err != nil {
		return fmt.Errorf("preparing to find contacts: %w", err)
	}
	finding.Store(n.finder)
	n.newPost()
	if err := n.newFiles(); err != nil {
		return fmt.Errorf("opening the files: %w", err)
	}
	cfg := delivery.Config{Logger: n.log, Watcher: watchers{n.finder, n.files}, NetworkChanged: func() { n.host.Changed(); n.finder.Changed() }}
	if lan {
		n.lan = discovery.NewLAN(discovery.Config{
			Secrets: n.presence, Ports: func() (uint16, uint16) { return portsOf(n.host) }, Logger: n.log, Found: n.found,
		})
		cfg.NetworkChanged = func() { n.host.Changed(); n.finder.Changed(); n.lan.Refresh() }
	}
	n.delivery = delivery.New(n.host, located{n.engine, n.known, n.finder, n.files}, cfg)
	n.engine.SetPorter(n.files)
	n.post.SetPorter(n.files)
	n.engine.SetCourier(couriers{n.delivery, n.post})
	return nil
}

// Run delivers and receives until ctx ends, then closes the node. The error
// says what stopped it before that.
func (n *Node) Run(ctx context.Context) error {
	// The engine goes last, so that what the network has begun is committed.
	engineCtx, stopEngine := context.WithCancel(context.WithoutCancel(ctx))
	defer stopEngine()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	var engineDone, others sync.WaitGroup
	engineDone.Go(func() {
		if err := n.engine.Run(engineCtx); err != nil {
			stop(fmt.Errorf("saving: %w", err))
		}
	})
	others.Go(func() {
		if err := n.host.Run(ctx); err != nil && ctx.Err() == nil {
			stop(fmt.Errorf("keeping the host reachable: %w", err))
		}
	})
	others.Go(func() {
		if err := n.delivery.Run(ctx); err != nil && ctx.Err() == nil {
			stop(fmt.Errorf("delivering: %w", err))
		}
	})
	if n.lan != nil {
		others.Go(func() {
			if err := n.lan.Run(ctx); err != nil && ctx.Err() == nil {
				n.log.Warn("the local network can't be used to find contacts", "err", err)
			}
		})
	}
	others.Go(func() {
		if err := n.finder.Run(ctx); err != nil && ctx.Err() == nil {
			stop(fmt.Errorf("finding contacts: %w", err))
		}
	})
	others.Go(func() {
		if err := n.post.Run(ctx); err != nil && ctx.Err() == nil {
			stop(fmt.Errorf("speaking to relays: %w", err))
		}
	})
	others.Go(func() {
		if err := n.files.Run(ctx); err != nil && ctx.Err() == nil {
			stop(fmt.Errorf("bringing files: %w", err))
		}
	})
	others.Go(func() { n.runJoins(ctx) })
	others.Go(func() { n.trim(ctx) })
	others.Go(func() {
		select {
		case <-n.store.Broken():
			stop(fmt.Errorf("reading: %w", n.store.Fault()))
		case <-ctx.Done():
		}
	})

	if err := n.keepPort(ctx); err != nil && ctx.Err() == nil {
		stop(fmt.Errorf("saving: %w", err))
	} else {
		close(n.ready)
	}
	<-ctx.Done()
	others.Wait()
	stopEngine()
	engineDone.Wait()
	err := context.Cause(ctx)
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, n.Close())
}

// keepPort remembers the port that was chosen, so that addresses given out stay
// good. A hidden node has none, and keeps that of the time before.
func (n *Node) keepPort(ctx context.Context) error {
	if n.host.Port() == 0 {
		return nil
	}
	return n.engine.SetPort(ctx, uint16(n.host.Port()))
}

// Memory that a node doesn't need is given back: an idle node's every so often, and
// that of tables more often while files are on their way, which write table after
// table.
const (
	trimEvery       = 30 * time.Second
	trimTablesEvery = 10 * time.Second
)

// What was shown of a message stays in memory until it is collected. That is done
// a moment after keys were destroyed, and no more often than every so often.
const (
	wipeAfter = time.Second
	wipeEvery = 30 * time.Second
)

func (n *Node) trim(ctx context.Context) {
	debug.FreeOSMemory()
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	tables := time.NewTicker(trimTablesEvery)
	defer tables.Stop()
	wipe := time.NewTimer(0)
	defer wipe.Stop()
	wipe.Stop()
	var wiped time.Time
	again := false
	last := uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.engine.Erased():
			// At once, but not again and again.
			wipe.Reset(max(wipeAfter, wipeEvery-time.Since(wiped)))
			again = true
		case <-wipe.C:
			// What a pool holds is let go of by the first collection.
			runtime.GC()
			debug.FreeOSMemory()
			wiped = time.Now()
			if again { // for what was still in use
				wipe.Reset(wipeEvery)
				again = false
			}
		case now := <-tick.C:
			if s, err := n.sample(now); err == nil {
				n.day.note(s)
			}
			if head := n.store.Head(); head == last {
				n.store.Trim()
			} else {
				last = head
			}
		case <-tables.C:
			if n.files.Moving() {
				n.store.TrimTables()
			}
		}
	}
}

// Ready is closed once the node delivers and receives.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Close gives everything up. It is called by Run, and needed only when Run was
// not.
func (n *Node) Close() error {
	n.closing.Do(func() {
		if n.host != nil {
			n.closeErr = n.host.Close()
		}
		if n.store != nil {
			n.closeErr = errors.Join(n.closeErr, n.store.Close())
		}
	})
	return n.closeErr
}

// Addrs lists the full addresses at which this node can be dialled.
func (n *Node) Addrs() []string {
	var out []string
	for _, a := range n.host.Addrs() {
		out = append(out, a.String())
	}
	return out
}

// PeerID is the network name of this device; it says nothing about the
// account.
func (n *Node) PeerID() string { return n.host.ID().String() }
