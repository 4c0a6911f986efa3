//go:build linux

package process_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// recordSize is the size of one record in bytes, as the store seals it. A zero
// value is a deletion. The keys of some records follow each other, those of
// others are hashes.
type recordSize struct {
	family     byte // of its key: records of one family and number replace each other
	key, value int
	hashed     bool
}

// sizes are the records that one message of 100 bytes makes each side write, in
// one transaction after the other.
var sizes = map[string][][]recordSize{
	"sender": {{
		{0x41, 41, 359, false}, // message
		{0x42, 17, 121, true},  // index, queued
		{0x45, 41, 90, false},  // number
		{0x30, 25, 859, false}, // outbox entry
		{0x50, 9, 108, false},  // event
	}, {
		{0x30, 25, 0, false},  // outbox entry leaves
		{0x42, 17, 121, true}, // index, delivered
		{0x51, 9, 108, false}, // event, under a number of its own
	}},
	"recipient": {{
		{0x41, 41, 359, false}, // message
		{0x42, 17, 121, true},  // index
		{0x45, 41, 90, false},  // number
		{0x50, 9, 108, false},  // event
	}},
}

// perGroup is what every commit writes besides: the session, the chain or
// window, the conversation, the head.
var perGroup = []recordSize{{0x20, 49, 1975, false}, {0x23, 17, 220, false}, {0x40, 17, 212, false}, {0, 5, 81, false}}

// serveChild makes this test binary a writer for [badgerAlone], or the other
// side of [newEcho] of [TestHostilePeers] or of
// [TestIdle].
func serveChild() (served bool, code int) {
	if os.Getenv("RUSHLIGHT_ECHO") != "" {
		return true, serveEcho()
	}
	if dir := os.Getenv("RUSHLIGHT_VICTIM"); dir != "" {
		return true, serveVictim(dir)
	}
	if os.Getenv("RUSHLIGHT_CROWD") != "" {
		return true, serveCrowd()
	}
	if to := os.Getenv("RUSHLIGHT_ATTACK"); to != "" {
		return true, serveAttack(to)
	}
	side, dir := os.Getenv("RUSHLIGHT_BADGER_SIDE"), os.Getenv("RUSHLIGHT_BADGER_DIR")
	if side == "" {
		return false, 0
	}
	n, err := strconv.Atoi(os.Getenv("RUSHLIGHT_BADGER_N"))
	if err == nil {
		err = writeAlone(dir, sizes[side], n)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return true, 1
	}
	return true, 0
}

// badgerAlone writes the records of n messages in two processes, one for each
// side, and returns messages a second.
func badgerAlone(b *testing.B, n int) float64 {
	b.Helper()
	var cmds []*exec.Cmd
	began := time.Now()
	for side := range sizes {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(),
			"RUSHLIGHT_BADGER_SIDE="+side, "RUSHLIGHT_BADGER_DIR="+b.TempDir(), "RUSHLIGHT_BADGER_N="+strconv.Itoa(n))
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		cmds = append(cmds, cmd)
	}
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			b.Fatal(err)
		}
	}
	return float64(n) / time.Since(began).Seconds()
}

// openBadger opens a database as package storage does, except that Badger merges
// as it likes: from as many young tables on as the store does while somebody
// writes, which is the fastest for writing.
func openBadger(dir string) (*badger.DB, error) {
	return badger.Open(badger.DefaultOptions(dir).
		WithLogger(nil).WithSyncWrites(true).WithDetectConflicts(false).WithMetricsEnabled(false).
		WithMemTableSize(8 << 20).WithNumMemtables(1).WithValueThreshold(97 << 10).WithValueLogFileSize(1 << 20).
		WithBaseTableSize(2 << 20).WithNumLevelZeroTables(8).WithNumLevelZeroTablesStall(16).WithNumCompactors(2).
		WithCompression(options.None).WithBlockCacheSize(1 << 20).WithIndexCacheSize(2 << 20).
		WithEncryptionKey(make([]byte, 32)))
}

// random is what values consist of.
var random = func() []byte { b := make([]byte, 4096); _, _ = rand.Read(b); return b }()

// put writes a record of this size under a key made of a number.
func (r recordSize) put(tx *badger.Txn, number uint64) error {
	key := make([]byte, r.key)
	switch {
	case r.hashed:
		sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, number))
		copy(key[1:], sum[:])
	case r.key > 8:
		binary.BigEndian.PutUint64(key[len(key)-8:], number)
	}
	key[0] = r.family
	if r.value == 0 {
		return tx.Delete(key)
	}
	return tx.Set(key, random[:r.value])
}

// written is one message in a queue for [commitGroups].
type written struct {
	number  uint64
	records []recordSize
	done    func() // when it is on the disk
}

// writeAlone is group commit and nothing else: whatever waits goes into one
// synced transaction. What a message makes its side write after its first
// transaction waits until that is on the disk.
func writeAlone(dir string, steps [][]recordSize, n int) error {
	db, err := openBadger(dir)
	if err != nil {
		return err
	}
	defer db.Close()
	return writeSteps(db, steps, n)
}

func writeSteps(db *badger.DB, steps [][]recordSize, n int) error {
	// One entry at most for each message under way: nobody waits to put one in.
	queue := make(chan written, pipeline)
	go func() {
		var under sync.WaitGroup
		slots := make(chan struct{}, pipeline)
		for i := range n {
			slots <- struct{}{}
			under.Add(1)
			var step func(k int)
			step = func(k int) {
				if k == len(steps) {
					<-slots
					under.Done()
					return
				}
				queue <- written{uint64(i), steps[k], func() { step(k + 1) }}
			}
			step(0)
		}
		under.Wait()
		close(queue)
	}()
	return commitGroups(db, queue, group)
}

// group is how many entries [writeAlone] takes into one transaction at most.
const group = 256

// commitGroups writes the records of each entry of a queue, those that wait
// together in one transaction, at most so many, and tells the entries.
func commitGroups(db *badger.DB, queue <-chan written, most int) error {
	for first := range queue {
		group := []written{first}
		for more := true; more && len(group) < most; {
			select {
			case w, ok := <-queue:
				if more = ok; ok {
					group = append(group, w)
				}
			default:
				more = false
			}
		}
		err := db.Update(func(tx *badger.Txn) error {
			for _, w := range group {
				for _, r := range w.records {
					if err := r.put(tx, w.number); err != nil {
						return err
					}
				}
			}
			for _, r := range perGroup {
				if err := r.put(tx, 0); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, w := range group {
			w.done()
		}
	}
	return nil
}

// TestAloneWritesAll: what Badger alone is measured with is what a message makes
// the store write, each record of it: two with one key in one transaction would
// be one.
func TestAloneWritesAll(t *testing.T) {
	for side, steps := range sizes {
		db, err := openBadger(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		const n = 300
		if err := writeSteps(db, steps, n); err != nil {
			t.Fatal(err)
		}
		records, bytes := 0, 0
		for _, s := range steps {
			for _, r := range s {
				records += n
				bytes += n * (r.key + r.value)
			}
		}
		err = db.View(func(tx *badger.Txn) error {
			all := tx.NewIterator(badger.IteratorOptions{AllVersions: true})
			defer all.Close()
			for all.Rewind(); all.Valid(); all.Next() {
				if !ofGroup(all.Item().Key()[0]) {
					records--
					bytes -= len(all.Item().Key()) + int(all.Item().ValueSize())
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if records != 0 || bytes != 0 {
			t.Errorf("%s: %d records and %d bytes are missing", side, records, bytes)
		}
	}
}

// ofGroup tells whether a record's family is one of [perGroup].
func ofGroup(family byte) bool {
	return slices.ContainsFunc(perGroup, func(r recordSize) bool { return r.family == family })
}
