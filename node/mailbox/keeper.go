// Package mailbox is the mail that waits: the [Keeper] serves strangers'
// envelopes from a relay's shelf, and [Deposits] and [Mailbox] are what senders
// and owners speak to it with.
//
// It has no outbox and decides nothing about whom to write to or which relay
// to use. It promises that a deposit is answered as stored only when it is on
// the relay's disk, that a fetch which waits costs no goroutine, that what one
// peer sends bounds what it can take from others, and that a relay which lies
// in form is noticed (spec §12).
package mailbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"

	"rushlight/node/host"
	wire "rushlight/protocol/mailbox"
	"rushlight/storage/shelf"
)

// Config says what a relay asks of others. The zero value hosts anybody.
type Config struct {
	// Hosting is what a new mailbox needs.
	Hosting wire.Hosting
	// HostEffort is the work for a new mailbox, with HostWork; 0 is 1,024.
	HostEffort uint32
	// LaneEffort is the least work of a request; 0 is 64.
	LaneEffort uint32
	// Allow reports whether a mailbox's key is listed, with HostList.
	Allow func(owner [32]byte) bool
	// TokenKey is what tokens are made with, see [NewToken], with HostToken.
	TokenKey [32]byte
	// Quota, Lane and TTL are told to owners; they are the shelf's.
	Quota uint64
	Lane  uint16
	TTL   uint8
	// Logger receives what the operator should know; nil discards it.
	Logger *slog.Logger
}

// Limits of one peer.
const (
	depositStreams = 8
	ownerStreams   = 8
	windowFrames   = 256 // deposits of one stream that aren't answered yet
	windowBytes    = 1 << 20
)

// Times.
const (
	openTime  = 15 * time.Second // for the opening, and within a frame
	idleTime  = 10 * time.Minute // between frames
	writeTime = 30 * time.Second
)

// Keeper serves mailboxes. Make it with [NewKeeper], give its Stored to the
// shelf, then Bind it.
type Keeper struct {
	cfg     Config
	log     *slog.Logger
	shelf   *shelf.Shelf
	host    *host.Host
	relay   [32]byte
	creates *rate.Limiter
	readers chan struct{} // bounds how many windows are read at a time
	unsends chan struct{} // bounds how many mailboxes are searched for what a sender takes back

	ready    chan struct{}
	draining atomic.Bool
	stats    keeperStats

	mu     sync.Mutex
	open   bool
	live   map[network.Stream]bool
	peers  map[peer.ID]*peerUse
	parked map[uint64]*parked // by mailbox, a list
	due    map[int64]*parked  // by second, a list
	wg     sync.WaitGroup

	// answered belongs to the shelf's writer: streams with answers of the
	// commit that is being told.
	answered []*depositStream
}

// peerUse is how many streams a peer has.
type peerUse struct {
	deposits, owners int
	parked           *parked // a list
}

type keeperStats struct {
	deposits, requests, refused, fetches, parked atomic.Int64
}

var (
	errProtocol = errors.New("mailbox: peer broke the protocol")
	errCrowded  = errors.New("mailbox: too many streams of one peer")
	errStopping = errors.New("mailbox: stopping")
	errWaits    = errors.New("mailbox: the stream waits for mail")
)

// NewKeeper returns a keeper that serves nothing before [Keeper.Bind] and
// [Keeper.Run].
func NewKeeper(cfg Config) *Keeper {
	if cfg.HostEffort == 0 {
		cfg.HostEffort = 1024
	}
	if cfg.LaneEffort == 0 {
		cfg.LaneEffort = 64
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Keeper{
		cfg: cfg, log: cfg.Logger, ready: make(chan struct{}),
		creates: rate.NewLimiter(10, 200),
		readers: make(chan struct{}, 64), unsends: make(chan struct{}, 4),
		live:   map[network.Stream]bool{},
		peers:  map[peer.ID]*peerUse{},
		parked: map[uint64]*parked{},
		due:    map[int64]*parked{},
	}
}

// Bind says what is served, and where. The shelf signs with the host's key.
func (k *Keeper) Bind(h *host.Host, s *shelf.Shelf) error {
	key, err := RelayKey(h.ID())
	if err != nil {
		return err
	}
	if key != s.Relay() {
		return errors.New("mailbox: the shelf has another key than the host")
	}
	k.host, k.shelf, k.relay = h, s, key
	return nil
}

// RelayKey is the Ed25519 key of a peer id.
func RelayKey(id peer.ID) (key [32]byte, err error) {
	pub, err := id.ExtractPublicKey()
	if err == nil {
		var raw []byte
		if raw, err = pub.Raw(); err == nil && len(raw) == len(key) {
			return [32]byte(raw), nil
		}
	}
	return key, errors.New("mailbox: the peer id has no Ed25519 key")
}

// Ready is closed when Run serves.
func (k *Keeper) Ready() <-chan struct{} { return k.ready }

// Run serves until ctx ends; it may be called once. The shelf has to run as long.
// Every goroutine of the keeper has ended when it returns.
func (k *Keeper) Run(ctx context.Context) error {
	k.mu.Lock()
	k.open = true
	k.mu.Unlock()
	h := k.host.Libp2p()
	bundle := &network.NotifyBundle{DisconnectedF: func(_ network.Network, c network.Conn) { k.left(c) }}
	h.Network().Notify(bundle)
	h.SetStreamHandler(wire.ProtocolDeposit, func(s network.Stream) { k.handle(s, k.serveDeposits) })
	h.SetStreamHandler(wire.ProtocolOwner, func(s network.Stream) { k.handle(s, k.serveOwner) })
	close(k.ready)
	tick := time.NewTicker(time.Second)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case now := <-tick.C:
			k.wakeDue(now)
		}
	}
	tick.Stop()
	h.RemoveStreamHandler(wire.ProtocolDeposit)
	h.RemoveStreamHandler(wire.ProtocolOwner)
	h.Network().StopNotify(bundle)
	k.mu.Lock()
	k.open = false
	var all []network.Stream
	for s := range k.live {
		all = append(all, s)
	}
	k.mu.Unlock()
	for _, s := range all {
		_ = s.Reset()
	}
	k.wg.Wait()
	return nil
}

// Drain refuses new deposits and ends all waits, so that Run can be stopped
// without anybody being cut off in the middle.
func (k *Keeper) Drain() {
	k.draining.Store(true)
	k.wakeAll()
}

// handle gives a stream that somebody opened to its handler.
func (k *Keeper) handle(s network.Stream, serve func(network.Stream) error) {
	k.mu.Lock()
	if !k.open {
		k.mu.Unlock()
		_ = s.Reset()
		return
	}
	k.live[s] = true
	k.wg.Add(1)
	k.mu.Unlock()
	defer k.wg.Done()
	k.finish(s, serve(s))
}

// finish ends a stream, unless it waits for mail.
func (k *Keeper) finish(s network.Stream, err error) {
	if errors.Is(err, errWaits) {
		return
	}
	if err != nil {
		k.log.Debug("a stream ended", "error", err)
		_ = s.Reset()
	} else {
		_ = s.Close()
	}
	k.mu.Lock()
	delete(k.live, s)
	k.mu.Unlock()
}

// prepare accounts for a stream and gives it a deadline for its opening.
func prepare(s network.Stream, service string, memory int) error {
	if err := s.Scope().SetService(service); err != nil {
		return host.Opaque("mailbox: naming the service", err)
	}
	if err := s.Scope().ReserveMemory(memory, network.ReservationPriorityMedium); err != nil {
		return host.Opaque("mailbox: reserving memory", err)
	}
	return setReadDeadline(s, openTime)
}

func setReadDeadline(s network.Stream, d time.Duration) error {
	if err := s.SetReadDeadline(time.Now().Add(d)); err != nil {
		return host.Opaque("mailbox: setting a deadline", err)
	}
	return nil
}

// write sends bytes within a time.
func write(s network.Stream, b []byte) error {
	if err := s.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return host.Opaque("mailbox: setting a deadline", err)
	}
	if _, err := s.Write(b); err != nil {
		return host.Opaque("mailbox: writing", err)
	}
	return nil
}

// enter counts a stream of a peer; leave takes it back.
func (k *Keeper) enter(p peer.ID, count func(*peerUse) *int, most int) (leave func(), err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	use := k.peers[p]
	if use == nil {
		use = new(peerUse)
		k.peers[p] = use
	}
	if *count(use) >= most {
		return nil, errCrowded
	}
	*count(use)++
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		*count(use)--
		if use.deposits == 0 && use.owners == 0 {
			delete(k.peers, p)
		}
	}, nil
}

// Stored is what the shelf's writer calls after each commit.
func (k *Keeper) Stored(handles []uint64) {
	for i, d := range k.answered {
		d.dirty = false
		d.flush()
		k.answered[i] = nil
	}
	k.answered = k.answered[:0]
	if len(handles) > 0 {
		k.wakeMail(handles)
	}
}

func expected(want string, typ uint8) error {
	return fmt.Errorf("%w: frame %#x instead of %s", errProtocol, typ, want)
}
