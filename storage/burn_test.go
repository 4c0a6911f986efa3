package storage

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"rushlight/storage/keyfile/wheel"
	"rushlight/storage/twoslot"
)

// burner is a store with messages of a busy person: as many buckets as timers
// make, and n messages in one of them.
type burner struct {
	*Store
	dir    string
	leaves []Leaf
}

func newBurner(tb testing.TB, n int) *burner {
	tb.Helper()
	b := &burner{dir: tb.TempDir()}
	b.Store = open(tb, benchOptions(b.dir))
	now := time.Now()
	month := wheel.BucketSent(now)
	update(tb, b.Store, func(tx *Tx) error {
		for i := range 300 {
			life := time.Duration(i+1) * time.Hour
			if _, err := tx.NewLeaf(wheel.BucketFor(now.Add(life), life), conv1); err != nil {
				return err
			}
		}
		return nil
	})
	value := make([]byte, benchValue)
	for len(b.leaves) < n {
		update(tb, b.Store, func(tx *Tx) error {
			for range min(1000, n-len(b.leaves)) {
				l, err := tx.NewLeaf(month, conv1)
				if err != nil {
					return err
				}
				if err := tx.PutUnder(benchKey(uint64(len(b.leaves))), value, time.Time{}, l); err != nil {
					return err
				}
				b.leaves = append(b.leaves, l)
			}
			return nil
		})
	}
	return b
}

// burn burns the messages with some numbers, as the engine does: their keys
// and their records.
func (b *burner) burn(tb testing.TB, numbers ...int) {
	update(tb, b.Store, func(tx *Tx) error {
		for _, n := range numbers {
			tx.Forget(b.leaves[n])
			if err := tx.Delete(benchKey(uint64(n))); err != nil {
				return err
			}
		}
		return nil
	})
}

// sizes are those of the files that the last burn wrote.
func (b *burner) sizes(tb testing.TB) (pack, top int) {
	tb.Helper()
	for form, into := range map[string]*int{"top.*": &top, "pack.*": &pack} {
		names, err := filepath.Glob(filepath.Join(b.dir, dirWheel, form))
		if err != nil || len(names) == 0 {
			tb.Fatal("no ", form, err)
		}
		st, err := os.Stat(slices.Max(names))
		if err != nil {
			tb.Fatal(err)
		}
		*into = int(st.Size())
	}
	return pack, top
}

// fiveSteps is what a burn asks of the disk, and nothing else: two files
// written and synced, the directory, and two slots overwritten.
func fiveSteps(tb testing.TB, dir string, pack, top int) {
	tb.Helper()
	must := func(err error) {
		if err != nil {
			tb.Fatal(err)
		}
	}
	write := func(name string, flags int, at int64, b []byte) {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE|flags, 0o600)
		must(err)
		_, err = f.WriteAt(b, at)
		must(err)
		must(f.Sync())
		must(f.Close())
	}
	write("pack", os.O_TRUNC, 0, make([]byte, pack))
	write("top", os.O_TRUNC, 0, make([]byte, top))
	must(twoslot.SyncDir(dir))
	write("slots", 0, 0, make([]byte, twoslot.SlotSize))
	write("slots", 0, twoslot.SlotSize, make([]byte, twoslot.SlotSize))
	must(os.Remove(filepath.Join(dir, "pack")))
	must(os.Remove(filepath.Join(dir, "top")))
}

// compareBurns returns the median times of burning one message and of the five
// bare steps on files of the same sizes, taken in turns.
func compareBurns(tb testing.TB, rounds int) (burn, bare time.Duration) {
	tb.Helper()
	b, dir := newBurner(tb, 10_000), tb.TempDir()
	var burns, bares []time.Duration
	for i := range rounds {
		start := time.Now()
		b.burn(tb, i*97%10_000)
		burns = append(burns, time.Since(start))
		pack, top := b.sizes(tb)
		start = time.Now()
		fiveSteps(tb, dir, pack, top)
		bares = append(bares, time.Since(start))
	}
	slices.Sort(burns)
	slices.Sort(bares)
	return burns[rounds/2], bares[rounds/2]
}

// Burning a message, with its record, costs at most three times what the disk
// takes for the five steps.
func TestBurnOne(t *testing.T) {
	if testing.Short() {
		t.Skip("measures the disk")
	}
	const looks = 4 // others use the disk and the processors, too
	for range looks {
		burn, bare := compareBurns(t, 60)
		t.Logf("burn %v, five bare steps %v: %.2f times", burn, bare, float64(burn)/float64(bare))
		if burn <= 3*bare {
			return
		}
	}
	t.Errorf("in %d looks a burn took more than three times its steps on the disk", looks)
}

// BenchmarkBurnOne is the same as figures.
func BenchmarkBurnOne(b *testing.B) {
	burn, bare := compareBurns(b, max(60, b.N))
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(burn.Microseconds()), "µs/burn")
	b.ReportMetric(float64(bare.Microseconds()), "µs/five-steps")
	b.ReportMetric(float64(burn)/float64(bare), "ratio")
}

// BenchmarkBurnMany burns every message of a conversation's month in groups,
// and the fewer there are left the smaller the tree.
func BenchmarkBurnMany(b *testing.B) {
	for _, group := range []int{100, 500} {
		b.Run(fmt.Sprint(group), func(b *testing.B) {
			const n = 20_000
			burned, dir := 0, b.TempDir()
			var s *burner
			var spent, bare time.Duration
			for b.Loop() {
				if burned%n == 0 {
					s = newBurner(b, n)
				}
				var numbers []int
				for i := range group {
					numbers = append(numbers, (burned+i)*7919%n) // in no order
				}
				start := time.Now()
				s.burn(b, numbers...)
				spent += time.Since(start)
				burned += group
				pack, top := s.sizes(b)
				start = time.Now()
				fiveSteps(b, dir, pack, top)
				bare += time.Since(start)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(burned)/spent.Seconds(), "burns/s")
			b.ReportMetric(float64(burned)/bare.Seconds(), "five-steps-burns/s")
		})
	}
}
