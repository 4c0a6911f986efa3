package discovery

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
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
		f.servers.heard(p, "")
	}
	return f, nil
}

func (f *Finder) load() error {
	if err := f.cfg.Store.Remembered(record.ServerPrefix(), func(v []byte) error {
		s, err := record.ParseServer(v)
		if err == nil {
			f.servers.load(s)
			for _, a := range serverInfo(s).Addrs {
				f.cfg.Host.Answered(a, time.Unix(s.Seen, 0))
			}
		}
		return err
	}); err != nil {
		return err
	}
	if err := f.cfg.Store.Remembered(record.PeerPrefix(), func(v []byte) error {
		r, err := record.ParsePeer(v)
		if err == nil {
			for _, h := range r.Addresses {
				if a, err := ma.NewMultiaddrBytes(h.Addr); err == nil {
					f.cfg.Host.Answered(a, time.Unix(r.Seen, 0))
				}
			}
		}
		return err
	}); err != nil {
		return err
	}
	if err := f.cfg.Store.Remembered(record.FriendPrefix(), func(v []byte) error {
		r, err := record.ParseFriend(v)
		if err == nil {
			f.friends[r.Account] = r
			if r.PurseAt > 0 {
				f.cfg.Host.PurseWas(string(r.Account[:]), int64(r.Purse), time.Unix(r.PurseAt, 0))
			}
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
	f.cfg.Host.Met(p, string(a[:]))
	f.purse(a, time.Now())
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
	f.purse(a, time.Now())
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
	now := time.Now()
	f.purse(a, now)
	f.mu.Lock()
	if f.quests[a] == nil {
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
		f.heard(serverInfo(&record.Server{Peer: []byte(id), Addrs: [][]byte{addr}}), hearsay)
	}
}

// Reads says by what a contact's beacon is read, which it has told through a
// relay. It does not block.
func (f *Finder) Reads(a identity.AccountID, reader [64]byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.friend(a)
	if r != nil && r.Reader != reader {
		r.Reader = reader
		f.dirty[a] = true
		f.ring()
	}
}

// friend is what is known of a contact, nil for somebody who is none any more.
// f.mu is held: who was forgotten meanwhile stays so.
func (f *Finder) friend(a identity.AccountID) *record.Friend {
	r := f.friends[a]
	if r == nil && slices.ContainsFunc(f.cfg.Contacts(), func(c PairSecret) bool { return c.Account == a }) {
		r = &record.Friend{Account: a}
		f.friends[a] = r
	}
	return r
}

// Forget drops what is known of somebody who is no contact any more, and
// changes the keys of this device's beacon: others are told when next they are
// there.
func (f *Finder) Forget(ctx context.Context, a identity.AccountID) error {
	owner := beacon.NewOwner()
	f.mu.Lock()
	delete(f.friends, a) // first, so that save writes it no more
	delete(f.dirty, a)
	delete(f.quests, a)
	f.mu.Unlock()
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

// purse remembers what is left for calls to addresses that a contact names, when
// that has changed by half a call.
func (f *Finder) purse(a identity.AccountID, now time.Time) {
	left := f.cfg.Host.Purse(string(a[:]))
	f.mu.Lock()
	defer f.mu.Unlock()
	if left < 0 {
		return
	}
	r := f.friends[a]
	if r == nil {
		r = &record.Friend{Account: a}
		f.friends[a] = r
	}
	if r.PurseAt == 0 || left/purseStep != int64(r.Purse)/purseStep {
		r.Purse, r.PurseAt = uint32(left), now.Unix()
		f.dirty[a] = true
	}
}

const purseStep = 6 << 10

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
				if !f.befriends(friends[i].Account) {
					continue // forgotten meanwhile
				}
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

func (f *Finder) befriends(a identity.AccountID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.friends[a] != nil
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
