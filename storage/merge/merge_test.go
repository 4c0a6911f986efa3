package merge

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logger passes on what Badger says.
type logger struct{ m *Merger }

func (l logger) Errorf(f string, _ ...any)   { l.hear(f) }
func (l logger) Warningf(f string, _ ...any) { l.hear(f) }
func (l logger) Infof(f string, _ ...any)    { l.hear(f) }
func (l logger) Debugf(f string, _ ...any)   { l.hear(f) }

func (l logger) hear(f string) {
	if l.m != nil {
		l.m.Heard(f)
	}
}

const few, stall = 3, 30

// open opens a database with small tables.
func open(t *testing.T, dir string, m *Merger) *badger.DB {
	t.Helper()
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(logger{m}).WithMemTableSize(1 << 20).
		WithValueThreshold(100 << 10).WithBaseTableSize(256 << 10).WithBaseLevelSize(1 << 20).WithNumMemtables(1).
		WithNumLevelZeroTables(few).WithNumLevelZeroTablesStall(stall).WithNumCompactors(2).WithMetricsEnabled(false))
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// fill writes so many tables full of random keys.
func fill(t *testing.T, db *badger.DB, tables int) {
	t.Helper()
	for range tables * 12 {
		if err := db.Update(func(tx *badger.Txn) error {
			for range 100 {
				key := binary.BigEndian.AppendUint64(nil, rand.Uint64())
				if err := tx.Set(key, make([]byte, 1000)); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// compactors counts Badger's goroutines that merge.
func compactors() int {
	buf := make([]byte, 1<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), "levelsController).runCompactor(")
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(end) {
			t.Fatal("in vain: ", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func young(db *badger.DB) int { return db.Levels()[0].NumTables }

// TestRest: nothing of Badger's looks for work while there is none; what is
// left when writing ends is merged, as Badger alone would do, and then nothing
// looks again.
func TestRest(t *testing.T) {
	m := New(Options{Many: 1000, Calm: 200 * time.Millisecond})
	db := open(t, t.TempDir(), m)
	until(t, "Badger's goroutines are known by name", func() bool { return compactors() > 0 })
	m.Start(db)
	until(t, "no goroutine looks for work", func() bool { return compactors() == 0 })
	fill(t, db, 6)
	until(t, "a few tables are merged when it is calm", func() bool { return young(db) < few })
	until(t, "no goroutine looks for work any more", func() bool { return compactors() == 0 })
	m.Close()
	until(t, "Badger merges as it likes after Close", func() bool { return compactors() > 0 })
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// TestMany: many tables are merged while somebody writes, before Badger makes
// the writer wait; with a merger that is deaf it would, for ever.
func TestMany(t *testing.T) {
	m := New(Options{Many: 5, Calm: time.Hour})
	db := open(t, t.TempDir(), m)
	m.Start(db)
	until(t, "a merge", func() bool {
		fill(t, db, 1)
		for _, l := range db.Levels()[1:] {
			if l.NumTables > 0 {
				return true
			}
		}
		return false
	})
	fill(t, db, 2*stall)
	m.Close()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// TestClose: a merger may be closed at any moment, also when it never started.
func TestClose(t *testing.T) {
	New(Options{}).Close()
	dir := t.TempDir()
	for i := range 6 {
		m := New(Options{Many: 4, Calm: time.Duration(i) * 20 * time.Millisecond})
		db := open(t, dir, m)
		m.Start(db)
		fill(t, db, i)
		m.Close()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
