package files

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"rushlight/node/engine"
	"rushlight/protocol/file"
	"rushlight/protocol/message"
	"rushlight/storage/blob"
)

var (
	errEnded = errors.New("files: the message ended")
	// ErrCancelled: the person cancelled the transfer.
	ErrCancelled = errors.New("files: cancelled")
	errFalse     = errors.New("files: the file is not what the message says")
	errWhole     = errors.New("files: all of it is there")
)

// fetch is one file on its way here. Its pieces come from every holder at once.
type fetch struct {
	m      *Manager
	ref    ref
	of     message.File
	place  blob.Place
	from   *engine.Attached
	life   context.Context //nolint:containedctx // of the fetch, which is a running thing
	cancel context.CancelCauseFunc
	ctx    context.Context //nolint:containedctx // of its workers
	stop   context.CancelCauseFunc
	ended  chan struct{}
	wake   chan struct{}
	meter  *progress

	blob *blob.Blob
	mail chan *message.FilePart
	full chan piece
	bufs chan []byte // memory for pieces that isn't in use

	mu      sync.Mutex
	room    int             // for how many pieces more there may be memory
	claimed map[uint32]bool // asked for, of somebody
	cursor  uint32          // chunks below are there or claimed
	news    chan struct{}   // closed when there may be more to claim
	holders map[peer.ID]*holder
	idle    bool // nobody has what is missing

	// Of stretches that come by way of relays.
	batches chan *batch
	held    []heldPart               // guarded by mu, as is
	checks  map[uint32]chan struct{} // pieces that are being checked
	wrongs  int
	tags    [][16]byte // guarded by the manager's mu, as are
	endedAt time.Time  // when it ended, and
	again   bool       // whether it goes on later
}

// holder is a peer that may have the file.
type holder struct {
	busy  bool
	false bool // it sent a wrong piece
	again time.Time
}

// piece is one that came, with who sent it.
type piece struct {
	i     uint32
	buf   []byte // from the beginning of the piece
	from  peer.ID
	mixed bool // parts of it were there already
}

// Pieces of one file that are in memory at once: so many that those who read,
// check and hash seldom wait for each other, less when several files come.
const (
	mostBuffers  = 24
	leastBuffers = 6
)

// buffers is how many a fetch that begins now has.
func (m *Manager) buffers() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return max(leastBuffers, mostBuffers/max(1, len(m.in)))
}

func newFetch(ctx context.Context, m *Manager, r ref, a *engine.Attached) *fetch {
	f := &fetch{
		m: m, ref: r, of: a.Files[r.nth], from: a, ended: make(chan struct{}), wake: make(chan struct{}, 1),
		claimed: map[uint32]bool{}, holders: map[peer.ID]*holder{},
		mail: make(chan *message.FilePart, maxEarly), full: make(chan piece, mostBuffers), bufs: make(chan []byte, mostBuffers), news: make(chan struct{}),
		batches: make(chan *batch), checks: map[uint32]chan struct{}{},
	}
	f.place = f.of.Key.Place()
	f.life, f.cancel = context.WithCancelCause(ctx)
	f.ctx, f.stop = context.WithCancelCause(f.life)
	f.meter = newProgress(f.of.Size)
	return f
}

// look makes the fetch look for holders.
func (f *fetch) look() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// stuck reports that the fetch has asked everybody and nobody has the file.
func (f *fetch) stuck() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.idle
}

// run fetches until the file is whole and checked.
func (f *fetch) run() (err error) {
	defer f.cancel(nil)
	defer processMemory.begin()()
	b, err := f.m.cfg.Dir.Open(f.of.Key, f.of.Size, f.of.Root)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if b.Whole() {
		return nil
	}
	f.mu.Lock()
	f.blob = b
	f.mu.Unlock()
	if err := b.Scan(f.life); err != nil {
		return orCause(f.life, err)
	}
	f.meter.start(b.Bytes())
	if err := f.m.cfg.Dir.Room(int64(f.of.Size - b.Bytes())); err != nil {
		return err
	}
	f.mu.Lock()
	f.room = f.m.buffers()
	f.mu.Unlock()
	sum := b.NewSum()
	var part sync.WaitGroup
	part.Go(func() { f.take(sum) })
	err = f.gather()
	close(f.full) // what came is kept, whatever stopped the rest
	part.Wait()
	if !b.Whole() {
		return orCause(f.ctx, err)
	}
	if err := sum.Follow(f.life, int(b.Layout().Chunks())+1); err != nil && !errors.Is(err, file.ErrPiece) {
		return orCause(f.life, err)
	}
	if !sum.Is(f.of.SHA256) {
		return errFalse
	}
	return b.Finish()
}

// buffer is memory for a piece, to be given back to bufs. It waits for it when
// enough of it is in use.
func (f *fetch) buffer() ([]byte, error) {
	select {
	case buf := <-f.bufs:
		return buf, nil
	default:
	}
	f.mu.Lock()
	more := f.room > 0
	if more {
		f.room--
	}
	f.mu.Unlock()
	if more {
		return make([]byte, file.Slot), nil
	}
	select {
	case buf := <-f.bufs:
		return buf, nil
	case <-f.ctx.Done():
		return nil, context.Cause(f.ctx)
	}
}

// orCause is why a context ended, rather than that it did.
func orCause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil && !errors.Is(c, errWhole) {
		return c
	}
	return err
}

// gather keeps a worker with every holder until the file is whole.
func (f *fetch) gather() error {
	var workers sync.WaitGroup
	defer workers.Wait()
	retry := time.NewTicker(5 * time.Second)
	defer retry.Stop()
	mail, courier := mailbag{f: f}, courier{f: f}
	mail.begin()
	courier.begin()
	for !f.blob.Whole() {
		there := f.m.cfg.Peers.Peers(f.from.With)
		if len(there) == 0 {
			f.m.cfg.Wake(f.from.With)
			if err := courier.ask(time.Now()); err != nil {
				return err
			}
		}
		for _, p := range there {
			if h := f.enlist(p); h != nil {
				workers.Go(func() {
					err := f.work(p)
					f.release(h, err)
					f.look()
				})
			}
		}
		select {
		case <-f.ctx.Done():
			return context.Cause(f.ctx)
		case <-f.wake:
			mail.flush()
			courier.hand()
		case c := <-f.batches:
			courier.take(c)
		case p := <-f.mail:
			mail.take(p)
		case <-retry.C:
		}
	}
	f.stop(errWhole)
	return nil
}

// enlist returns the holder when it is time to ask it.
func (f *fetch) enlist(p peer.ID) *holder {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.holders[p]
	if h == nil {
		h = &holder{}
		f.holders[p] = h
	}
	if h.busy || h.false || time.Now().Before(h.again) {
		return nil
	}
	h.busy = true
	f.idle = false
	return h
}

// After these times a holder is asked again.
const (
	afterBreak = time.Second      // the stream broke
	afterNone  = 30 * time.Second // it has nothing that is missing
)

func (f *fetch) release(h *holder, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h.busy = false
	switch {
	case errors.Is(err, file.ErrPiece):
		h.false = true
	case errors.Is(err, errNothing):
		h.again = time.Now().Add(afterNone)
		f.idle = true
		for _, o := range f.holders {
			f.idle = f.idle && !o.busy
		}
	default:
		h.again = time.Now().Add(afterBreak)
	}
}

// claim picks a missing piece that a holder has, for its worker alone.
func (f *fetch) claim(has file.Has) (uint32, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.blob.Layout()
	ok := func(i uint32) bool {
		return !f.claimed[i] && f.blob.Wants(i) && (has.All || has.Some.Has(i))
	}
	for i := l.Pieces(); i > l.Chunks(); i-- {
		if ok(i - 1) {
			f.claimed[i-1] = true
			return i - 1, true
		}
	}
	for f.cursor < l.Chunks() && (f.claimed[f.cursor] || f.blob.Has(f.cursor)) {
		f.cursor++
	}
	for i := f.cursor; i < l.Chunks(); i++ {
		if ok(i) {
			f.claimed[i] = true
			return i, true
		}
		if !f.blob.Known(i) {
			break // what comes after is in the same piece of the tree, or a later one
		}
	}
	return 0, false
}

// disclaim gives a piece back that didn't come.
func (f *fetch) disclaim(i uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.claimed, i)
	f.cursor = min(f.cursor, i)
	f.tell()
}

// take checks and writes the pieces that came, and hashes the file beside it.
func (f *fetch) take(sum *blob.Sum) {
	checked := make(chan piece, mostBuffers/2)
	var hashing sync.WaitGroup
	hashing.Go(func() {
		for p := range checked {
			var err error
			if sum.Next() < p.i { // those before it came in another order
				err = sum.Follow(f.life, 2)
			}
			if err == nil {
				err = sum.Chunk(p.i, p.buf)
			}
			if errors.Is(err, file.ErrPiece) {
				f.stop(errFalse) // who wrote the message sealed something else
			}
			f.bufs <- p.buf[:file.Slot]
		}
	})
	defer hashing.Wait()
	defer close(checked)
	for p := range f.full {
		chunk := p.i < f.blob.Layout().Chunks()
		if f.accept(p) == nil && chunk {
			checked <- p
		} else {
			f.bufs <- p.buf[:file.Slot]
		}
	}
}

// tell tells the workers that there may be more to claim.
func (f *fetch) tell() {
	close(f.news)
	f.news = make(chan struct{})
}

// changes is closed when there may be more to claim than now.
func (f *fetch) changes() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.news
}

// accept checks a piece and keeps it.
func (f *fetch) accept(p piece) error {
	err := f.blob.WritePart(p.i, 0, p.buf)
	if err == nil {
		err = f.blob.Check(p.i, p.buf)
	}
	switch {
	case err == nil:
		f.meter.set(f.blob.Bytes())
		f.mu.Lock()
		delete(f.claimed, p.i)
		tree := p.i >= f.blob.Layout().Chunks()
		if tree {
			f.tell()
		}
		f.mu.Unlock()
		if tree || f.blob.Whole() {
			f.look()
		}
	case errors.Is(err, file.ErrPiece):
		// Nothing may be left of it that the next one would go on from.
		err = errors.Join(err, f.blob.Forget(p.i))
		f.disclaim(p.i)
		if !p.mixed {
			f.m.log.Warn("a holder sent a wrong piece of a file and isn't asked again")
			f.mu.Lock()
			f.holders[p.from].false = true
			f.mu.Unlock()
		}
		f.look()
	default: // of the disk
		f.stop(fmt.Errorf("files: keeping a piece: %w", err))
	}
	f.checkedMailed(p.i, err == nil)
	return err
}
