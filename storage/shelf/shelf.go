// Package shelf is a relay's store of strangers' envelopes: mailboxes with a
// log each, in a Badger database of its own.
//
// It doesn't know who anybody is, opens no envelope and speaks no protocol; it
// is not for a device's own data. It promises: what a job was told is stored is
// on the disk and survives a crash or a power cut; an envelope stays until its
// last day unless its owner or a cure deletes it; whoever has no room is told
// so, and nobody's mail makes room for another's; and after a day has passed,
// one key is destroyed and nothing that expired with it can be read again by
// anyone, this relay included. FORMAT.md has every key and rule.
package shelf

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rushlight/protocol/stamp"
	"rushlight/protocol/suite"
	"rushlight/storage/keyfile/wheel"
	"rushlight/storage/merge"
)

// Errors a caller acts on.
var (
	// ErrBusy: the queue is full. The same job may be taken later.
	ErrBusy = errors.New("shelf: busy")
	// ErrFailed: a commit failed, so it isn't known what is on the disk.
	// Nothing of it was acknowledged, or is read. Close, and open again.
	ErrFailed = errors.New("shelf: a commit failed; close and open the shelf again")
	// ErrClosed: the shelf takes no more jobs.
	ErrClosed = errors.New("shelf: closed")
	// ErrNoSpace: too little room on the disk to open or to write safely.
	ErrNoSpace = errors.New("shelf: not enough room on the disk")
)

// Names inside the shelf's directory.
const (
	dirDatabase = "db"
	dirWheel    = "wheel"
	dirAside    = "aside"
	fileGuard   = "guard"
	fileBallast = "ballast"
)

const labelKek suite.Label = "rushlight/shelf/kek/1"

// Shelf is an open shelf. Its methods may be called from many goroutines.
type Shelf struct {
	o      Options
	log    *slog.Logger
	db     *badger.DB
	merger *merge.Merger // nil when nothing is merged
	wheel  *wheel.Wheel
	guard  *guard
	space  space
	disk   disk
	clock  dayClock

	day      atomic.Pointer[dayState]   // today, and the keys of the days
	keys     atomic.Pointer[stamp.Keys] // of stamps
	batch    atomic.Uint64              // last commit
	believed atomic.Uint32              // latest day that may destroy
	owed     atomic.Uint32              // the first day with which mail that is here ends
	stuck    atomic.Bool                // a merge is kept from ending, see heard
	stats    stats

	mu     sync.Mutex
	wake   *sync.Cond
	queue  []job
	queued int // bytes
	closed bool
	failed error

	// What follows belongs to the writer.
	boxes  map[uint64]*box
	pages  int    // loaded, of all boxes
	rests  uint64 // calls of Rest
	global global
}

// Open opens the shelf in o.Dir, or makes one. [Shelf.Run] has to run before
// anything can be written.
func Open(o Options) (*Shelf, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Shelf{o: o, log: o.Logger, boxes: map[uint64]*box{}}
	s.wake = sync.NewCond(&s.mu)
	if err := s.open(); err != nil {
		s.release()
		return nil, fmt.Errorf("shelf: opening: %w", err)
	}
	return s, nil
}

func (s *Shelf) open() error {
	if err := os.MkdirAll(filepath.Join(s.o.Dir, dirDatabase), 0o700); err != nil {
		return fmt.Errorf("making the directory: %w", err)
	}
	s.space = newSpace(s.o)
	if err := s.space.beforeOpen(); err != nil {
		return err
	}
	kek := [32]byte(suite.Derive(s.o.Root[:], nil, 32, labelKek))
	clear(s.o.Root[:])
	if err := os.MkdirAll(filepath.Join(s.o.Dir, dirWheel), 0o700); err != nil {
		return fmt.Errorf("making the directory of keys: %w", err)
	}
	var err error
	if s.wheel, err = wheel.Open(filepath.Join(s.o.Dir, dirWheel), kek, wheel.Options{}); err != nil {
		return err
	}
	if s.guard, err = openGuard(filepath.Join(s.o.Dir, fileGuard)); err != nil {
		return err
	}
	db := filepath.Join(s.o.Dir, dirDatabase)
	if err := setAside(db, filepath.Join(s.o.Dir, dirAside), s.o.badger(db, nil), s.log); err != nil {
		return err
	}
	if err := removeEmpty(db); err != nil {
		return err
	}
	if err := s.o.settleLogs(db); err != nil {
		return err
	}
	if s.space.tight() {
		// A merge on a full disk ends the process: none is done until the shelf
		// is opened with room.
		s.log.Warn("little room on the disk: files aren't merged until the next start")
		none := 0
		s.o.Compactors = &none
		if err := os.RemoveAll(filepath.Join(s.o.Dir, dirAside)); err != nil {
			return fmt.Errorf("removing what was set aside: %w", err)
		}
	}
	if *s.o.Compactors > 0 {
		s.merger = merge.New(merge.Options{Many: s.o.many(), Hold: s.ahead})
	}
	opened, err := badger.Open(s.o.badger(db, s.heard))
	if err != nil {
		return fmt.Errorf("opening the database: %w", err) // it may be there all the same, and can't be closed
	}
	s.db = opened
	if err := s.disk.open(db, s.o); err != nil {
		return fmt.Errorf("opening the database: %w", err)
	}
	if err := s.loadGlobal(); err != nil {
		return err
	}
	if s.merger != nil {
		s.merger.Start(s.db)
	}
	if err := s.turn(); err != nil {
		return err
	}
	if err := s.countMailboxes(); err != nil {
		return err
	}
	s.space.keepBallast()
	return nil
}

// loadGlobal reads what the shelf knows of itself, and notices when it knows
// less than it did.
func (s *Shelf) loadGlobal() error {
	err := s.view(func(tx *badger.Txn) error {
		b, err := get(tx, keyGlobal)
		if b == nil || err != nil {
			return err
		}
		s.global, err = parseGlobal(b)
		return err
	})
	if err != nil {
		return err
	}
	if s.global.batch < s.guard.batch {
		// An older copy was put back, or the disk lost writes. Owners see
		// another log and ask their contacts to send again.
		s.log.Error("the shelf is older than its last run; every owner is told")
		s.global.batch = s.guard.batch
		suite.Random(s.global.epoch[:])
	}
	s.batch.Store(s.global.batch)
	s.believed.Store(uint32(s.global.confirmed))
	s.owed.Store(s.global.days.earliest())
	count, bytes := s.global.days.total()
	s.stats.envelopes.Store(int64(count))
	s.stats.live.Store(int64(bytes))
	return nil
}

// Run writes what is submitted, until ctx ends; then it finishes what waits,
// and returns nil. An error means that nothing more is written and the shelf
// has to be opened again.
func (s *Shelf) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, s.shut)
	defer stop()
	done, due := make(chan struct{}), make(chan struct{}, 1)
	var keeper sync.WaitGroup
	keeper.Go(func() { s.keepHouse(done, due) })
	keeper.Go(func() { s.sweepWhenDue(done, due) })
	s.write()
	close(done)
	keeper.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// shut lets no more jobs in.
func (s *Shelf) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.wake.Broadcast()
}

// keepHouse does what is due now and then.
func (s *Shelf) keepHouse(done <-chan struct{}, due chan<- struct{}) {
	swept := uint16(0)
	t := time.NewTicker(s.o.tick)
	defer t.Stop()
	for {
		select {
		case <-done:
			return
		case <-t.C:
		}
		if err := s.turn(); err != nil {
			s.fail(err)
			return
		}
		if day := s.day.Load().settled; day != swept {
			swept = day
			select {
			case due <- struct{}{}:
			default: // it is going to begin
			}
		}
		if err := s.guard.note(s.batch.Load()); err != nil {
			s.log.Warn("the guard file can't be written", "error", err)
		}
		s.Rest()
	}
}

// fail stops the shelf: what is on the disk isn't known any more.
func (s *Shelf) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = fmt.Errorf("%w: %w", ErrFailed, err)
	}
	s.closed = true
	s.wake.Broadcast()
}

// Close gives up the directory. Run must have returned. After a failure because
// the clock jumped the directory can only be opened by another process.
func (s *Shelf) Close() error {
	s.shut()
	s.mu.Lock()
	failed := s.failed
	s.mu.Unlock()
	var errs []error
	if failed == nil {
		errs = append(errs, s.guard.note(s.batch.Load()))
	}
	if s.stuck.Load() {
		s.db = nil // it would wait for the merge
	} else {
		errs = append(errs, s.closeDatabase())
	}
	s.release()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("shelf: closing: %w", err)
	}
	return nil
}

func (s *Shelf) closeDatabase() error {
	if s.merger != nil {
		s.merger.Close()
	}
	s.disk.close()
	err := s.db.Close()
	s.db = nil
	return err
}

// release gives up what a partly done opening holds.
func (s *Shelf) release() {
	if s.db != nil {
		_ = s.closeDatabase()
	}
	if s.guard != nil {
		_ = s.guard.close()
	}
	if s.wheel != nil {
		_ = s.wheel.Close()
	}
}

// Relay is the public key under which receipts are signed.
func (s *Shelf) Relay() [32]byte { return [32]byte(s.o.Key.Public().(ed25519.PublicKey)) }
