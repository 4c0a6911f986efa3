// Package files brings the files of messages from those who have them to where
// they are wanted (spec §15), and puts them where a person wants them.
//
// It is not the message that names a file, and holds no key longer than it
// needs it: the engine has both, and destroys both. It promises that a file is
// offered to the person only when all of it is there and is what the message
// says; that what has arrived isn't fetched again, whoever stopped in between;
// that a piece which isn't the right one is known, with who sent it; that only
// who can prove to have a file's key learns whether it is here; and that memory
// doesn't grow with the size of files.
package files

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

	"rushlight/node/engine"
	"rushlight/node/host"
	"rushlight/protocol/file"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage/blob"
	"rushlight/storage/record"
)

// Engine is what the manager needs from the owner of the messages.
type Engine interface {
	// Attached lists the messages that have files, AttachedTo those of one:
	// engine.ErrUnknownMessage.
	Attached() ([]engine.Attached, error)
	AttachedTo(id message.ID) (*engine.Attached, error)
	// WishFile says what a person wants of a file.
	WishFile(ctx context.Context, id message.ID, nth int, wish record.FileWish) error
	// Allowed reports whether an account may be sent something.
	Allowed(a identity.AccountID) bool
	// Mail queues parts of files for a contact; that is possible when HasMailbox.
	Mail(ctx context.Context, to identity.AccountID, packets ...message.Packet) error
	// Order queues an order for a contact, which has stamps or is given as many as
	// there are: engine.ErrNoStamps. What paid for what has come is given in spent.
	Order(ctx context.Context, to identity.AccountID, o *message.FileOrder, spent []uint32) (serials []uint32, err error)
	HasMailbox(a identity.AccountID) bool
	Watch(ctx context.Context, after uint64, started func(uint64), fn func(engine.Event) error) error
	LastEvent() uint64
}

// Peers knows who is there.
type Peers interface {
	// Peers are the devices of a contact that have proved themselves and are
	// connected.
	Peers(account identity.AccountID) []peer.ID
}

// Config configures a [Manager]. Dir, Host, Engine and Peers are needed.
type Config struct {
	Dir    *blob.Dir
	Host   *host.Host
	Engine Engine
	Peers  Peers
	Logger *slog.Logger
	// Prepare, when set, makes of every file that is to be sent what is sent
	// in its place.
	Prepare Prepare
	// Wake, when set, is called when something is wanted of a contact that is
	// not connected. It must not block.
	Wake func(account identity.AccountID)
	// Hurry, when set, is called when mail was queued for a contact that was
	// called in vain. It must not block.
	Hurry func(account identity.AccountID)
	// Relays, when set, is how files go to who can't be reached, and Device the
	// id of this device.
	Relays Relays
	Device identity.DeviceID
}

// Manager owns all transfers of one device.
type Manager struct {
	cfg      Config
	log      *slog.Logger
	patience time.Duration // for how long a holder is waited for before it is ordered by way of relays
	slow     time.Duration // after which a stranger, and who has no right, is answered
	free     func() int64  // how many bytes may still be written

	mu        sync.Mutex
	open      bool
	ctx       context.Context //nolint:containedctx // of Run, for what others ask for meanwhile
	known     map[message.ID][]held
	roots     map[file.Name]ref
	in        map[ref]*fetch
	out       map[upload]*progress
	waiting   map[ref]struct{}
	changed   map[chan struct{}]struct{}
	intakes   map[*intake]struct{}
	early     []carried // parts of files that aren't fetched yet
	tags      map[[16]byte]awaited
	orders    map[identity.AccountID][]*message.FileOrder // the first is being left at a relay
	serving   int
	importing int                // messages whose files are being sealed, and files that are taken in
	imports   int                // how often importing has begun to be more
	taking    int                // of these, files that are taken in
	staged    map[string]*staged // files that were, and belong to no message yet, by their ids
	wg        sync.WaitGroup

	unswept atomic.Bool   // there may be files of no message, and it was no time to delete them
	served  atomic.Int64  // bytes of pieces sent in this run
	running chan struct{} // a token for each fetch that may run at once
	pushes  chan pushed   // files that go by mail unasked
	look    chan struct{} // has a token when something may be begun
}

// ref names a file of a message.
type ref struct {
	id  message.ID
	nth int
}

// held is what is known of a file without its key.
type held struct {
	root  file.Name
	place blob.Place
	size  uint64
	name  string
	with  identity.AccountID
	mine  bool
	wish  record.FileWish
	kind  string // what it really is, once that was looked at
	have  uint64 // bytes that are here of one that isn't whole, as far as known
	fault string // why it isn't fetched any more
}

// Limits.
const (
	maxFetches = 6  // files fetched at once
	maxServed  = 16 // streams served at once
	maxOfPeer  = 8  // of these, of one peer
)

// New returns a manager that does nothing until [Manager.Run].
func New(cfg Config) *Manager {
	m := &Manager{
		cfg: cfg, log: cfg.Logger, slow: 100 * time.Millisecond, patience: orderAfter, free: cfg.Dir.Free,
		known: map[message.ID][]held{}, roots: map[file.Name]ref{},
		in: map[ref]*fetch{}, out: map[upload]*progress{}, waiting: map[ref]struct{}{}, intakes: map[*intake]struct{}{},
		changed: map[chan struct{}]struct{}{}, staged: map[string]*staged{},
		running: make(chan struct{}, maxFetches), look: make(chan struct{}, 1),
		pushes: make(chan pushed, 16), tags: map[[16]byte]awaited{}, orders: map[identity.AccountID][]*message.FileOrder{},
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	if m.cfg.Wake == nil {
		m.cfg.Wake = func(identity.AccountID) {}
	}
	if m.cfg.Hurry == nil {
		m.cfg.Hurry = func(identity.AccountID) {}
	}
	return m
}

// lookEvery is how often what waits is looked at again without a reason, and
// files that no message has any more are looked for.
const (
	lookEvery  = 30 * time.Second
	sweepEvery = time.Hour
)

// Run fetches and serves until ctx ends. It must be called once; every
// goroutine of the manager has ended when it returns.
func (m *Manager) Run(ctx context.Context) error {
	after := m.cfg.Engine.LastEvent()
	if err := m.load(); err != nil {
		return err
	}
	m.mu.Lock()
	m.open, m.ctx = true, ctx
	m.mu.Unlock()
	h := m.cfg.Host.Libp2p()
	h.SetStreamHandler(file.Protocol, func(s network.Stream) { m.handle(ctx, s) })
	defer func() {
		h.RemoveStreamHandler(file.Protocol)
		m.mu.Lock()
		m.open = false
		m.mu.Unlock()
		m.wg.Wait()
		m.unstageAll()
	}()
	watched := make(chan error, 1)
	go func() { watched <- m.cfg.Engine.Watch(ctx, after, nil, m.event) }()
	tick, sweep := time.NewTicker(lookEvery), time.NewTicker(sweepEvery)
	defer tick.Stop()
	defer sweep.Stop()
	for {
		m.begin(ctx)
		select {
		case <-ctx.Done():
			return <-watched
		case err := <-watched:
			return err
		case <-m.look:
		case p := <-m.pushes:
			m.mail(ctx, p)
		case now := <-tick.C:
			m.unawait(now)
			if !m.unswept.Load() {
				continue
			}
			if err := m.load(); err != nil {
				return err
			}
		case <-sweep.C:
			m.unstageOld(time.Now())
			if err := m.load(); err != nil {
				return err
			}
		}
	}
}

// kick makes the loop look at what waits.
func (m *Manager) kick() {
	select {
	case m.look <- struct{}{}:
	default:
	}
}

// load reads which files there are, and deletes what belongs to none.
func (m *Manager) load() error {
	m.mu.Lock()
	before, busy := m.imports, m.importing > 0
	m.mu.Unlock()
	var stray []blob.Place
	if err := m.cfg.Dir.List(func(p blob.Place, _ bool) { stray = append(stray, p) }); err != nil {
		return err
	}
	all, err := m.cfg.Engine.Attached()
	if err != nil {
		return fmt.Errorf("files: reading which there are: %w", err)
	}
	seen := map[message.ID]bool{}
	for i := range all {
		m.note(&all[i])
		seen[all[i].ID] = true
	}
	places := map[blob.Place]bool{}
	m.mu.Lock()
	var gone []message.ID
	for id, list := range m.known {
		for _, h := range list {
			places[h.place] = true
		}
		if !seen[id] {
			gone = append(gone, id)
		}
	}
	for _, s := range m.staged {
		places[s.in.Key.Place()] = true
	}
	// What was sealed meanwhile may belong to a message that came after the list.
	busy = busy || m.importing > 0 || m.imports != before
	m.mu.Unlock()
	for _, id := range gone {
		// It may have come after the list was made.
		if a, err := m.cfg.Engine.AttachedTo(id); err == nil {
			m.note(a)
		} else if errors.Is(err, engine.ErrUnknownMessage) {
			m.forget(id)
		}
	}
	left := false
	defer func() { m.unswept.Store(left) }()
	for _, p := range stray {
		if places[p] {
			continue
		}
		if left = left || busy; left {
			continue
		}
		if err := m.cfg.Dir.Remove(p); err != nil {
			return err
		}
	}
	return nil
}

// note takes what a message has.
func (m *Manager) note(a *engine.Attached) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.known[a.ID]
	list := make([]held, len(a.Files))
	for i := range a.Files {
		f := &a.Files[i]
		list[i] = held{root: f.Root, place: f.Key.Place(), size: f.Size, name: f.Name, with: a.With, mine: a.Mine, wish: a.Wishes[i]}
		if i < len(old) {
			list[i].kind, list[i].have, list[i].fault = old[i].kind, old[i].have, old[i].fault
		}
		r := ref{a.ID, i}
		m.roots[f.Root] = r
		if !a.Mine && list[i].fault == "" && !m.cfg.Dir.Whole(list[i].place) {
			m.waiting[r] = struct{}{}
		}
	}
	m.known[a.ID] = list
}

// forget takes away the files of a message that ended.
func (m *Manager) forget(id message.ID) {
	m.mu.Lock()
	list := m.known[id]
	delete(m.known, id)
	var running []*fetch
	for i, h := range list {
		r := ref{id, i}
		if m.roots[h.root] == r {
			delete(m.roots, h.root)
		}
		delete(m.waiting, r)
		if f := m.in[r]; f != nil {
			running = append(running, f)
		}
	}
	for u := range m.out {
		if u.id == id {
			delete(m.out, u)
		}
	}
	m.mu.Unlock()
	for _, f := range running {
		f.cancel(errEnded)
		<-f.ended
	}
	for _, h := range list {
		if err := m.cfg.Dir.Remove(h.place); err != nil {
			m.log.Warn("a file that ended could not be deleted; it can't be opened any more", "err", err)
		}
	}
	if len(list) > 0 {
		m.announce()
	}
}

// event follows what becomes of messages.
func (m *Manager) event(ev engine.Event) error {
	switch ev.Type {
	case record.EventMessage:
		if ev.Plain {
			return nil
		}
		a, err := m.cfg.Engine.AttachedTo(ev.Message)
		if errors.Is(err, engine.ErrUnknownMessage) {
			return nil
		}
		if err != nil {
			return err
		}
		m.note(a)
		m.announce()
		m.kick()
	case record.EventExpired, record.EventDelete:
		m.forget(ev.Message)
	case record.EventContact:
		return m.load() // one that was removed takes its messages with it
	case record.EventState:
		if ev.State == record.StateStored {
			m.push(ev.Message)
		}
	case record.EventEdit, record.EventReact, record.EventPlaced:
	}
	return nil
}

// Changed is to be called when a contact has come.
func (m *Manager) Changed() {
	m.mu.Lock()
	all := make([]*fetch, 0, len(m.in))
	for _, f := range m.in {
		all = append(all, f)
	}
	m.mu.Unlock()
	for _, f := range all {
		f.look()
	}
	m.kick()
}

// Waits reports whether something is wanted of a contact.
func (m *Manager) Waits(a identity.AccountID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for r, f := range m.in {
		if h := m.heldLocked(r); h != nil && h.with == a && !f.stuck() {
			return true
		}
	}
	return false
}

func (m *Manager) heldLocked(r ref) *held {
	if list := m.known[r.id]; r.nth < len(list) {
		return &list[r.nth]
	}
	return nil
}

// begin starts the fetches that may run.
func (m *Manager) begin(ctx context.Context) {
	for {
		r, ok := m.next()
		if !ok {
			return
		}
		select {
		case m.running <- struct{}{}:
		default:
			return
		}
		a, err := m.cfg.Engine.AttachedTo(r.id)
		if err != nil || r.nth >= len(a.Files) {
			m.mu.Lock()
			delete(m.waiting, r)
			m.mu.Unlock()
			<-m.running
			continue
		}
		f := newFetch(ctx, m, r, a)
		m.mu.Lock()
		delete(m.waiting, r)
		m.in[r] = f
		m.wg.Add(1)
		m.mu.Unlock()
		go func() { //nolint:contextcheck // a fetch has a context of its own, of this one
			defer m.wg.Done()
			m.finish(f, f.run())
		}()
	}
}

// next is the smallest file that is to be fetched.
func (m *Manager) next() (best ref, ok bool) {
	free := m.free()
	m.mu.Lock()
	defer m.mu.Unlock()
	least := uint64(0)
	for r := range m.waiting {
		h := m.heldLocked(r)
		if h == nil || m.in[r] != nil || !m.wants(h, free) || ok && h.size >= least {
			continue
		}
		best, least, ok = r, h.size, true
	}
	return best, ok
}

// wants reports whether a file is to be fetched: unasked what leaves three
// quarters of the free disk, and what was begun, which has taken some of that;
// asked for whatever fits.
func (m *Manager) wants(h *held, free int64) bool {
	switch h.wish {
	case record.FileWanted:
		return true
	case record.FileLeft:
		return false
	case record.FileAuto:
	}
	return h.size <= uint64(free)/4 || m.cfg.Dir.Begun(h.place)
}

// finish ends a fetch and says what becomes of it.
func (m *Manager) finish(f *fetch, err error) {
	if errors.Is(err, errFalse) { // gone before it is shown as failed
		if err := m.cfg.Dir.Remove(f.place); err != nil {
			m.log.Warn("a false file could not be deleted", "err", err)
		}
	}
	m.mu.Lock()
	delete(m.in, f.ref)
	h := m.heldLocked(f.ref)
	if h != nil {
		h.have = f.meter.have()
	}
	again := false
	switch {
	case err == nil, h == nil:
	case errors.Is(err, errFalse):
		h.fault = err.Error()
	case errors.Is(err, ErrCancelled):
	default:
		again = true
		m.waiting[f.ref] = struct{}{}
	}
	f.endedAt, f.again = time.Now(), again
	m.mu.Unlock()
	close(f.ended)
	<-m.running
	if again && !errors.Is(err, context.Canceled) {
		m.log.Warn("a file can't be fetched now", "err", err)
	}
	m.announce()
	if !again { // the other ones wait for the next time
		m.kick()
	}
}
