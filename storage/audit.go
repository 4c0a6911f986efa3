package storage

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/y"
)

// Reading every block of a large store takes longer than anybody wants to wait
// for it to open, and Badger shows a block that it can't read as if it held
// nothing. So a table that is, by its file's size, times and number, the one
// that was read whole in an earlier run (FORMAT.md §6.1) is read again after
// opening: at once when somebody reads from its range of keys, and in the
// background otherwise. Until all have been read no merge may finish.

// audit is the reading of tables beside the store's other work.
type audit struct {
	s       *Store
	pending []*tableFile  // read only
	byKey   []*tableFile  // pending by their first key, once Badger is open
	opened  chan struct{} // closed when the store is open
	rest    atomic.Int64  // how many of pending are still to be read
	cleared chan struct{}
	damage  atomic.Pointer[error]
	broken  chan struct{} // closed when damage is set
	stop    chan struct{}
	wanted  chan struct{} // a merge waits
	turned  chan struct{} // Badger began a new log: there will be a new table
	done    sync.WaitGroup

	mu   sync.Mutex
	read map[uint64]fingerprint // tables read whole, and how their files looked
}

// tableFile is a table that the manifest lists.
type tableFile struct {
	id     uint64
	path   string
	key    []byte
	print  fingerprint
	read   bool // whole, while opening
	lo, hi []byte

	once sync.Once
	err  error
}

func newAudit(s *Store) *audit {
	return &audit{
		s: s, read: map[uint64]fingerprint{}, opened: make(chan struct{}), cleared: make(chan struct{}), broken: make(chan struct{}),
		stop: make(chan struct{}), wanted: make(chan struct{}, 1), turned: make(chan struct{}, 1),
	}
}

// begin takes over the tables found before Badger opens them, and starts to
// read in the background, which end stops. Badger may merge while it opens, and
// wait for that.
func (a *audit) begin(tables []*tableFile) {
	for _, t := range tables {
		if t.read {
			a.read[t.id] = t.print
		} else {
			a.pending = append(a.pending, t)
		}
	}
	a.rest.Store(int64(len(a.pending)))
	if len(a.pending) == 0 {
		close(a.cleared)
	}
	a.done.Go(a.run)
}

// ranges learns from Badger, when it is open, which keys the tables hold. One
// that it has merged away has been read whole, or the merge would wait.
func (a *audit) ranges() {
	a.byKey = slices.Clone(a.pending)
	infos := map[uint64]badger.TableInfo{}
	for _, ti := range a.s.db.Tables() {
		infos[ti.ID] = ti
	}
	for _, t := range a.byKey {
		t.lo, t.hi = y.ParseKey(infos[t.id].Left), y.ParseKey(infos[t.id].Right)
	}
	slices.SortFunc(a.byKey, func(x, y *tableFile) int { return bytes.Compare(x.lo, y.lo) })
}

// ready lets the reading in the background begin: the store is open.
func (a *audit) ready() { close(a.opened) }

// end is called when Badger is closed: until then a merge may wait.
func (a *audit) end() {
	close(a.stop)
	a.done.Wait()
}

// closeDatabase closes Badger. When damage was found or the disk fails it can't:
// a merge may wait for ever, or a table that can't be written. The process is to
// end then, and nothing is lost.
func (s *Store) closeDatabase() error {
	closed := make(chan error, 1)
	if s.audit.damage.Load() == nil {
		go func() {
			if s.merger != nil {
				s.merger.Close()
			}
			if s.wal != nil {
				s.wal.Close()
			}
			closed <- s.db.Close()
		}()
	}
	select {
	case err := <-closed:
		s.audit.end()
		return err
	case <-s.audit.broken:
		s.audit.end()
		return *s.audit.damage.Load()
	}
}

// run reads what is left, and later the tables that Badger makes.
func (a *audit) run() {
	select {
	case <-a.stop:
		return
	case <-a.opened:
	case <-a.wanted: // opening itself waits for a merge
	}
	for _, t := range a.pending {
		select {
		case <-a.stop:
			return
		default:
		}
		if a.check(t) != nil {
			return
		}
	}
	select {
	case <-a.stop:
		return
	case <-a.opened:
		a.save()
	}
	for {
		select {
		case <-a.stop:
			return
		case <-a.turned:
		}
		// Most young tables are merged away soon.
		wait := time.NewTimer(auditDelay)
		select {
		case <-a.stop:
			wait.Stop()
			return
		case <-wait.C:
		}
		if a.readNew(a.stop) > 0 {
			a.save()
		}
	}
}

// auditDelay is how long after a new table it is read.
const auditDelay = 30 * time.Second

// tableBuffers are what tables are read into, one after the other.
var tableBuffers sync.Pool

// check reads a pending table once, whoever asks first.
func (a *audit) check(t *tableFile) error {
	t.once.Do(func() {
		buf, _ := tableBuffers.Get().([]byte)
		_, buf, err := verifyTable(t.path, t.key, buf)
		tableBuffers.Put(buf) //nolint:staticcheck // a slice's head is small beside what it saves
		if err != nil {
			t.err = fmt.Errorf("%w: table %d: %w", ErrCorrupt, t.id, err)
			a.fail(t.err)
			return
		}
		a.mu.Lock()
		a.read[t.id] = t.print
		a.mu.Unlock()
		if a.rest.Add(-1) == 0 {
			close(a.cleared)
		}
	})
	return t.err
}

// fail stops the store: from here on nothing is read or written.
func (a *audit) fail(err error) {
	if !a.damage.CompareAndSwap(nil, &err) {
		return
	}
	a.s.poison.CompareAndSwap(nil, &poisonError{cause: err})
	a.s.log.Warn("the store is closed to everybody", "error", err)
	close(a.broken)
}

// flushFailed stops the store when Badger can't write a table, which it would
// try for ever while nobody hears of it. It doesn't return: each try lists a
// table that it then removes. The log has what was to be in it.
func (a *audit) flushFailed(err error) {
	if lacksRoom(err) {
		a.fail(ErrNoSpace)
	} else {
		a.fail(ErrDisk)
	}
	select {}
}

// mergeFailed stops the store when Badger may have told its manifest of a merge
// that it then gave up. What was to be merged is still there.
func (a *audit) mergeFailed(err error) {
	if lacksRoom(err) {
		return
	}
	a.fail(ErrDisk)
	select {}
}

// lacksRoom is isNoSpace for errors of Badger, which keeps of the system's only
// the text.
func lacksRoom(err error) bool {
	text := err.Error()
	return isNoSpace(err) || strings.Contains(text, syscall.ENOSPC.Error()) || strings.Contains(text, syscall.EMFILE.Error())
}

// between makes sure that all tables with keys from lo to hi have been read
// whole. A nil hi is no end.
func (a *audit) between(lo, hi []byte) error {
	if err := a.damage.Load(); err != nil {
		return *err
	}
	if a.rest.Load() == 0 {
		return nil
	}
	for _, t := range a.byKey {
		if hi != nil && bytes.Compare(t.lo, hi) > 0 {
			return nil
		}
		if bytes.Compare(t.hi, lo) < 0 {
			continue
		}
		if err := a.check(t); err != nil {
			return err
		}
	}
	return nil
}

// walked is between for a step of an iterator. Reverse, a step starts at a key
// and ends below it.
func (a *audit) walked(from, to []byte, reverse bool) error {
	if reverse {
		return a.between(to, from)
	}
	return a.between(from, to)
}

// quiet reports whether there is nothing to be read, and no damage.
func (a *audit) quiet() bool { return a.rest.Load() == 0 && a.damage.Load() == nil }

// heard passes on what Badger says.
func (a *audit) heard(format string) {
	if a.s.merger != nil {
		a.s.merger.Heard(format)
	}
}

// beforeMerge returns when all tables found while opening are known to be
// whole. When one is damaged it never does: what the merge is about to drop is
// all there is to repair the store from.
func (a *audit) beforeMerge() {
	select {
	case a.wanted <- struct{}{}:
	default:
	}
	<-a.cleared
}

// readNew reads the tables that Badger has made since the last time, and
// returns how many.
func (a *audit) readNew(stop <-chan struct{}) (n int) {
	listed, reg, err := a.listed()
	if err != nil {
		return 0
	}
	var buf []byte
	for id, m := range listed {
		select {
		case <-stop:
			return n
		default:
		}
		a.mu.Lock()
		_, known := a.read[id]
		a.mu.Unlock()
		if known {
			continue
		}
		t := tableFile{id: id, path: tablePath(a.s.dir, id), key: reg.keys[m.KeyID]}
		if _, buf, err = t.verify(nil, buf); err != nil {
			if now, _, lerr := a.listed(); lerr == nil && now[id] == m {
				a.fail(fmt.Errorf("%w: table %d: %w", ErrCorrupt, id, err))
				return n
			}
			continue
		}
		a.mu.Lock()
		a.read[id] = t.print
		a.mu.Unlock()
		n++
	}
	return n
}

// listed reads the manifest and the registry as they are now. Badger may be
// writing them: then there is an error.
func (a *audit) listed() (map[uint64]badger.TableManifest, *registry, error) {
	dir := filepath.Join(a.s.dir, dirDatabase)
	reg, err := readRegistry(filepath.Join(dir, badger.KeyRegistryFileName), &a.s.keys)
	if err != nil {
		return nil, nil, err
	}
	listed, err := readManifest(dir, manifestExists(dir))
	return listed, reg, err
}

// save notes the tables that were read and still exist. A note that can't be
// written is missed by nobody but the next opening, which then reads more.
func (a *audit) save() {
	listed, _, err := a.listed()
	if err != nil {
		return
	}
	a.mu.Lock()
	maps.DeleteFunc(a.read, func(id uint64, _ fingerprint) bool { _, ok := listed[id]; return !ok })
	note := maps.Clone(a.read)
	a.mu.Unlock()
	a.s.saveNote(note)
}

// logTurned is told that Badger began a new log.
func (a *audit) logTurned() {
	select {
	case a.turned <- struct{}{}:
	default:
	}
}

// finish reads, after Badger has closed its files, the tables that weren't
// read yet, and notes them all.
func (a *audit) finish() {
	if a.damage.Load() != nil || a.rest.Load() != 0 {
		return
	}
	ls, err := list(filepath.Join(a.s.dir, dirDatabase))
	if err != nil {
		return
	}
	listed, reg, err := a.listed()
	if err != nil {
		return
	}
	tables, _, err := verifyListed(ls, listed, reg, a.read)
	if err != nil {
		a.s.log.Error("a table is damaged")
		return
	}
	note := map[uint64]fingerprint{}
	for _, t := range tables {
		note[t.id] = t.print
	}
	a.s.saveNote(note)
}

func tablePath(dir string, id uint64) string {
	return filepath.Join(dir, dirDatabase, fmt.Sprintf("%06d.sst", id))
}

// Broken is closed when damage is found in a store that was opened, or its disk
// fails: nothing is read or written any more, and every call says what is wrong.
func (s *Store) Broken() <-chan struct{} { return s.audit.broken }

// Fault is why Broken is closed, or nil.
func (s *Store) Fault() error {
	if err := s.audit.damage.Load(); err != nil {
		return *err
	}
	return nil
}
