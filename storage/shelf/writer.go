package shelf

import (
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"rushlight/protocol/receipt"
	"rushlight/protocol/stamp"
	"rushlight/protocol/suite"
)

// job is one thing to be written. apply is called by the writer inside a
// transaction and either writes all of it or nothing; done comes after the
// commit, or with an error instead.
type job interface {
	size() int // bytes of the transaction at most
	apply(g *group) error
	done(err error)
}

// submit queues a job. The error is [ErrBusy], [ErrClosed] or [ErrFailed];
// then done isn't called.
func (s *Shelf) submit(j job) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.failed != nil:
		return s.failed
	case s.closed:
		return ErrClosed
	case s.queued > s.o.Queue:
		s.stats.busy.Add(1)
		return ErrBusy
	}
	s.queue = append(s.queue, j)
	s.queued += j.size()
	if len(s.queue) == 1 {
		s.wake.Signal()
	}
	return nil
}

// write is the one writer: everything that waits becomes one commit, as far as
// it fits, and while the disk is busy with that the next one gathers.
func (s *Shelf) write() {
	var spare []job
	for {
		s.mu.Lock()
		for len(s.queue) == 0 && !s.closed {
			s.wake.Wait()
		}
		jobs, failed := s.queue, s.failed
		s.queue, s.queued = spare, 0
		s.mu.Unlock()
		if len(jobs) == 0 {
			if failed == nil {
				failed = s.flush()
			}
			if failed != nil {
				s.fail(failed)
			}
			return
		}
		for rest := jobs; len(rest) > 0; {
			if failed != nil {
				for _, j := range rest {
					j.done(failed)
				}
				if s.o.Stored != nil {
					s.o.Stored(nil)
				}
				break
			}
			n, err := s.commit(rest)
			if err != nil {
				s.fail(err)
				failed = fmt.Errorf("%w: %w", ErrFailed, err)
			}
			rest = rest[n:]
		}
		clear(jobs)
		spare = jobs[:0]
	}
}

// flush writes counters that waited for a commit.
func (s *Shelf) flush() error {
	_, err := s.commit(nil)
	return err
}

// group is one commit on its way.
type group struct {
	s       *Shelf
	tx      *badger.Txn
	day     *dayState
	room    bool // on the disk
	touched []*box
	writes  int
	bytes   int   // of the writes
	err     error // of the database: nothing of the group counts

	leaves   [][32]byte
	receipts []*Deposit // in the order of leaves
	stored   []uint64
}

const (
	groupMax      = 2000    // jobs in one commit, fewer than a receipt's tree has leaves
	groupReserved = 8 << 10 // bytes kept for the shelf's own records
	perRecord     = 64      // what Badger adds to a record
)

// commit writes as many of the jobs as fit into one transaction and returns
// how many those were. All of these have been told when it returns.
func (s *Shelf) commit(jobs []job) (n int, err error) {
	g := &group{s: s, day: s.day.Load(), room: s.space.check() == nil && !s.stuffed()}
	g.tx = s.db.NewTransaction(true)
	defer g.tx.Discard()
	s.global.days.prune(g.day.settled)
	most := s.db.MaxBatchSize() - groupReserved
	size := int64(0)
	errs := make([]error, 0, min(len(jobs), groupMax))
	for n < len(jobs) && n < groupMax {
		if size += int64(jobs[n].size()); size > most && n > 0 {
			break
		}
		errs = append(errs, jobs[n].apply(g))
		n++
		if g.err != nil {
			break
		}
	}
	if s.o.UnsafeAckFirst {
		for i, j := range jobs[:n] {
			j.done(errs[i])
		}
	}
	err = g.finish(jobs == nil)
	for i, j := range jobs[:n] {
		if s.o.UnsafeAckFirst {
			break
		}
		if err != nil {
			j.done(fmt.Errorf("%w: %w", ErrFailed, err))
		} else {
			j.done(errs[i])
		}
	}
	if err == nil {
		s.evict()
	}
	if s.o.Stored != nil {
		slices.Sort(g.stored)
		s.o.Stored(slices.Compact(g.stored))
	}
	return n, err
}

// finish commits what the jobs wrote, and signs for it. Counters alone, which
// are no promise to anybody, wait for the next commit unless all is asked for.
func (g *group) finish(all bool) error {
	s := g.s
	for _, b := range g.touched {
		b.used = false
		if b.changed {
			b.changed = false
			g.saveHot(b)
		}
		for _, n := range b.changedPages {
			g.savePage(b, n)
		}
		b.changedPages = b.changedPages[:0]
	}
	if all {
		for _, b := range s.boxes {
			if b.unsaved {
				g.saveHot(b)
			}
		}
	}
	if g.err != nil {
		return g.err
	}
	if g.writes == 0 {
		// Nothing but refusals and repetitions of what is on the disk.
		g.sign(s.global.batch)
		return nil
	}
	s.global.batch++
	s.global.confirmed = s.confirmed()
	g.set(keyGlobal, s.global.marshal(), 0)
	if g.err != nil {
		return g.err
	}
	earliest := s.global.days.earliest()
	s.owed.Store(min(s.owed.Load(), earliest)) // from before it is there until it is gone
	if err := s.disk.commit(g.tx, g.bytes); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	s.owed.Store(earliest)
	s.batch.Store(s.global.batch)
	count, bytes := s.global.days.total()
	s.stats.envelopes.Store(int64(count))
	s.stats.live.Store(int64(bytes))
	s.stats.commits.Add(1)
	g.sign(s.global.batch)
	return nil
}

func (g *group) sign(batch uint64) {
	for i, r := range receipt.Sign(g.s.o.Key, batch, g.day.today, g.leaves) {
		g.receipts[i].Answer.Receipt = &r
	}
}

// set writes a record that Badger may drop after a day; 0 is never. Only
// envelopes have such a day, see ahead: the rest is swept.
func (g *group) set(key, value []byte, last uint16) {
	if g.err != nil {
		return
	}
	e := badger.NewEntry(key, value)
	if last > 0 {
		e.ExpiresAt = uint64(g.s.o.time.dropAt(last).Unix())
	}
	if err := g.tx.SetEntry(e); err != nil {
		g.err = fmt.Errorf("preparing a commit: %w", err)
	}
	g.wrote(len(key) + len(value))
}

func (g *group) delete(key []byte) {
	if g.err != nil {
		return
	}
	if err := g.tx.Delete(key); err != nil {
		g.err = fmt.Errorf("preparing a commit: %w", err)
	}
	g.wrote(len(key))
}

// wrote counts a record.
func (g *group) wrote(bytes int) {
	g.writes++
	g.bytes += bytes + perRecord
	g.s.space.wrote(int64(bytes + perRecord))
}

func (g *group) get(key []byte) []byte {
	if g.err != nil {
		return nil
	}
	b, err := get(g.tx, key)
	if err != nil {
		g.err = err
	}
	return b
}

// box returns a mailbox, or nil when there is none, or its lease has ended. A
// day that isn't settled ends no lease.
func (g *group) box(handle uint64) *box {
	b := g.s.boxes[handle]
	if b == nil {
		if b = g.load(handle); b == nil {
			return nil
		}
		g.s.boxes[handle] = b
	}
	b.rest = g.s.rests
	if b.lease < g.day.settled {
		return nil
	}
	if !b.used {
		b.used = true
		g.touched = append(g.touched, b)
	}
	b.prune(g.day.settled)
	return b
}

func (g *group) load(handle uint64) *box {
	raw := g.get(keyBox(handle))
	if raw == nil {
		return nil
	}
	b := &box{handle: handle, pages: map[uint32]*stamp.Page{}}
	var err error
	if b.fixed, err = parseFixed(raw); err == nil {
		if raw = g.get(keyHot(handle)); raw != nil {
			b.hot, err = parseHot(raw)
		} else if !b.closed {
			err = errors.New("the counters of a mailbox are gone")
		}
	}
	if err != nil && g.err == nil {
		g.err = err
	}
	if g.err != nil {
		return nil
	}
	return b
}

// page returns the page of a box's stamps.
func (g *group) page(b *box, n uint32) *stamp.Page {
	p := b.pages[n]
	if p == nil {
		p = new(stamp.Page)
		if raw := g.get(keyPage(b.handle, n)); raw != nil {
			var err error
			if p, err = stamp.ParsePage(raw); err != nil {
				if g.err == nil {
					g.err = err
				}
				return nil
			}
		}
		b.pages[n] = p
		g.s.pages++
	}
	return p
}

func (g *group) requests(b *box) *lane {
	if b.requests == nil {
		b.requests = new(lane)
		if raw := g.get(keyLane(b.handle)); raw != nil {
			l, err := parseLane(raw)
			if err != nil {
				if g.err == nil {
					g.err = err
				}
				return b.requests
			}
			b.requests = l
		}
	}
	b.requests.prune(g.day.settled)
	return b.requests
}

func (g *group) saveFixed(b *box) { g.set(keyBox(b.handle), b.fixed.marshal(), 0) }

func (g *group) saveHot(b *box) {
	g.set(keyHot(b.handle), b.hot.marshal(), 0)
	b.unsaved = false
}

// change notes that counters, and the page of a stamp, are to be written with
// this commit.
func (g *group) change(b *box, page uint32) {
	b.changed = true
	if !slices.Contains(b.changedPages, page) {
		b.changedPages = append(b.changedPages, page)
	}
	g.writes++
}

func (g *group) savePage(b *box, n uint32) { g.set(keyPage(b.handle, n), b.pages[n].Marshal(), 0) }

func (g *group) saveLane(b *box) { g.set(keyLane(b.handle), b.requests.marshal(), 0) }

// What the writer keeps of mailboxes in use. The rest is on the disk alone.
const (
	boxesKept = 20000
	pagesKept = 60000
)

// evict drops mailboxes, any, when too many are held.
func (s *Shelf) evict() {
	if len(s.boxes) <= boxesKept && s.pages <= pagesKept {
		return
	}
	for handle, b := range s.boxes {
		if len(s.boxes) <= boxesKept*3/4 && s.pages <= pagesKept*3/4 {
			return
		}
		if !b.unsaved {
			s.drop(handle)
		}
	}
}

// Rest makes the writer forget the mailboxes that nobody has used since the
// call before the last. It is called every now and then by Run, so that a
// mailbox costs memory only while it is in use.
func (s *Shelf) Rest() {
	_ = s.submit(&call{fn: func(*group) error {
		s.rests++
		for handle, b := range s.boxes {
			if b.rest+2 <= s.rests && !b.unsaved {
				s.drop(handle)
			}
		}
		return nil
	}})
}

func (s *Shelf) drop(handle uint64) {
	if b := s.boxes[handle]; b != nil {
		s.pages -= len(b.pages)
		delete(s.boxes, handle)
	}
}

// seal puts an envelope under the key of its last day. What it is sealed to is
// where it stands and until when.
func seal(key *[32]byte, at []byte, expDay, day uint16, flags uint8, env []byte) []byte {
	plain := make([]byte, 0, sealedHead+len(env))
	plain = append(plain, byte(day>>8), byte(day), flags)
	plain = append(plain, env...)
	out := make([]byte, 0, clearHead+len(plain)+suite.BoxOverhead)
	out = append(out, version, byte(expDay>>8), byte(expDay))
	return suite.SealBox(out, key[:], sealedTo(at, expDay), plain)
}

const (
	clearHead  = 3
	sealedHead = 3
	flagLane   = 1
)

func sealedTo(at []byte, expDay uint16) []byte {
	return append(append(make([]byte, 0, len(at)+3), at...), version, byte(expDay>>8), byte(expDay))
}
