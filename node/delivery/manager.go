// Package delivery brings parcels to the devices of contacts, and takes theirs,
// over one direct stream per pair of devices (spec §8).
//
// It does not encrypt, decide who is a contact or remember what was delivered:
// its [Engine] does. It promises that a parcel is sent until the engine has
// committed its acknowledgement, that nothing is acknowledged before it is
// committed, that a stranger who connects learns nothing about whose device
// this is, and that no peer can make it hold more than a few MiB.
package delivery

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/time/rate"

	"rushlight/node/discovery"
	"rushlight/node/host"
	"rushlight/protocol/identity"
)

var (
	errStopping = errors.New("delivery: stopping")
	errIdle     = errors.New("delivery: stream is idle")
	errReplaced = errors.New("delivery: too many streams of one device")
	errHangup   = errors.New("delivery: no longer a contact")
	errCrowded  = errors.New("delivery: too many strangers")
)

// Config configures a [Manager]. The zero value works.
type Config struct {
	// Logger receives what the person running the node should know; nil
	// discards it.
	Logger *slog.Logger
	// NetworkChanged, when set, is called after the addresses of this machine
	// have changed, or it has slept. It must not block.
	NetworkChanged func()
	// Watcher, when set, is told how contacts come and go.
	Watcher Watcher
}

// Watcher is told of contacts. Its methods must not block.
type Watcher interface {
	// There: a device of the contact has proved itself on a stream, which this
	// side called or was called on.
	There(account identity.AccountID, p peer.ID, called bool)
	// Gone: the last stream with the contact has ended.
	Gone(account identity.AccountID)
	// Missed: there is something to say to the contact, and none of its
	// devices could be reached.
	Missed(account identity.AccountID)
}

type nobody struct{}

func (nobody) There(identity.AccountID, peer.ID, bool) {}
func (nobody) Gone(identity.AccountID)                 {}
func (nobody) Missed(identity.AccountID)               {}

// Stats counts since the start.
type Stats struct {
	Streams  int    // open now, with contacts or not
	Contacts int    // accounts with a proved stream now
	Sent     uint64 // messages written, repetitions included
	Acked    uint64 // acknowledgements committed
	Refused  uint64 // parcels the other side won't take
	Received uint64 // messages given to the engine
	Declined uint64 // of these, not committed
	Calls    uint64 // attempts to reach a contact
	Failures uint64 // of these, without success
}

type counters struct {
	sent, acked, refused, received, declined, calls, failures atomic.Uint64
}

// Manager owns all direct streams of one device.
type Manager struct {
	host      *host.Host
	engine    Engine
	log       *slog.Logger
	changed   func()
	watcher   Watcher
	check     checker
	strangers *rate.Limiter
	openTime  time.Duration
	callTime  time.Duration
	stats     counters
	notify    chan struct{} // has a token when news waits
	stirred   chan struct{} // has a token when streams are to be watched closely
	calm      atomic.Bool   // no stream is

	mu        sync.Mutex
	open      bool // Run has begun and not ended
	live      map[*session]bool
	byAccount map[identity.AccountID][]*session // dialled or proved
	byDevice  map[identity.DeviceID][]*session  // proved, newest last
	news      map[identity.AccountID]news
	found     map[identity.AccountID]foundAddrs
	told      map[identity.DeviceID]string // the address told to the engine
	wg        sync.WaitGroup               // streams that others opened
}

// news is what the loop hears about an account.
type news uint8

const (
	newsQueued  news = 1 << iota // something may be pending
	newsHope                     // the contact may be reachable now
	newsThere                    // a proved stream stands
	newsStopped                  // the last stream ended
)

type foundAddrs struct {
	addrs []ma.Multiaddr
	at    time.Time
}

// foundLife is how long an address seen on the local network is tried.
const foundLife = 30 * time.Minute

// Strangers' messages a second, and at once, over all streams: each may cost
// the engine a public-key operation.
const strangerRate, strangerBurst = 50, 500

// New returns a manager that does nothing until [Manager.Run].
func New(h *host.Host, e Engine, cfg Config) *Manager {
	m := &Manager{
		host: h, engine: e, log: cfg.Logger, changed: cfg.NetworkChanged, watcher: cfg.Watcher, check: checkProof,
		strangers: rate.NewLimiter(strangerRate, strangerBurst),
		openTime:  openTime,
		callTime:  callTime,
		notify:    make(chan struct{}, 1),
		stirred:   make(chan struct{}, 1),
		live:      map[*session]bool{},
		byAccount: map[identity.AccountID][]*session{},
		byDevice:  map[identity.DeviceID][]*session{},
		news:      map[identity.AccountID]news{},
		found:     map[identity.AccountID]foundAddrs{},
		told:      map[identity.DeviceID]string{},
	}
	if h.Profile() == host.Hidden {
		m.callTime = hiddenTime
	}
	m.calm.Store(true)
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	if m.watcher == nil {
		m.watcher = nobody{}
	}
	if m.changed == nil {
		m.changed = func() {}
	}
	return m
}

// Run accepts streams, calls contacts and delivers until ctx ends. It must be
// called once; every goroutine of the manager has ended when it returns.
func (m *Manager) Run(ctx context.Context) error {
	m.mu.Lock()
	m.open = true
	m.mu.Unlock()
	h := m.host.Libp2p()
	h.SetStreamHandler(ProtocolMessages, func(s network.Stream) { m.handle(ctx, s, m.serve) })
	h.SetStreamHandler(ProtocolInvite, func(s network.Stream) { m.handle(ctx, s, m.serveInvite) })
	err := m.loop(ctx)
	h.RemoveStreamHandler(ProtocolMessages)
	h.RemoveStreamHandler(ProtocolInvite)
	m.mu.Lock()
	m.open = false
	all := slices.Collect(keys(m.live))
	m.mu.Unlock()
	for _, x := range all {
		x.fail(errStopping)
	}
	m.wg.Wait()
	return err
}

func keys(live map[*session]bool) func(func(*session) bool) {
	return func(yield func(*session) bool) {
		for x := range live {
			if !yield(x) {
				return
			}
		}
	}
}

// handle gives a stream that somebody opened to its handler.
func (m *Manager) handle(ctx context.Context, s network.Stream, serve func(context.Context, network.Stream) error) {
	m.mu.Lock()
	ok := m.open
	if ok {
		m.wg.Add(1)
	}
	m.mu.Unlock()
	if !ok {
		_ = s.Reset()
		return
	}
	defer m.wg.Done()
	// An opening that hangs must not outlive the manager.
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	if err := serve(ctx, s); err != nil {
		_ = s.Reset()
		if !ended(err) {
			m.log.Debug("stream ended", "protocol", string(s.Protocol()), "error", err)
		}
	}
}

// openTime bounds the opening of a stream, and every stream of the invite
// protocol.
const openTime = 15 * time.Second

// prepare claims the resources of a stream.
func prepare(s network.Stream, service string, memory int, within time.Duration) error {
	if err := s.Scope().SetService(service); err != nil {
		return host.Opaque("delivery: claiming a stream", err)
	}
	if err := s.Scope().ReserveMemory(memory, network.ReservationPriorityMedium); err != nil {
		return host.Opaque("delivery: claiming memory", err)
	}
	if err := s.SetDeadline(time.Now().Add(within)); err != nil {
		return host.Opaque("delivery: setting a deadline", err)
	}
	return nil
}

const serviceMessages, serviceInvite = "rushlight.msg", "rushlight.invite"

// serve runs a stream that somebody else opened.
func (m *Manager) serve(ctx context.Context, s network.Stream) error {
	if err := prepare(s, serviceMessages, readBuffer, m.openTime); err != nil {
		return err
	}
	x := m.newSession(s)
	var err error
	if x.open, x.proof, x.named, err = acceptHello(s, x.in, m.check); err != nil {
		return err
	}
	if x.named {
		x.proven = &x.proof.key
	}
	if err := s.SetDeadline(time.Time{}); err != nil {
		return host.Opaque("delivery: clearing a deadline", err)
	}
	err = x.run(ctx)
	m.tidy(s, err)
	return err
}

// tidy closes, after a stream ended for want of use, the connections to its
// peer that nobody else uses. Two that call each other at once have two.
func (m *Manager) tidy(s network.Stream, err error) {
	if !errors.Is(err, errIdle) {
		return
	}
	// A stream that the other side opened counts until its handler returns.
	other := func(o network.Stream) bool { return o.ID() != s.ID() }
	for _, c := range m.host.Libp2p().Network().ConnsToPeer(s.Conn().RemotePeer()) {
		if !slices.ContainsFunc(c.GetStreams(), other) {
			_ = c.Close() // nothing is lost if it stays
		}
	}
}

// Wake says that something was queued for the account. It does not block.
func (m *Manager) Wake(account identity.AccountID) {
	m.mu.Lock()
	on := slices.Clone(m.byAccount[account])
	if len(on) == 0 {
		m.news[account] |= newsQueued
	}
	m.mu.Unlock()
	if len(on) == 0 {
		signal(m.notify)
	}
	for _, x := range on {
		x.out.look()
	}
}

// Found says that the account's device was noticed at the addresses, which
// carry no peer id: the account's hints know it. It does not block.
func (m *Manager) Found(account identity.AccountID, addrs []ma.Multiaddr) {
	m.mu.Lock()
	m.found[account] = foundAddrs{addrs: slices.Clone(addrs[:min(len(addrs), 8)]), at: time.Now()}
	m.news[account] |= newsHope
	m.mu.Unlock()
	signal(m.notify)
}

// Hope says that the account's hints have become better: call it soon. It does
// not block.
func (m *Manager) Hope(account identity.AccountID) {
	m.mu.Lock()
	m.news[account] |= newsHope
	m.mu.Unlock()
	signal(m.notify)
}

// Hangup ends every stream with the account. Call it after the account has
// stopped being a contact, so that none is opened in its place.
func (m *Manager) Hangup(account identity.AccountID) {
	m.mu.Lock()
	on := slices.Clone(m.byAccount[account])
	delete(m.found, account)
	m.mu.Unlock()
	for _, x := range on {
		x.fail(errHangup)
	}
}

// Connected reports whether a device of the account is on a stream and has
// proved which it is.
func (m *Manager) Connected(account identity.AccountID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.byAccount[account], func(x *session) bool { return x.who.Load() != nil })
}

// Stats returns the counts so far.
func (m *Manager) Stats() Stats {
	c := &m.stats
	out := Stats{
		Sent: c.sent.Load(), Acked: c.acked.Load(), Refused: c.refused.Load(),
		Received: c.received.Load(), Declined: c.declined.Load(),
		Calls: c.calls.Load(), Failures: c.failures.Load(),
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	out.Streams = len(m.live)
	for _, on := range m.byAccount {
		if slices.ContainsFunc(on, func(x *session) bool { return x.who.Load() != nil }) {
			out.Contacts++
		}
	}
	return out
}

// peers groups addresses by peer id, in order of their first mention, adds
// those found on the local network to each, and leaves out what can't be read
// and this device itself.
func (m *Manager) peers(hints []Hint, found []ma.Multiaddr) []peer.AddrInfo {
	var out []peer.AddrInfo
	for _, h := range hints {
		id, err := peer.IDFromBytes(h.Peer)
		if err != nil || id == m.host.ID() {
			continue
		}
		i := slices.IndexFunc(out, func(p peer.AddrInfo) bool { return p.ID == id })
		if i < 0 {
			if len(out) == maxPeers {
				continue
			}
			i = len(out)
			out = append(out, peer.AddrInfo{ID: id})
		}
		if a, err := ma.NewMultiaddrBytes(h.Addr); err == nil && len(h.Addr) > 0 {
			out[i].Addrs = append(out[i].Addrs, a)
		}
	}
	for i := range out {
		out[i].Addrs = discovery.Order(found, out[i].Addrs)
	}
	return out
}

// maxPeers bounds how many devices of one account are called at once.
const maxPeers = 8
