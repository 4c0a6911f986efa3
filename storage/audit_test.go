package storage

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// rot makes the store believe that its tables haven't changed: what a disk
// does that forgets a bit, and no test can do to the time of a file's change.
func rot(t testing.TB, dir string) {
	t.Helper()
	k := deriveKeys(testRoot)
	ls, err := list(filepath.Join(dir, dirDatabase))
	if err != nil {
		t.Fatal(err)
	}
	note := map[uint64]fingerprint{}
	for id, path := range ls.tables {
		if note[id], err = fingerprintOf(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, fileNote), encodeNote(&k, note), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A second opening reads only the ends of tables, and of a changed one
// everything again.
func TestNote(t *testing.T) {
	dir, _ := ledgerDir(t, true)
	s := open(t, testOptions(dir))
	if len(s.audit.pending) == 0 || len(s.audit.pending) != len(s.db.Tables()) {
		t.Fatalf("%d of %d tables were left for later", len(s.audit.pending), len(s.db.Tables()))
	}
	<-s.audit.cleared
	_ = s.Close()

	k := deriveKeys(testRoot)
	path := filepath.Join(dir, fileNote)
	note := readNote(dir, &k)
	tables, err := filepath.Glob(filepath.Join(dir, dirDatabase, "*.sst"))
	if err != nil || len(note) != len(tables) {
		t.Fatalf("%d of %d tables are noted", len(note), len(tables))
	}
	if err := os.Chmod(tables[0], 0o400); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(tables[0], 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, testOptions(dir))
	if len(s.audit.pending) != len(tables)-1 {
		t.Errorf("after a change to one of %d tables %d are trusted", len(tables), len(s.audit.pending))
	}
	_ = s.Close()

	for name, raw := range map[string][]byte{"empty": nil, "no tag": encodeNote(&k, note)[:len(noteMagic)+40]} {
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		s = open(t, testOptions(dir))
		if n := len(s.audit.pending); n != 0 {
			t.Errorf("a note that is %s: %d tables are trusted", name, n)
		}
		_ = s.Close()
	}
}

// wideDir is ledgerDir with tables that hold none of the ledger.
func wideDir(t testing.TB) (dir string, acked uint64) {
	t.Helper()
	dir, acked = ledgerDir(t, true)
	s := open(t, testOptions(dir))
	value := make([]byte, 4<<10)
	for n := range uint64(60) {
		update(t, s, func(tx *Tx) error {
			for i := range uint64(50) {
				if err := tx.Put(benchKey(n*50+i), value); err != nil {
					return err
				}
			}
			return nil
		})
	}
	s.merger.Close()
	if err := s.db.Flatten(2); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, acked
}

// Bits that a disk forgot in tables that count as read are found before
// anything wrong is shown.
func TestRot(t *testing.T) {
	const places = 3 // the first block and the last are read while opening
	dir, acked := wideDir(t)
	tables, err := filepath.Glob(filepath.Join(dir, dirDatabase, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatal("no tables", err)
	}
	if testing.Short() {
		tables = tables[:(len(tables)+1)/2]
	}
	outcomes := map[string]int{}
	for _, table := range tables {
		raw, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		for i := range places {
			broken := copyDir(t, dir)
			bad := append([]byte(nil), raw...)
			at := (len(raw) - 1) * i / (places - 1)
			bad[at] ^= 1 << (i % 8)
			if err := os.WriteFile(filepath.Join(broken, dirDatabase, filepath.Base(table)), bad, 0o600); err != nil {
				t.Fatal(err)
			}
			rot(t, broken)
			out, err := child(t, "reader", broken, strconv.FormatUint(acked, 10)).Output()
			if err != nil {
				t.Errorf("%s at %d of %d: %v %s", filepath.Base(table), at, len(raw), err, out)
			}
			outcomes[strings.TrimSpace(string(out))]++
		}
	}
	t.Log(outcomes)
	if outcomes["intact"] != 0 {
		t.Error("a flipped bit wasn't found")
	}
	if outcomes["found"]+outcomes["noticed"] == 0 || outcomes["refused"] == 0 {
		t.Error("never found after opening, or never refused")
	}
}

type barrier struct{ reached, proceed chan struct{} }

func (b barrier) beforeMerge() {
	select {
	case b.reached <- struct{}{}:
	default:
	}
	<-b.proceed
}
func (barrier) heard(string)      {}
func (barrier) flushFailed(error) {}
func (barrier) mergeFailed(error) {}

// Badger says mergeRead before it tells its manifest that a merge is done, and
// waits for the answer.
func TestMergeWaits(t *testing.T) {
	dir := t.TempDir()
	reached, proceed := make(chan struct{}, 1), make(chan struct{})
	o, err := testOptions(dir).withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	db, err := badger.Open(o.badger(dir, deriveKeys(testRoot), 0, barrier{reached, proceed}))
	if err != nil {
		t.Fatal(err)
	}
	for n := range uint64(40) {
		err := db.Update(func(tx *badger.Txn) error {
			for i := range uint64(50) {
				if err := tx.Set(benchKey(n*50+i), make([]byte, 4<<10)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	<-reached
	before := map[uint64]bool{}
	for _, ti := range db.Tables() {
		before[ti.ID] = true
	}
	listed, err := readManifest(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	for id := range before {
		if _, ok := listed[id]; !ok {
			t.Error("the manifest changed before the answer")
		}
	}
	close(proceed)
	for len(before) > 0 { // until the merge is done
		now := map[uint64]bool{}
		for _, ti := range db.Tables() {
			now[ti.ID] = true
		}
		if !maps.Equal(now, before) {
			break
		}
		runtime.Gosched()
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	a := newAudit(&Store{log: o.Logger})
	a.begin([]*tableFile{{id: 1, path: "gone"}})
	done := make(chan struct{})
	go func() { a.beforeMerge(); close(done) }()
	<-a.broken
	select {
	case <-done:
		t.Error("a merge may go on although a table is damaged")
	default:
	}
	a.end()
	if !a.quiet() && a.between(nil, nil) == nil {
		t.Error("damage isn't told")
	}
	close(a.cleared)
	<-done
}

func init() {
	// merger DIR: writes until merges must have run, and exits with success
	// when the store says that it is damaged.
	children["merger"] = func(args []string) error {
		s, err := Open(testOptions(args[0]))
		if errors.Is(err, ErrCorrupt) {
			return nil // the reading in the background was quicker
		}
		if err != nil {
			return err
		}
		value := make([]byte, 4<<10)
		for n := range uint64(50_000) {
			err := s.Update(func(tx *Tx) error {
				for i := range uint64(50) {
					if err := tx.Put(benchKey(n*50+i), value); err != nil {
						return err
					}
				}
				return nil
			})
			if errors.Is(err, ErrCorrupt) && errors.Is(err, ErrPoisoned) {
				<-s.Broken()
				if err := s.View(func(tx *Tx) error { _, err := tx.Get(Key("k")); return err }); !errors.Is(err, ErrCorrupt) {
					return fmt.Errorf("reading a damaged store: %w", err)
				}
				if err := s.Close(); !errors.Is(err, ErrCorrupt) {
					return fmt.Errorf("closing a damaged store: %w", err)
				}
				return nil
			}
			if err != nil {
				return err
			}
		}
		return errors.New("WRONG: never noticed")
	}
}

// A merge doesn't drop what it can't read: with the bit put right everything
// is there. Badger alone loses it for good.
func TestRotBeforeMerge(t *testing.T) {
	dir, _ := wideDir(t)
	good, err := rawValues(t, copyDir(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	k := deriveKeys(testRoot)
	tables, err := filepath.Glob(filepath.Join(dir, dirDatabase, "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	far := maps.Clone(good) // in a table that opening doesn't read
	maps.DeleteFunc(far, func(key, _ string) bool { return key < "m\xc0" })
	flip := func(dir string) (undo func()) {
		for _, path := range tables {
			path = filepath.Join(dir, dirDatabase, filepath.Base(path))
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if flipValue(t, path, &k, far) {
				return func() {
					if err := os.WriteFile(path, raw, 0o600); err != nil && !errors.Is(err, os.ErrNotExist) {
						t.Fatal(err)
					}
				}
			}
		}
		t.Fatal("no table has a live value")
		return nil
	}
	broken := copyDir(t, dir)
	undo := flip(broken)
	rot(t, broken)
	if out, err := child(t, "merger", broken).Output(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	undo()
	s := open(t, testOptions(broken))
	if _, err := ledgerCheck(s); err != nil {
		t.Errorf("after the bit was put right: %v", err)
	}

	control := copyDir(t, dir)
	flip(control)
	db, err := badger.Open(badger.DefaultOptions(filepath.Join(control, dirDatabase)).WithLogger(nil).
		WithExternalMagic(Schema).WithEncryptionKey(k.badger[:]).WithBlockCacheSize(1 << 20).WithIndexCacheSize(1 << 20).
		WithCompression(options.None).WithMemTableSize(4 << 20).WithValueThreshold(maxStored + 1).
		WithChecksumVerificationMode(options.OnBlockRead))
	if err != nil {
		t.Fatal(err)
	}
	// Something in each of two levels makes it merge.
	err = db.Update(func(tx *badger.Txn) error {
		if err := tx.Set([]byte("\x00a"), []byte("a")); err != nil {
			return err
		}
		return tx.Set([]byte("\xffz"), []byte("z"))
	})
	if err == nil {
		err = db.DropPrefix([]byte("\x00a"))
	}
	if err == nil {
		err = db.Flatten(1)
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	left, err := rawValues(t, control)
	if err != nil {
		t.Fatal(err)
	}
	delete(left, "\xffz")
	if len(left) >= len(good) || maps.Equal(left, good) {
		t.Errorf("control: Badger merged a damaged table and lost nothing of %d", len(good))
	}
	t.Logf("control: Badger lost %d of %d", len(good)-len(left), len(good))
}
