// Package post leaves mail at the relays of contacts, and fetches what was left
// for this device at its own (spec §12).
//
// It does not seal, open or remember anything: the engine does. It promises
// that deposits come from hosts with keys that were never used for anything
// else, that nothing is trimmed at a relay before the engine has committed it,
// and that what isn't recognised stays there.
package post

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"rushlight/node/engine"
	"rushlight/node/host"
	"rushlight/protocol/identity"
)

// Config configures [New]. Engine and Fresh are needed.
type Config struct {
	Engine *engine.Engine
	// Fresh makes a host with a key of its own, that listens nowhere.
	Fresh func() (*host.Host, error)
	// Patience is for how long a message may wait for an acknowledgement on a
	// direct stream before it is deposited, and Gather for how long
	// acknowledgements are gathered; 0 is 3 s each.
	Patience, Gather time.Duration
	// Canaries is how often relays are tested with letters to oneself; 0 is
	// once a day, less than 0 never.
	Canaries time.Duration
	// Leave is for how long a mailbox that is given up is still emptied before
	// it is deleted; 0 is an hour.
	Leave time.Duration
	// Effort is the work of a request to somebody for whom there is no stamp, as
	// long as the relay doesn't ask for more; 0 is 64.
	Effort uint32
	Logger *slog.Logger
}

const (
	patience  = 3 * time.Second
	pollEvery = time.Hour        // the relays at which no fetch is parked
	answer    = 20 * time.Second // for a relay to answer
	maxCalls  = 8                // contacts served at once

	leaveAfter  = time.Hour           // a mailbox that is given up is deleted
	leaveAtLast = 30 * 24 * time.Hour // it is forgotten if its relay can't be reached
)

// Post is the part of a node that speaks to relays.
type Post struct {
	e     *engine.Engine
	fresh func() (*host.Host, error)
	log   *slog.Logger
	wait  time.Duration
	owing time.Duration
	leave time.Duration

	canaries time.Duration
	effort   uint32

	out    outbound
	porter Porter        // or nil
	bell   chan struct{} // has a token when due has changed
	owed   chan struct{} // has a token when acknowledgements are to be gathered

	mu      sync.Mutex
	due     map[identity.AccountID]time.Time
	hurried map[identity.AccountID]time.Time // when they were known not to be reached
	busy    map[identity.AccountID]bool
	status  map[[32]byte]Status
	recheck map[[32]byte]chan struct{}
	idle    map[[32]byte]func() // wakes up a collector that waits
	leaving map[[32]byte]bool   // mailboxes that are known to be given up
}

// Status is how a mailbox was found at the last attempt.
type Status struct {
	Ready  bool
	Failed int    // attempts since it worked
	Why    string // of the last failure, without names
	Live   uint64 // bytes that wait
	Quota  uint64
}

// New returns a Post that does nothing until [Post.Run].
func New(cfg Config) *Post {
	p := &Post{
		e: cfg.Engine, fresh: cfg.Fresh, log: cfg.Logger, wait: cfg.Patience, owing: cfg.Gather,
		bell: make(chan struct{}, 1), owed: make(chan struct{}, 1),
		due: map[identity.AccountID]time.Time{}, hurried: map[identity.AccountID]time.Time{}, busy: map[identity.AccountID]bool{},
		status: map[[32]byte]Status{}, recheck: map[[32]byte]chan struct{}{}, idle: map[[32]byte]func(){}, leaving: map[[32]byte]bool{},
		leave: cmp.Or(cfg.Leave, leaveAfter), canaries: cmp.Or(cfg.Canaries, canaryEvery), effort: cmp.Or(cfg.Effort, firstEffort),
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if p.wait == 0 {
		p.wait = patience
	}
	if p.owing == 0 {
		p.owing = patience
	}
	p.out.init(p)
	return p
}

// Status is how the mailbox at a relay was found last.
func (p *Post) Status(relay [32]byte) Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status[relay]
}

func (p *Post) note(relay [32]byte, change func(s *Status)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.status[relay]
	change(&s)
	p.status[relay] = s
}

// Wake says that something was queued for a contact. It does not block.
func (p *Post) Wake(a identity.AccountID) {
	now := time.Now()
	p.mu.Lock()
	at, ok := p.hurried[a]
	p.mu.Unlock()
	if ok && now.Sub(at) < hurryFor {
		p.at(a, now)
		return
	}
	p.at(a, now.Add(p.wait))
}

// Hurry says that a contact is known not to be reached now: what is queued for it
// goes at once, and what is queued soon after. It does not block.
func (p *Post) Hurry(a identity.AccountID) {
	now := time.Now()
	p.mu.Lock()
	p.hurried[a] = now
	p.mu.Unlock()
	p.at(a, now)
}

// hurryFor is for how long a contact that could not be reached counts as such.
const hurryFor = 10 * time.Second

// at plans to look at a contact's outbox at a time, if not before.
func (p *Post) at(a identity.AccountID, when time.Time) {
	p.mu.Lock()
	old, ok := p.due[a]
	if !ok || when.Before(old) {
		p.due[a] = when
	}
	p.mu.Unlock()
	ring(p.bell)
}

func ring(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run deposits and fetches until ctx ends.
func (p *Post) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { p.deliver(ctx) })
	wg.Go(func() { p.collectAll(ctx) })
	wg.Go(func() { p.withdraw(ctx) })
	wg.Wait()
	p.out.close()
	return nil
}

// deliver looks at the outboxes that are due.
func (p *Post) deliver(ctx context.Context) {
	for _, a := range p.e.Accounts() {
		if p.e.Waits(a) {
			p.Wake(a)
		}
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	tidy := time.NewTicker(time.Minute)
	defer tidy.Stop()
	for {
		timer.Reset(p.start(ctx, &wg, time.Now()))
		select {
		case <-ctx.Done():
			return
		case <-p.bell:
		case <-timer.C:
		case now := <-tidy.C:
			p.out.tidy(now)
		}
	}
}

// start begins what is due and says how long nothing else is.
func (p *Post) start(ctx context.Context, wg *sync.WaitGroup, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := time.Hour
	for a, at := range p.due {
		switch d := at.Sub(now); {
		case d > 0:
			wait = min(wait, d)
		case !p.busy[a] && len(p.busy) < maxCalls:
			delete(p.due, a)
			p.busy[a] = true
			wg.Go(func() {
				again := p.serve(ctx, a)
				p.mu.Lock()
				delete(p.busy, a)
				p.mu.Unlock()
				if again > 0 {
					p.at(a, time.Now().Add(again))
				}
				ring(p.bell)
			})
		}
	}
	return max(wait, time.Millisecond)
}

// peerOf is where a relay is.
func peerOf(key [32]byte, addrs [][]byte) (peer.AddrInfo, error) {
	pub, err := crypto.UnmarshalEd25519PublicKey(key[:])
	if err != nil {
		return peer.AddrInfo{}, host.Opaque("post: reading a relay's key", err)
	}
	id, err := peer.IDFromPublicKey(pub)
	if err != nil {
		return peer.AddrInfo{}, host.Opaque("post: reading a relay's key", err)
	}
	out := peer.AddrInfo{ID: id}
	for _, raw := range addrs {
		if a, err := ma.NewMultiaddrBytes(raw); err == nil {
			out.Addrs = append(out.Addrs, a)
		}
	}
	return out, nil
}

// PeerID is the peer id of a relay.
func PeerID(key [32]byte) string {
	p, err := peerOf(key, nil)
	if err != nil {
		return ""
	}
	return p.ID.String()
}
