package storage

import (
	"bufio"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

var million = flag.Bool("million", false, "also open a store of 1,000,000 records")

// benchOptions are the defaults but for the room that they ask of the disk.
func benchOptions(dir string) Options {
	return Options{Dir: dir, Root: testRoot, MinFree: 1, Ballast: -1}
}

func benchKey(n uint64) Key {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(Key("m"), n*0x9E3779B97F4A7C15), n)
}

const benchValue = 300

// BenchmarkGroupCommit writes groups of records with fresh keys, each group as
// one synced transaction, with this package and with Badger alone.
func BenchmarkGroupCommit(b *testing.B) {
	value := make([]byte, benchValue)
	for i := range value {
		value[i] = byte(rand.Uint32())
	}
	report := func(b *testing.B, size int) {
		b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "records/s")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/record")
	}
	for _, size := range []int{1, 64, 512, 2000} {
		b.Run(fmt.Sprintf("sealed/%d", size), func(b *testing.B) {
			s := open(b, benchOptions(b.TempDir()))
			n := uint64(0)
			for b.Loop() {
				update(b, s, func(tx *Tx) error {
					for range size {
						n++
						if err := tx.Put(benchKey(n), value); err != nil {
							return err
						}
					}
					return nil
				})
			}
			report(b, size)
		})
		b.Run(fmt.Sprintf("raw/%d", size), func(b *testing.B) {
			o, err := benchOptions(b.TempDir()).withDefaults()
			if err != nil {
				b.Fatal(err)
			}
			db, err := badger.Open(o.badger(filepath.Join(o.Dir, "raw"), deriveKeys(testRoot), 0, nil))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = db.Close() })
			n := uint64(0)
			for b.Loop() {
				err := db.Update(func(tx *badger.Txn) error {
					for range size {
						n++
						if err := tx.Set(benchKey(n), value); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			report(b, size)
		})
	}
}

// BenchmarkSeal is what a commit adds per record: sealing it, and its part of
// the digest that the head is chained with.
func BenchmarkSeal(b *testing.B) {
	k := deriveKeys(testRoot)
	s, err := Open(testOptions(b.TempDir()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	key, value := benchKey(1), make([]byte, benchValue)
	b.Run("value", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.sealValue(new(desk), make([]byte, 0, 400), key, value, header{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("erasable", func(b *testing.B) {
		b.ReportAllocs()
		h := header{erasable: true, leaf: Leaf{Bucket: s.leaves.bucket}}
		for b.Loop() {
			h.leaf.Number++
			if _, err := s.sealValue(new(desk), make([]byte, 0, 400), key, value, h); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("digest", func(b *testing.B) {
		const n = 1000
		transcript := make([]byte, n*(1+2+len(key)+40))
		var h head
		for b.Loop() {
			h = h.next(&k, transcript)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/record")
	})
}

func fillStore(tb testing.TB, dir string, records uint64) {
	tb.Helper()
	s, err := Open(benchOptions(dir))
	if err != nil {
		tb.Fatal(err)
	}
	value := make([]byte, benchValue)
	for n := uint64(0); n < records; {
		update(tb, s, func(tx *Tx) error {
			for i := 0; i < 1000 && n < records; i++ {
				n++
				if err := tx.Put(benchKey(n), value); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkOpen opens a store that was closed.
func BenchmarkOpen(b *testing.B) {
	sizes := []uint64{1000, 100_000}
	if *million {
		sizes = append(sizes, 1_000_000)
	}
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := b.TempDir()
			fillStore(b, dir, n)
			for b.Loop() {
				s, err := Open(benchOptions(dir))
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// BenchmarkScan opens the values of 100,000 records.
func BenchmarkScan(b *testing.B) {
	dir := b.TempDir()
	fillStore(b, dir, 100_000)
	s := open(b, benchOptions(dir))
	count := 0
	for b.Loop() {
		count = 0
		err := s.View(func(tx *Tx) error {
			return tx.Scan(Key("m"), nil, false, func(Key, []byte) (bool, error) { count++; return true, nil })
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*count), "ns/record")
}

func init() {
	// idle DIR: prints the memory of a process that does nothing yet, fills a
	// store with 200,000 records and prints its memory, then opens it again and
	// prints that of an idle store. (After the burst alone Badger gives its
	// builders' memory back one by one, in 20 s.)
	children["idle"] = func(args []string) error {
		debug.SetMemoryLimit(32 << 20)
		debug.SetGCPercent(50)
		fmt.Println(memory())
		s, err := Open(benchOptions(args[0]))
		if err != nil {
			return err
		}
		value := make([]byte, benchValue)
		for n := uint64(0); n < 200_000; {
			err := s.Update(func(tx *Tx) error {
				for range 1000 {
					n++
					if err := tx.Put(benchKey(n), value); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		fmt.Println(memory())
		if err := s.Close(); err != nil {
			return err
		}
		if s, err = Open(benchOptions(args[0])); err != nil {
			return err
		}
		if err := s.Update(func(tx *Tx) error { return tx.Put(Key("k"), value) }); err != nil {
			return err
		}
		<-s.audit.cleared
		// It is idle when what the writing left to compact is compacted.
		for look := time.Tick(200 * time.Millisecond); ; <-look {
			debug.FreeOSMemory()
			s.Trim()
			if _, err := fmt.Println(memory()); err != nil {
				return err
			}
		}
	}
}

// memory returns this process's lines about resident memory.
func memory() string {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err.Error()
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "VmRSS") || strings.HasPrefix(line, "RssAnon") || strings.HasPrefix(line, "RssFile") ||
			strings.HasPrefix(line, "VmHWM") {
			out = append(out, strings.Join(strings.Fields(line), " "))
		}
	}
	return strings.Join(out, ", ")
}

// An idle store of 200,000 messages takes at most 30 MB.
func TestIdleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 200,000 records")
	}
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("needs /proc")
	}
	cmd := child(t, "idle", t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// It runs until it is killed.
	tooLong := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer tooLong.Stop()
	lines := bufio.NewScanner(out)
	next := func() (rss int) {
		if !lines.Scan() {
			t.Fatalf("the store wasn't idle in two minutes: %v", lines.Err())
		}
		t.Log(lines.Text())
		var hwm int
		if _, err := fmt.Sscanf(lines.Text(), "VmHWM: %d kB, VmRSS: %d kB", &hwm, &rss); err != nil {
			t.Fatal(err)
		}
		return rss
	}
	const limit = 30_000_000 >> 10
	without, _ := next(), next()
	for next()-without > limit {
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}
