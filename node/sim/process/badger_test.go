//go:build linux

package process_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// record is the size of one record in bytes, as the store seals it. A zero
// value is a deletion. The keys of some records follow each other, those of
// others are hashes.
type recordSize struct {
	key, value int
	hashed     bool
}

// sizes are the records that one message of 100 bytes makes each side write.
var sizes = map[string][]recordSize{
	"sender": {
		{41, 358, false}, // message
		{17, 119, true},  // index, queued
		{41, 90, false},  // number
		{25, 857, false}, // outbox entry
		{9, 108, false},  // event
		{25, 0, false},   // outbox entry leaves
		{17, 119, true},  // index, delivered
		{9, 108, false},  // event
	},
	"recipient": {
		{41, 358, false}, // message
		{17, 119, true},  // index
		{41, 90, false},  // number
		{9, 108, false},  // event
	},
}

// perGroup is what every commit writes besides: the session, the chain or
// window, the conversation, the head.
var perGroup = []recordSize{{49, 1001, false}, {17, 300, false}, {17, 220, false}, {9, 81, false}}

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
	if r.hashed {
		sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, number))
		copy(key[1:], sum[:])
	} else {
		binary.BigEndian.PutUint64(key[len(key)-8:], number)
	}
	key[0] = byte(r.key)
	if r.value == 0 {
		return tx.Delete(key)
	}
	return tx.Set(key, random[:r.value])
}

// writeAlone is group commit and nothing else: whatever waits goes into one
// synced transaction.
func writeAlone(dir string, records []recordSize, n int) error {
	db, err := openBadger(dir)
	if err != nil {
		return err
	}
	defer db.Close()
	queue := make(chan func(), pipeline)
	var wg sync.WaitGroup
	go func() {
		slots := make(chan struct{}, pipeline)
		for range n {
			slots <- struct{}{}
			wg.Add(1)
			queue <- func() { <-slots; wg.Done() }
		}
		wg.Wait()
		close(queue)
	}()
	return commitGroups(db, records, queue, 128)
}

// commitGroups writes the records of one message for each entry of a queue,
// those that wait together in one transaction, at most so many, and calls the
// entry when they are on the disk, or when that failed.
func commitGroups(db *badger.DB, records []recordSize, queue <-chan func(), most int) error {
	seq := uint64(0)
	for first := range queue {
		group := []func(){first}
		for more := true; more && len(group) < most; {
			select {
			case f, ok := <-queue:
				if more = ok; ok {
					group = append(group, f)
				}
			default:
				more = false
			}
		}
		err := db.Update(func(tx *badger.Txn) error {
			for range group {
				seq++
				for _, r := range records {
					if err := r.put(tx, seq); err != nil {
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
		for _, f := range group {
			f()
		}
		if err != nil {
			return err
		}
	}
	return nil
}
