// Package engine is the one writer of a device's state: every intention of a
// person and every envelope from outside becomes a step of one loop, and what
// the steps of a moment change is committed as one transaction with one sync.
//
// It is not the network: it never dials, listens or waits for a peer, and it
// does not import libp2p. What is to be delivered is announced to a [Courier]
// after the commit, which reads it with [Engine.Pending]. It promises:
//
//   - nothing leaves the device, and nothing is acknowledged, before it is
//     committed;
//   - a step that fails changes nothing;
//   - an envelope received twice is shown once and acknowledged twice.
package engine

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"rushlight/protocol/identity"
	"rushlight/storage"
	"rushlight/storage/record"
)

// Courier is told that something waits for delivery. Wake must not block.
type Courier interface {
	Wake(account identity.AccountID)
}

// Options configure [Open]. The zero value of each field works.
type Options struct {
	Logger *slog.Logger
	// Hints returns the addresses this device can be reached at; they go into
	// invites and cards. Nil means none.
	Hints func() []identity.Hint
}

// Engine owns the state of one device.
type Engine struct {
	store *storage.Store
	log   *slog.Logger
	hints func() []identity.Hint
	self  *self

	inbox   inbox
	turn    sync.Mutex // held by who commits: the loop, or a caller that found it idle
	scratch scratch    // of who has the turn
	broken  chan error // what the commit of a caller failed with
	courier atomic.Pointer[Courier]
	closed  chan struct{}

	// Owned by who has the turn.
	objects   objects
	tags      tagIndex
	life      life
	sweepAt   storage.Key // where the search for what a crash left goes on
	openers   map[[16]byte]opener
	resealed  map[[16]byte]int            // by session: what was sealed in it again since anything in it was acknowledged
	resent    map[[32]byte]time.Time      // when a relay was found to have lost mail, lately
	compared  map[[16]byte]bool           // sessions known in this run to be as new as the other side's
	posted    map[outboxEntry]bool        // entries of which there are records of deposits
	awaiting  map[identity.AccountID]bool // there may be a record.Awaiting of them
	stampless stampless
	orders    orders // others may ask
	gaps      gaps
	unheard   map[identity.AccountID]time.Time // when contacts last sent again what came before
	nextEvent uint64
	stamped   time.Time                       // the latest time of an own message
	aloft     atomic.Int32                    // how many are on their way
	last      *flight                         // the newest transaction
	backlog   map[identity.AccountID]struct{} // outboxes that may need sealing anew
	refused   map[identity.AccountID]uint8    // joins whose undoing is not finished, and why

	// Read by everybody, replaced by the loop after a commit.
	people atomic.Pointer[directory]

	events notifier
	typing typing
	fresh  fresh
	rekey  rekeying
	offers offers
	porter atomic.Pointer[Porter]

	erased   chan struct{} // has a token when keys were destroyed
	refusals refusals
	own      own
	hooks    Hooks
	// withdrawals has a token when something is to be deleted at a relay.
	withdrawals bell
	queued      atomic.Int64 // outbox entries not yet acknowledged
}

// Open reads the device's identity and directory out of the store. It returns
// [ErrNoIdentity] when the store holds none; see [Create].
func Open(store *storage.Store, o Options) (*Engine, error) {
	e := &Engine{
		store: store, log: o.Logger, hints: o.Hints,
		closed:   make(chan struct{}),
		erased:   make(chan struct{}, 1),
		broken:   make(chan error, 1),
		compared: map[[16]byte]bool{}, resealed: map[[16]byte]int{}, resent: map[[32]byte]time.Time{},
		backlog: map[identity.AccountID]struct{}{}, refused: map[identity.AccountID]uint8{},
	}
	e.inbox.init()
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.hints == nil {
		e.hints = func() []identity.Hint { return nil }
	}
	e.events.init()
	e.life.init()
	if !store.Clean() {
		e.sweepAt = storage.Key{record.FamilyOutbox}
	}
	if err := store.View(e.load); err != nil {
		return nil, fmt.Errorf("opening the profile: %w", err)
	}
	return e, nil
}

// SetCourier names who is told of new deliveries. It must be called before
// [Engine.Run].
func (e *Engine) SetCourier(c Courier) { e.courier.Store(&c) }

// Account is the account of this device.
func (e *Engine) Account() identity.AccountID { return e.self.account }

// Device is the id of this device.
func (e *Engine) Device() identity.DeviceID { return e.self.id }

// HostKey is the seed of the network host's key.
func (e *Engine) HostKey() [32]byte { return e.self.record.HostKey }

// AccountKey is the public account key.
func (e *Engine) AccountKey() [32]byte { return e.self.manifest.Account }

// SignHello signs the framed transcript of a direct stream with the device's
// signing key (spec §8.2).
func (e *Engine) SignHello(transcript []byte) (dsk [32]byte, sig []byte) {
	key := e.self.device.Signing
	copy(dsk[:], key.Public().(ed25519.PublicKey))
	return dsk, ed25519.Sign(key, transcript)
}

// Queued is how many envelopes wait for an acknowledgement.
func (e *Engine) Queued() int { return int(e.queued.Load()) }

// Run executes steps until ctx ends or the store fails. It must be called
// once. A store that fails stops the engine: the error says why, and nothing
// that was acknowledged is lost.
func (e *Engine) Run(ctx context.Context) (err error) {
	defer func() {
		e.turn.Lock() // and never unlocked: nobody commits after this
		e.landed()
		e.inbox.stop(err)
		close(e.closed)
	}()
	house, nudge, puncture := time.NewTicker(houseEvery), time.NewTicker(nudgeEvery), time.NewTicker(punctureEvery)
	defer house.Stop()
	defer nudge.Stop()
	defer puncture.Stop()
	due := time.NewTimer(0)
	defer due.Stop()
	e.inbox.start()
	work := e.housekeeping()
	for {
		if len(work) == 0 {
			work = e.chores()
		}
		var idle <-chan struct{}
		if len(work) > 0 {
			idle = ready
		}
		if d, ever := e.life.wait(e.store.Now()); ever {
			due.Reset(d)
		} else {
			due.Stop()
		}
		chosen := 0
		select {
		case <-ctx.Done():
			return nil
		case err := <-e.broken:
			return err
		case <-house.C:
			work = append(work, e.housekeeping()...)
			continue
		case <-nudge.C:
			e.nudge()
			e.askGaps()
			continue
		case <-puncture.C:
			if err := e.puncture(); err != nil {
				return err
			}
			continue
		case <-e.life.changed:
			continue
		case <-due.C:
			e.life.until(time.Time{}) // tend says when again
			work = append(work, e.chore(128<<10, (*txn).tend))
			continue
		case <-e.inbox.bell:
		case <-idle:
			chosen = 1
		}
		e.turn.Lock()
		steps := e.inbox.take()
		steps, work = append(steps, work[:chosen]...), work[chosen:]
		err := e.commit(steps, true)
		e.turn.Unlock()
		if err != nil {
			return err
		}
	}
}

// puncture destroys the keys of the states that were replaced.
func (e *Engine) puncture() error {
	e.turn.Lock()
	defer e.turn.Unlock()
	if err := e.store.Puncture(); err != nil {
		return fmt.Errorf("destroying old states: %w", err)
	}
	return nil
}

// ready is always ready: work of the loop's own is done beside what comes in.
var ready = func() <-chan struct{} { c := make(chan struct{}); close(c); return c }()

// chore makes a step of the loop's own, whose failure nobody waits for.
func (e *Engine) chore(cost int, run func(t *txn) error) *step {
	var nobody sync.WaitGroup
	nobody.Add(1)
	return &step{cost: cost, done: &nobody, run: func(t *txn) error {
		err := run(t)
		if err != nil {
			e.log.Error("work of the engine's own failed", "err", err)
		}
		return err
	}}
}

// chores returns what is left over from earlier transactions.
func (e *Engine) chores() (out []*step) {
	e.turn.Lock()
	defer e.turn.Unlock()
	for a := range e.backlog {
		out = append(out, e.chore(refileChunk*8192, func(t *txn) error { return t.refileSome(a, nil, false) }))
	}
	clear(e.backlog)
	for a, code := range e.refused {
		out = append(out, e.chore(refileChunk*8192, func(t *txn) error { return t.joinRefused(a, code) }))
	}
	clear(e.refused)
	if e.sweepAt != nil {
		at := e.sweepAt
		e.sweepAt = nil
		out = append(out, e.chore(refileChunk*8192, func(t *txn) error { return t.sweep(at) }))
	}
	return out
}

// do runs one step and waits for its commit.
func (e *Engine) do(ctx context.Context, cost int, run func(t *txn) error) error {
	s := &step{cost: cost, run: run}
	if err := e.doAll(ctx, []*step{s}); err != nil {
		return err
	}
	return s.err
}

// doAll runs steps in order and waits until all are committed or refused. Its
// own error says that they were not run.
func (e *Engine) doAll(ctx context.Context, group []*step) error {
	return e.hand(ctx, group, nil)
}

// hand is doAll, and calls entered as soon as the place of the steps among all
// others is fixed.
func (e *Engine) hand(ctx context.Context, group []*step, entered func()) error {
	var done sync.WaitGroup
	done.Add(len(group))
	for _, s := range group {
		s.done = &done
	}
	err := ctx.Err()
	if err == nil {
		err = e.inbox.put(group)
	}
	if entered != nil {
		entered()
	}
	if err != nil {
		return err
	}
	e.commitOwn()
	done.Wait()
	return nil
}

// commitOwn commits what waits, in the goroutine of a caller, if nobody else is
// at it: that saves two changes of goroutine where messages come one by one.
// Otherwise, or while a transaction is on its way, it is left to the loop, which
// takes everything that has come meanwhile into one transaction.
func (e *Engine) commitOwn() {
	if !e.inbox.started() || e.aloft.Load() > 0 || !e.turn.TryLock() {
		e.inbox.ring()
		return
	}
	steps := e.inbox.take()
	err := e.commit(steps, len(steps) >= halfFrom/2)
	left := len(e.backlog) > 0 || len(e.refused) > 0 || e.sweepAt != nil
	e.turn.Unlock()
	if err != nil {
		e.breaks(err)
	}
	if left {
		e.inbox.ring()
	}
}
