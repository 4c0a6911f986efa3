// Package storage is one device's own data: sealed records in ordered keys,
// written by one goroutine, read by many, in a Badger database of its own.
//
// It is not a cache and not a general database: there is one writer, every
// value is sealed under a key that only the opener has, and nothing is ever
// read that wasn't written under exactly that key. It promises: what
// [Store.Update] returned nil for is on the disk and is found again after a
// crash or a power cut, all of one Update or nothing of it; damage is refused
// as [ErrCorrupt] and never shown as data; a record put under a leaf can't be
// opened by anybody once the leaf was forgotten, nor an older version of a
// state, as far as [Store.Erasure] says. It doesn't promise that any other
// deleted or expired record is physically gone. FORMAT.md has every key, file
// and rule.
package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/gofrs/flock"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
	"rushlight/storage/keyfile/wheel"
	"rushlight/storage/logsync"
	"rushlight/storage/merge"
)

// Store is an open store. Its methods may be called from many goroutines,
// except that two Updates must not overlap.
type Store struct {
	dir   string
	keys  keys
	log   *slog.Logger
	db    *badger.DB
	lock  *flock.Flock
	space space
	clock clock
	inv   []Invariant
	audit *audit

	merger *merge.Merger // nil when nothing is merged

	poison  atomic.Pointer[poisonError]
	aloft   atomic.Pointer[Commit] // on its way to the disk: it may be seen in the database before
	counter atomic.Uint64

	writing   atomic.Bool // who set it owns what follows
	head      head        // of the newest transaction, also of one on its way
	durable   head        // of the newest one that is known to be on the disk
	hot       hot
	flight    *Commit // the newest transaction, on its way to the database
	sinking   *Commit // the one before it, on its way from there to the disk
	guard     *guard
	away      time.Duration
	opened    uint64 // commit counter when it was opened
	logNumber uint64 // of the log that Badger writes
	wal       syncer // nil when Badger syncs its log itself; a commit's until it is done
	leaves    leaves // reading keys is everybody's
	boxes     *suite.Boxes

	gate  gate
	close func() error
}

// syncer is a *logsync.Log, or a test's.
type syncer interface {
	Written(bytes int)
	Sync() error
	Close()
}

// Open opens the store in o.Dir, creating it when the directory holds none,
// and returns an error that is one of the package's sentinels where the caller
// can act on it. A directory that is refused is left as it was.
func Open(o Options) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{dir: o.Dir, keys: deriveKeys(o.Root), log: o.Logger, inv: o.Invariants, clock: clock{wall: o.Wall}}
	s.boxes, s.audit = suite.NewBoxes(s.keys.record), newAudit(s)
	err = s.open(o)
	clear(o.Root[:])
	if err != nil {
		s.release()
		return nil, fmt.Errorf("storage: opening: %w", err)
	}
	s.close = sync.OnceValue(s.shut)
	s.audit.ready()
	return s, nil
}

func (s *Store) open(o Options) error {
	if err := s.takeLock(); err != nil {
		return err
	}
	dbDir := filepath.Join(s.dir, dirDatabase)
	g, err := openGuard(filepath.Join(s.dir, fileGuard), s.keys, manifestExists(dbDir))
	if err != nil {
		return err
	}
	s.guard = g
	mark := g.mark
	if mark.counter > 0 && !manifestExists(dbDir) {
		return fmt.Errorf("%w: the database files are gone", ErrCorrupt)
	}
	s.space = space{dir: s.dir, update: toUpdate(o.MinFree), settle: toSettle(o.MemTableSize), ballast: o.Ballast}
	if err := s.space.beforeOpen(); err != nil {
		return err
	}
	seen, err := inspect(dbDir, s.keys, readNote(s.dir, &s.keys))
	if err != nil {
		return err
	}
	if err := s.openWheel(o.Root, mark.counter == 0 && !manifestExists(dbDir)); err != nil {
		return err
	}
	if err := os.MkdirAll(dbDir, 0o700); err != nil {
		return fmt.Errorf("creating the database directory: %w", err)
	}
	if s.space.ask(s.space.update) != nil {
		// On a full disk a merge of tables ends the process: none is done
		// until the store is opened with room.
		none := 0
		o.Compactors = &none
		s.log.Warn("little room on the disk: tables aren't merged until the store is opened again")
	}
	if *o.Compactors > 0 {
		s.merger = merge.New(merge.Options{Many: manyTables})
	}
	s.audit.begin(seen.tables)
	if s.db, err = openBadger(o.badger(dbDir, s.keys, seen.memTable, s.audit), o.Logger); err != nil {
		return err
	}
	if s.merger != nil {
		s.merger.Start(s.db)
	}
	s.audit.ranges()
	now, err := list(dbDir)
	if err != nil {
		return err
	}
	for _, l := range now.logs {
		s.logNumber = max(s.logNumber, l.number)
	}
	if logsync.Alone && !o.UnsafeNoSync {
		log, err := logsync.Open(dbDir)
		if err != nil {
			return cause(err, "opening the database")
		}
		s.wal = log
	}
	if err := s.readHead(mark, seen.version); err != nil {
		return err
	}
	if err := s.loadLeaves(); err != nil {
		return err
	}
	if err := s.migrate(Schema, migrations); err != nil {
		return err
	}
	s.opened = s.head.counter
	s.tightenModes()
	s.space.keepBallast()
	return nil
}

// takeLock makes the directory and takes its lock, which the system gives back
// when the process ends in any way.
func (s *Store) takeLock() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return cause(err, "creating the directory")
	}
	l := flock.New(filepath.Join(s.dir, fileLock), flock.SetPermissions(0o600))
	ok, err := l.TryLock()
	if err != nil {
		return cause(err, "locking the directory")
	}
	if !ok {
		return ErrLocked
	}
	s.lock = l
	probe := filepath.Join(s.dir, fileProbe)
	if err := os.WriteFile(probe, nil, 0o600); err != nil && !isNoSpace(err) {
		return cause(err, "writing to the directory")
	}
	_ = os.Remove(probe)
	return nil
}

// cause turns a system error into the package's sentinel for it.
func cause(err error, doing string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission) || isReadOnlyFS(err):
		return fmt.Errorf("%s: %w (%w)", doing, ErrReadOnly, err)
	case isNoSpace(err):
		return fmt.Errorf("%s: %w (%w)", doing, ErrNoSpace, err)
	case errors.Is(err, syscall.EIO):
		return fmt.Errorf("%s: %w (%w)", doing, ErrDisk, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// release undoes a partly done open.
func (s *Store) release() {
	if s.db != nil {
		_ = s.closeDatabase()
	} else {
		s.audit.end()
	}
	if s.leaves.Wheel != nil {
		_ = s.leaves.Close()
	}
	if s.guard != nil {
		_ = s.guard.close()
	}
	if s.lock != nil {
		_ = s.lock.Close()
	}
	s.keys.wipe()
}

// View runs fn on a snapshot. Any number may run at once, also beside an
// Update, whose writes they don't see; only a View that begins while a commit
// is on its way to the disk waits for it.
func (s *Store) View(fn func(*Tx) error) error {
	if !s.gate.enter() {
		return ErrClosed
	}
	defer s.gate.leave()
	tx := s.begin()
	defer tx.end()
	return fn(tx)
}

// Head returns the commit counter: the number of Updates that ever wrote
// something in this store, and of runs that did and were closed in order.
func (s *Store) Head() uint64 { return s.counter.Load() }

// Close waits for running Updates and Views, writes everything out and gives
// up the directory. Later calls return what the first did. On a disk too full
// for that it returns [ErrNoSpace] and keeps the directory until the process
// ends; nothing is lost.
func (s *Store) Close() error { return s.close() }

func (s *Store) shut() error {
	s.gate.shut(s.audit.broken)
	var errs []error
	errs = append(errs, s.settle())
	if s.poison.Load() == nil {
		errs = append(errs, s.lastCommit(), s.mirror())
	}
	if err := s.space.beforeClose(); errors.Is(err, ErrNoSpace) {
		return errors.Join(append(errs, fmt.Errorf("storage: closing: %w", err))...)
	}
	errs = append(errs, s.closeDatabase(), s.leaves.Close(), s.guard.close())
	s.tightenModes()
	s.audit.finish()
	errs = append(errs, s.lock.Close())
	s.keys.wipe()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("storage: closing: %w", err)
	}
	return nil
}

// lastCommit destroys what waits for it, and notes that nothing is left to do.
func (s *Store) lastCommit() error {
	if len(s.leaves.superseded) > 0 {
		if err := s.destroy(wheel.Forget{}); err != nil {
			return err
		}
	}
	room := s.space.ask(s.space.update) == nil
	if !s.leaves.clean || s.opened == s.head.counter || !room {
		return nil
	}
	return s.commitAlone(op{key: keyClean, value: wire.NewWriter(nil).U64(s.head.counter + 1).Out()})
}

// tightenModes takes away what Badger's file modes give to others. The
// directory's mode is what protects; this helps a copy of the files.
func (s *Store) tightenModes() {
	_ = os.Chmod(s.dir, 0o700)
	for _, dir := range []string{s.dir, filepath.Join(s.dir, dirDatabase), filepath.Join(s.dir, dirWheel)} {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if e.Type().IsRegular() {
				tighten(filepath.Join(dir, e.Name()))
			}
		}
	}
}

// tighten changes a mode only when it must: that changes the fingerprint, too.
func tighten(path string) {
	if st, err := os.Lstat(path); err == nil && st.Mode().Perm() != 0o600 {
		_ = os.Chmod(path, 0o600)
	}
}

// gate counts those inside and, once shut, lets nobody in.
type gate struct {
	mu     sync.Mutex
	inside int
	closed bool
	left   bool // everyone has, and empty is closed
	empty  chan struct{}
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

// hold is enter for somebody whom one inside leaves behind.
func (g *gate) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside++
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.closed && g.inside == 0 && !g.left {
		g.left = true
		close(g.empty)
	}
}

// shut closes the gate and waits until everyone has left. It is called once.
// or until broken is closed: then some may never leave.
func (g *gate) shut(broken <-chan struct{}) {
	g.mu.Lock()
	g.closed, g.empty = true, make(chan struct{})
	if g.inside == 0 {
		g.left = true
		close(g.empty)
	}
	g.mu.Unlock()
	select {
	case <-g.empty:
	case <-broken:
	}
}

// openBadger opens the database and turns a panic of its opening into
// [ErrCorrupt]. Panics in Badger's own goroutines can't be caught; [inspect]
// has refused every damage known to cause one.
func openBadger(o badger.Options, log *slog.Logger) (db *badger.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			db, err = nil, fmt.Errorf("%w: the database panicked while opening", ErrCorrupt)
		}
	}()
	start := time.Now()
	db, err = badger.Open(o)
	// This process has the directory, by a lock of its own. But Badger's lock of
	// an earlier store is also held by a process that is just being started here,
	// until it runs its program.
	if locked(err) {
		log.Debug("waiting for the database's lock")
	}
	for locked(err) && time.Since(start) < lockWait {
		time.Sleep(5 * time.Millisecond)
		db, err = badger.Open(o)
	}
	if err != nil {
		switch {
		case locked(err):
			return nil, ErrLocked
		case lacksRoom(err):
			return nil, fmt.Errorf("%w: %w", ErrNoSpace, err)
		case strings.Contains(err.Error(), syscall.EIO.Error()):
			return nil, ErrDisk
		}
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	log.Debug("database opened", "took", time.Since(start))
	return db, nil
}

// lockWait is how long Badger's lock is waited for.
const lockWait = 2 * time.Second

// locked reports whether Badger says that another process has its directory. It
// has no error for that.
func locked(err error) bool {
	return err != nil && strings.HasPrefix(err.Error(), "Cannot acquire directory lock")
}
