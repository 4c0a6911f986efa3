package process_test

import (
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

// sizes are the keys and values, in bytes, that one message of 100 bytes makes
// each side write, as the store seals them. A zero value is a deletion.
var sizes = map[string][][2]int{
	"sender": {
		{49, 350},  // message
		{17, 140},  // index, queued
		{41, 120},  // number
		{25, 2260}, // outbox entry
		{9, 140},   // event
		{25, 0},    // outbox entry leaves
		{17, 140},  // index, delivered
		{9, 140},   // event
	},
	"recipient": {
		{49, 350}, // message
		{17, 140}, // index
		{41, 120}, // number
		{9, 140},  // event
	},
}

// perGroup is what every commit writes besides: the session, the chain or
// window, the conversation.
var perGroup = [][2]int{{49, 6500}, {17, 400}, {17, 400}}

// serveChild makes this test binary a writer for [badgerAlone].
func serveChild() (served bool, code int) {
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

// writeAlone is group commit and nothing else: whatever waits goes into one
// synced transaction.
func writeAlone(dir string, records [][2]int, n int) error {
	// As package storage opens its database.
	db, err := badger.Open(badger.DefaultOptions(dir).
		WithLogger(nil).WithSyncWrites(true).WithDetectConflicts(false).WithMetricsEnabled(false).
		WithMemTableSize(8 << 20).WithNumMemtables(1).WithValueThreshold(97 << 10).WithValueLogFileSize(1 << 20).
		WithBaseTableSize(2 << 20).WithNumLevelZeroTables(3).WithNumLevelZeroTablesStall(8).WithNumCompactors(2).
		WithCompression(options.None).WithBlockCacheSize(1 << 20).WithIndexCacheSize(2 << 20).
		WithEncryptionKey(make([]byte, 32)))
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
	seq := uint64(0)
	put := func(tx *badger.Txn, size [2]int) error {
		key := make([]byte, size[0])
		key[0] = byte(size[0])
		binary.BigEndian.PutUint64(key[len(key)-8:], seq)
		if size[1] == 0 {
			return tx.Delete(key)
		}
		return tx.Set(key, make([]byte, size[1]))
	}
	for first := range queue {
		group := []func(){first}
		for more := true; more && len(group) < 128; {
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
				for _, size := range records {
					if err := put(tx, size); err != nil {
						return err
					}
				}
			}
			for _, size := range perGroup {
				if err := put(tx, size); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, f := range group {
			f()
		}
	}
	return nil
}
