package discovery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"

	"rushlight/node/host"
	"rushlight/protocol/beacon"
	"rushlight/protocol/identity"
	"rushlight/storage/record"
)

// A new contact may be approved here a moment later than there.
const (
	tellAgain = time.Second // doubled each time
	tellTries = 6
)

// Pauses of the loop.
const (
	settle    = time.Second      // after a start, before the first beacon
	rejoin    = 10 * time.Second // for a server that knows few, in the first minutes
	newServer = 5 * time.Minute  // the first minutes
	lookAfter = 15 * time.Minute // later
)

// Run finds and is found until ctx ends. Every goroutine of the finder has
// ended when it returns.
func (f *Finder) Run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := f.begin(ctx); err != nil {
		return err
	}
	h := f.cfg.Host.Libp2p()
	sub, err := h.EventBus().Subscribe(new(event.EvtLocalAddressesUpdated), eventbus.Name("discovery"))
	if err != nil {
		return host.Opaque("discovery: listening to events", err)
	}
	h.SetStreamHandler(ProtocolHints, func(s network.Stream) { f.handle(ctx, s) })
	next := time.NewTimer(settle)
	defer next.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			continue
		case <-sub.Out():
			f.Changed()
		case <-f.bell:
		case <-next.C:
		}
		next.Reset(f.act(ctx, time.Now()))
	}
	err = sub.Close()
	h.RemoveStreamHandler(ProtocolHints)
	f.mu.Lock()
	f.open = false
	f.mu.Unlock()
	f.wg.Wait()
	err = errors.Join(err, f.shut())
	if f.table != nil {
		f.note(f.table)
		err = errors.Join(err, f.table.Close())
	}
	for a := range maps.Clone(f.friends) { // nobody else is left
		f.purse(a, time.Now())
	}
	// The engine is still there for what was learnt last.
	return errors.Join(err, f.save(context.WithoutCancel(ctx)))
}

// begin makes the keys on the first run, and joins the hash table as a server.
func (f *Finder) begin(ctx context.Context) (err error) {
	if f.owner == nil {
		owner := beacon.NewOwner()
		if err := f.cfg.Store.Remember(ctx, func(k Keeper) error {
			return k.Put(record.OwnerKey(), ownerRecord(owner))
		}); err != nil {
			return fmt.Errorf("saving the keys of the beacon: %w", err)
		}
		f.mu.Lock()
		f.owner = owner
		f.mu.Unlock()
	}
	if f.cfg.Serve {
		if f.table, err = NewTable(f.cfg.Host, TableConfig{Server: true, Relays: f.cfg.Relays, Payer: f.servers.payer}); err != nil {
			return err
		}
	}
	now, hints, relays, vouched := time.Now(), f.cfg.Hints(), f.cfg.Mailboxes(), f.vouches()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open, f.born = true, now
	f.hints, f.relays, f.vouched, f.made = hints, relays, vouched, now
	f.pub.next = now.Add(settle + rand.N(settle))
	return nil
}

// act begins whatever is due and returns how long nothing else is.
func (f *Finder) act(ctx context.Context, now time.Time) time.Duration {
	f.mu.Lock()
	changed := f.changed
	f.changed = false
	f.mu.Unlock()
	if changed {
		f.look(now, f.cfg.Hints(), f.cfg.Mailboxes(), f.vouches())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	wait := time.Hour
	due := func(at time.Time) bool {
		if d := at.Sub(now); d > 0 {
			wait = min(wait, d)
			return false
		}
		return true
	}
	news := f.news
	f.news = nil
	for _, n := range news {
		if due(n.at) {
			f.work(func() { f.greet(ctx, n) })
		} else {
			f.news = append(f.news, n)
		}
	}
	if !f.pub.busy && due(f.pub.next) {
		f.pub.busy = true
		f.work(func() { f.publish(ctx) })
	}
	for a, q := range f.quests {
		if !q.busy && due(q.next) {
			q.busy = true
			f.work(func() { f.pursue(ctx, a, q) })
		}
	}
	if !f.spreadAt.IsZero() && due(f.spreadAt) {
		f.spread(now)
	}
	if f.table != nil && due(f.joinAt) {
		f.joinAt = now.Add(time.Hour) // until it is done
		f.work(func() { f.rejoin(ctx) })
	}
	f.rest(due)
	if len(f.dirty) > 0 {
		f.work(func() {
			if err := f.save(ctx); err != nil && ctx.Err() == nil {
				f.log.Warn("remembering where contacts are", "err", err)
			}
		})
	}
	return wait
}

// greet tells a contact where this device is, and tries again later if that
// fails while the contact is there.
func (f *Finder) greet(ctx context.Context, n arrival) {
	_, err := f.tell(ctx, n.account, n.peer, nil)
	if err == nil || ctx.Err() != nil {
		return
	}
	f.log.Debug("telling a contact where this device is", "error", err)
	n.at = time.Now().Add(tellAgain << n.tries)
	n.tries++
	f.mu.Lock()
	if f.there[n.peer] == n.account && n.tries < tellTries {
		f.news = append(f.news, n)
	}
	f.mu.Unlock()
	f.ring()
}

// look takes note of what has changed with this device, tells contacts that
// are there, and puts the beacon again.
func (f *Finder) look(now time.Time, hints []identity.Hint, relays []beacon.Relay, vouched [][32]byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	moved := !sameHints(hints, f.hints)
	if !sameRelays(relays, f.relays) {
		f.relays = relays
		f.rev++
	}
	if moved || !slices.Equal(vouched, f.vouched) {
		f.rev++
	}
	if f.looked == f.rev {
		return
	}
	f.looked = f.rev
	if moved {
		f.made = now
		for _, q := range f.quests {
			q.began, q.next, q.pause = now, now.Add(settle), 0
		}
	}
	f.hints, f.vouched = hints, vouched
	for p, a := range f.there {
		f.news = append(f.news, arrival{account: a, peer: p})
	}
	f.pub.next = now.Add(settle)
}

// vouches are the secrets by which holders of open invites are known.
func (f *Finder) vouches() (out [][32]byte) {
	for _, secret := range f.cfg.Invites() {
		if len(out) < record.MaxVouched {
			out = append(out, vouchSecret(secret))
		}
	}
	return out
}

// work runs f in a goroutine of the finder's, a few at a time. The caller
// holds the lock.
func (f *Finder) work(do func()) {
	if !f.open {
		return
	}
	f.wg.Go(func() {
		f.lines <- struct{}{}
		defer func() { <-f.lines }()
		do()
	})
}

// rejoin makes a server known, and keeps it so.
func (f *Finder) rejoin(ctx context.Context) {
	if f.table.Known() < enoughServers {
		if err := f.join(ctx, f.table); err != nil && ctx.Err() == nil {
			f.log.Debug("joining the hash table", "error", err)
		}
	}
	f.meetNew(ctx, f.table, &f.fresh.table)
	f.note(f.table)
	pause := lookAfter
	f.mu.Lock()
	// A network that begins, or begins again, comes together in pieces.
	if f.table.Known() < enoughServers && time.Since(f.born) < newServer {
		pause = rejoin
	}
	f.joinAt = time.Now().Add(pause)
	f.mu.Unlock()
	f.ring()
}

// join lets a table begin with what is remembered.
func (f *Finder) join(ctx context.Context, t *Table) error {
	return t.Join(ctx, f.servers.candidates(), func(p peer.AddrInfo, ok bool) {
		if ok {
			f.answered(p)
		} else {
			f.servers.tried(p, false, time.Now())
		}
	})
}

// note remembers the nodes that a table knows, and its size.
func (f *Finder) note(t *Table) {
	now := time.Now()
	for _, p := range t.Servers() {
		f.servers.tried(p, true, now)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.size = max(t.Size(), 1)
}
