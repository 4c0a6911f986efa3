package engine_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"rushlight/node/engine"
)

// underWay is how many callers send at once.
const underWay = 512

// BenchmarkDurable sends 100-byte texts through the engine from many
// goroutines, each waiting until its message is durable, and compares with what
// Badger's own group commit reaches in the same run when it writes records of
// the same sizes. Run it with -benchtime=60000x.
func BenchmarkDurable(b *testing.B) {
	x, y := newDevice(b, "ann"), newDevice(b, "bob")
	join(b, x, y)
	n := max(b.N, 4*underWay)
	text := strings.Repeat("x", 100)
	began := time.Now()
	each(n, func() error {
		_, err := x.Send(context.Background(), engine.Send{To: y.Account(), Text: text})
		return err
	}, b)
	ours := float64(n) / time.Since(began).Seconds()
	floor := badgerAlone(b, n)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ours, "msg/s")
	b.ReportMetric(floor, "badger-msg/s")
	b.ReportMetric(ours/floor, "ratio")
}

// each calls f n times from as many goroutines as are under way.
func each(n int, f func() error, b *testing.B) {
	var wg sync.WaitGroup
	for i := range underWay {
		wg.Go(func() {
			for range (n + i) / underWay {
				if err := f(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// written is a record as the store writes it: the sizes of its key and sealed
// value, and whether keys are hashes or follow each other.
type written struct {
	key, value int
	hashed     bool
}

var (
	// One message and what finds and delivers it.
	ofMessage = []written{{41, 520, false}, {17, 130, true}, {41, 90, false}, {25, 1035, false}, {9, 135, false}}
	// What one commit writes besides: session, chain, conversation, head.
	ofCommit = []written{{49, 3030, false}, {17, 330, false}, {17, 320, false}, {9, 81, false}}
)

// badgerAlone writes the records of n messages with group commit and nothing
// else, and returns messages a second.
func badgerAlone(b *testing.B, n int) float64 {
	// As package storage opens its database.
	db, err := badger.Open(badger.DefaultOptions(b.TempDir()).
		WithLogger(nil).WithSyncWrites(true).WithDetectConflicts(false).WithMetricsEnabled(false).
		WithMemTableSize(8 << 20).WithNumMemtables(1).WithValueThreshold(97 << 10).WithValueLogFileSize(1 << 20).
		WithBaseTableSize(2 << 20).WithNumLevelZeroTables(3).WithNumLevelZeroTablesStall(8).WithNumCompactors(2).
		WithCompression(options.None).WithBlockCacheSize(1 << 20).WithIndexCacheSize(2 << 20).
		WithEncryptionKey(make([]byte, 32)))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	random := make([]byte, 4096)
	_, _ = rand.Read(random)
	seq := uint64(0)
	put := func(tx *badger.Txn, r written, number uint64) error {
		key := make([]byte, r.key)
		if r.hashed {
			sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, number))
			copy(key[1:], sum[:])
		} else {
			binary.BigEndian.PutUint64(key[len(key)-8:], number)
		}
		key[0] = byte(r.value)
		return tx.Set(key, random[:r.value])
	}
	queue := make(chan chan error, underWay)
	go func() {
		for first := range queue {
			group := []chan error{first}
			for more := true; more; {
				select {
				case c, ok := <-queue:
					if more = ok; ok {
						group = append(group, c)
					}
				default:
					more = false
				}
			}
			err := db.Update(func(tx *badger.Txn) error {
				for range group {
					seq++
					for _, r := range ofMessage {
						if err := put(tx, r, seq); err != nil {
							return err
						}
					}
				}
				for _, r := range ofCommit {
					if err := put(tx, r, 0); err != nil {
						return err
					}
				}
				return nil
			})
			for _, c := range group {
				c <- err
			}
		}
	}()
	began := time.Now()
	each(n, func() error {
		done := make(chan error, 1)
		queue <- done
		return <-done
	}, b)
	close(queue)
	return float64(n) / time.Since(began).Seconds()
}
