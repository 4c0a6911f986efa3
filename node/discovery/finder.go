package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"golang.org/x/time/rate"

	"rushlight/node/host"
	"rushlight/protocol/beacon"
	"rushlight/protocol/identity"
	"rushlight/storage"
	"rushlight/storage/record"
)

// ProtocolHints is what contacts tell each other where they are with (spec
// §14.2).
const ProtocolHints protocol.ID = "/rushlight/hints/1"

// Store keeps what a [Finder] remembers from one run to the next.
type Store interface {
	// Remember commits at most 12 records.
	Remember(ctx context.Context, write func(k Keeper) error) error
	// Remembered reads the records under a prefix.
	Remembered(prefix storage.Key, each func(value []byte) error) error
}

// Keeper writes records.
type Keeper interface {
	record.Namer
	Put(k storage.Key, value []byte) error
	Delete(k storage.Key) error
}

// FinderConfig configures a [Finder]. Every field but Bootstrap, Serve, Relays
// and Logger is needed.
type FinderConfig struct {
	// Host is the device's own, which contacts know.
	Host *host.Host
	// Fresh makes a host with a key that nobody has seen, which listens
	// nowhere: questions to strangers go out from it.
	Fresh func() (*host.Host, error)
	// Serve makes Host a node of the hash table.
	Serve bool
	// Relays decides about relay descriptors in the table; nil refuses all.
	Relays Validator
	// Bootstrap are nodes of the hash table that the person named.
	Bootstrap []peer.AddrInfo
	Store     Store
	// Hints are the addresses of this device.
	Hints func() []identity.Hint
	// Contacts are the approved contacts and what this account shares with
	// each.
	Contacts func() []PairSecret
	// Known are the addresses that are known of a contact; their peer ids are
	// what matters.
	Known func(identity.AccountID) []identity.Hint
	// Waits says whether there is anything to say to a contact.
	Waits func(identity.AccountID) bool
	// Invites are the secrets of the invites that can still be used.
	Invites func() [][32]byte
	// Found is told that a contact has other addresses than before, which
	// [Finder.Hints] has. It must not block.
	Found func(identity.AccountID)
	// Mailboxes are the relays at which mail for this device waits; nil is none.
	Mailboxes func() []beacon.Relay
	// FoundRelays is told which relays a contact's beacon names, and when it was
	// made. Nil is nobody.
	FoundRelays func(ctx context.Context, a identity.AccountID, relays []beacon.Relay, made time.Time)
	// Logger receives what the person running the node should know; nil
	// discards it.
	Logger *slog.Logger
}

// Finder knows where contacts say they are, tells them where this device is,
// and looks for those whose addresses no longer work: in the hash table, and
// with other contacts. It has a routing table only while it asks something.
type Finder struct {
	cfg       FinderConfig
	log       *slog.Logger
	servers   *servers
	bell      chan struct{} // has a token when there is news
	strangers *rate.Limiter
	lines     chan struct{} // places for work that is under way at once
	wg        sync.WaitGroup
	client    client

	mu       sync.Mutex
	open     bool
	owner    *beacon.Owner
	made     time.Time // when this device's addresses last changed
	hints    []identity.Hint
	relays   []beacon.Relay
	friends  map[identity.AccountID]*record.Friend
	dirty    map[identity.AccountID]bool
	told     map[peer.ID]telling
	rev      int // of what this device says of itself
	looked   int // the rev that was acted upon
	vouched  [][32]byte
	there    map[peer.ID]identity.AccountID // on a stream now, as far as known
	news     []arrival
	changed  bool
	quests   map[identity.AccountID]*quest
	invited  map[[16]byte]*quest
	pub      publication
	table    *Table // of a server
	joinAt   time.Time
	fresh    struct{ client, table []peer.AddrInfo } // nodes just found, which each is to meet
	spreadAt time.Time                               // when to act on nodes just found; zero is never
	born     time.Time
	size     int // of the hash table, when last asked
}

// telling is what a peer was last told, and when.
type telling struct {
	rev int
	at  time.Time
}

// arrival is a contact's device that has come to a stream, and is to be told
// where this device is.
type arrival struct {
	account identity.AccountID
	peer    peer.ID
	at      time.Time // not before
	tries   int
}

// A new contact may be approved here a moment later than there.
const (
	tellAgain = time.Second // doubled each time
	tellTries = 6
)

// NewFinder reads what was remembered. Nothing goes out before [Finder.Run].
func NewFinder(cfg FinderConfig) (*Finder, error) {
	f := &Finder{
		cfg: cfg, log: cfg.Logger, servers: newServers(),
		bell:      make(chan struct{}, 1),
		strangers: rate.NewLimiter(50, 200),
		lines:     make(chan struct{}, 8),
		client:    client{turn: make(chan struct{}, 1)},
		friends:   map[identity.AccountID]*record.Friend{},
		dirty:     map[identity.AccountID]bool{},
		told:      map[peer.ID]telling{},
		there:     map[peer.ID]identity.AccountID{},
		quests:    map[identity.AccountID]*quest{},
		invited:   map[[16]byte]*quest{},
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	if f.cfg.Mailboxes == nil {
		f.cfg.Mailboxes = func() []beacon.Relay { return nil }
	}
	if f.cfg.FoundRelays == nil {
		f.cfg.FoundRelays = func(context.Context, identity.AccountID, []beacon.Relay, time.Time) {}
	}
	if err := f.load(); err != nil {
		return nil, fmt.Errorf("reading what is known of others: %w", err)
	}
	for _, p := range cfg.Bootstrap {
		f.servers.heard(p)
	}
	return f, nil
}

func (f *Finder) load() error {
	if err := f.cfg.Store.Remembered(record.ServerPrefix(), func(v []byte) error {
		s, err := record.ParseServer(v)
		if err == nil {
			f.servers.load(s)
		}
		return err
	}); err != nil {
		return err
	}
	if err := f.cfg.Store.Remembered(record.FriendPrefix(), func(v []byte) error {
		r, err := record.ParseFriend(v)
		if err == nil {
			f.friends[r.Account] = r
		}
		return err
	}); err != nil {
		return err
	}
	return f.cfg.Store.Remembered(record.OwnerKey(), func(v []byte) error {
		o, err := record.ParseOwner(v)
		if err == nil {
			f.owner, err = beacon.ParseOwner(o.Keys[:])
		}
		return err
	})
}

// Hints are the addresses that a contact said it has, or that were found for
// it.
func (f *Finder) Hints(a identity.AccountID) []identity.Hint {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.friends[a]; r != nil {
		return r.Hints
	}
	return nil
}

// There says that a stream with a device of the contact has begun, and whether
// this side called. It does not block.
func (f *Finder) There(a identity.AccountID, p peer.ID, called bool) {
	f.mu.Lock()
	f.there[p] = a
	delete(f.quests, a)
	// Whoever called tells, and is told in the answer. The other side does so
	// only if it has something new.
	if t, told := f.told[p]; called || told && t.rev != f.rev {
		f.news = append(f.news, arrival{account: a, peer: p})
	}
	f.mu.Unlock()
	f.ring()
}

// Gone says that no stream with the contact is left. It does not block.
func (f *Finder) Gone(a identity.AccountID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p, b := range f.there {
		if a == b {
			delete(f.there, p)
		}
	}
}

// Missed says that a contact could not be reached although there is something
// to say. It does not block.
func (f *Finder) Missed(a identity.AccountID) {
	f.mu.Lock()
	if f.quests[a] == nil {
		now := time.Now()
		f.quests[a] = &quest{began: now, next: now}
	}
	f.mu.Unlock()
	f.ring()
}

// Changed says that the addresses of this machine, or the invites, may have
// changed. It does not block.
func (f *Finder) Changed() {
	f.mu.Lock()
	f.changed = true
	f.mu.Unlock()
	f.ring()
}

// HeardRelay is told of a relay, which is a node of the hash table, too, by its
// Ed25519 key and one of its addresses.
func (f *Finder) HeardRelay(key [32]byte, addr []byte) {
	pub, err := crypto.UnmarshalEd25519PublicKey(key[:])
	if err != nil {
		return
	}
	if id, err := peer.IDFromPublicKey(pub); err == nil {
		f.heard(serverInfo(&record.Server{Peer: []byte(id), Addrs: [][]byte{addr}}))
	}
}

// Reads says by what a contact's beacon is read, which it has told through a
// relay. It does not block.
func (f *Finder) Reads(a identity.AccountID, reader [64]byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.friends[a]
	if r == nil {
		r = &record.Friend{Account: a}
		f.friends[a] = r
	}
	if r.Reader != reader {
		r.Reader = reader
		f.dirty[a] = true
		f.ring()
	}
}

// Forget drops what is known of somebody who is no contact any more, and
// changes the keys of this device's beacon: others are told when next they are
// there.
func (f *Finder) Forget(ctx context.Context, a identity.AccountID) error {
	owner := beacon.NewOwner()
	err := f.cfg.Store.Remember(ctx, func(k Keeper) error {
		if err := k.Put(record.OwnerKey(), ownerRecord(owner)); err != nil {
			return err
		}
		return k.Delete(record.FriendKey(k, a))
	})
	if err != nil {
		return fmt.Errorf("forgetting a contact: %w", err)
	}
	f.mu.Lock()
	f.owner = owner
	f.rev++
	delete(f.friends, a)
	delete(f.dirty, a)
	delete(f.quests, a)
	f.changed = true
	f.mu.Unlock()
	f.ring()
	return nil
}

func ownerRecord(o *beacon.Owner) []byte {
	return (&record.Owner{Keys: [64]byte(o.Marshal())}).Marshal()
}

func (f *Finder) ring() {
	select {
	case f.bell <- struct{}{}:
	default:
	}
}

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
		if f.table, err = NewTable(f.cfg.Host, TableConfig{Server: true, Relays: f.cfg.Relays}); err != nil {
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

// save commits what has changed, in pieces.
func (f *Finder) save(ctx context.Context) error {
	for {
		put, gone := f.servers.changes(4)
		var friends []record.Friend
		f.mu.Lock()
		for a := range f.dirty {
			if len(friends) < 4 {
				friends = append(friends, *f.friends[a])
				delete(f.dirty, a)
			}
		}
		f.mu.Unlock()
		if len(put)+len(gone)+len(friends) == 0 {
			return nil
		}
		if err := f.cfg.Store.Remember(ctx, func(k Keeper) error {
			for i := range put {
				if err := k.Put(record.ServerKey(k, put[i].Peer), put[i].Marshal()); err != nil {
					return err
				}
			}
			for _, p := range gone {
				if err := k.Delete(record.ServerKey(k, p)); err != nil {
					return err
				}
			}
			for i := range friends {
				if err := k.Put(record.FriendKey(k, friends[i].Account), friends[i].Marshal()); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return fmt.Errorf("remembering: %w", err)
		}
	}
}

// FinderStatus is what a person may want to know.
type FinderStatus struct {
	Size       int       // nodes of the hash table, estimated; 0 before it was asked
	Serving    bool      // this node is one
	Held       int       // records kept for others
	Remembered int       // nodes remembered
	Well       int       // of these, those that answered when last called
	Published  time.Time // when the beacon was last put and read back; zero if never
	Copies     int       // of it, at least: at most 3
	Seeking    int       // contacts that are looked for
}

// Status says how things stand.
func (f *Finder) Status() (s FinderStatus) {
	s.Remembered, s.Well = f.servers.health()
	f.mu.Lock()
	defer f.mu.Unlock()
	s.Size, s.Published, s.Copies = f.size, f.pub.done, f.pub.copies
	s.Seeking = len(f.quests)
	if f.table != nil && f.open {
		s.Serving = true
		s.Held, _ = f.table.Held()
		s.Size = max(s.Size, f.table.Size())
	}
	return s
}
