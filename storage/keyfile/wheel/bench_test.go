package wheel

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"rushlight/storage/twoslot"
)

// benchWheel has 300 buckets, as many as a busy person's timers make.
func benchWheel(b testing.TB) *Wheel {
	b.Helper()
	w := openAt(b, filepath.Join(b.TempDir(), "wheel"))
	var ids []uint32
	for id := range uint32(300) {
		ids = append(ids, id)
	}
	must(b, w.Ensure(ids...))
	var convs [][16]byte
	for c := range byte(100) {
		convs = append(convs, [16]byte{c + 1})
	}
	must(b, w.EnsureConversations(convs...))
	must(b, w.Commit(Forget{Leaves: []Ref{{1, 1}}}))
	return w
}

// fiveSteps is what a commit asks of the disk, and nothing else.
func fiveSteps(tb testing.TB, dir string, pack, top int, slots *os.File) {
	tb.Helper()
	d := directory(dir)
	must(tb, d.write("pack", make([]byte, pack)))
	must(tb, d.write("top", make([]byte, top)))
	must(tb, d.syncDir())
	for i := range int64(2) {
		_, err := slots.WriteAt(make([]byte, twoslot.SlotSize), i*twoslot.SlotSize)
		must(tb, err)
		must(tb, slots.Sync())
	}
	must(tb, d.remove("pack"))
	must(tb, d.remove("top"))
}

// compareBurn returns the median times of one burn and of the bare steps on
// files of the same sizes, taken in turns.
func compareBurn(tb testing.TB, rounds int) (burn, bare time.Duration) {
	tb.Helper()
	w := benchWheel(tb)
	dir := tb.TempDir()
	must(tb, os.WriteFile(filepath.Join(dir, "slots"), make([]byte, 2*twoslot.SlotSize), 0o600))
	slots, err := os.OpenFile(filepath.Join(dir, "slots"), os.O_RDWR, 0)
	must(tb, err)
	defer func() { _ = slots.Close() }()
	var burns, bares []time.Duration
	for i := range rounds {
		start := time.Now()
		must(tb, w.Commit(Forget{Leaves: []Ref{{1, uint32(i)*977 + 2}}}))
		burns = append(burns, time.Since(start))
		top, err := os.Stat(filepath.Join(w.dir, topName(w.gen)))
		must(tb, err)
		start = time.Now()
		fiveSteps(tb, dir, w.packs[w.gen], int(top.Size()), slots)
		bares = append(bares, time.Since(start))
	}
	slices.Sort(burns)
	slices.Sort(bares)
	return burns[rounds/2], bares[rounds/2]
}

// A burn costs little more than its five syncs.
func TestBurnCost(t *testing.T) {
	if testing.Short() {
		t.Skip("measures the disk")
	}
	burn, bare := compareBurn(t, 60)
	t.Logf("burn %v, five bare steps %v: %.2f times", burn, bare, float64(burn)/float64(bare))
	if burn > 3*bare {
		t.Errorf("a burn takes %v, its steps on the disk %v", burn, bare)
	}
}

func BenchmarkBurn(b *testing.B) {
	w := benchWheel(b)
	leaf := uint32(10)
	for b.Loop() {
		must(b, w.Commit(Forget{Leaves: []Ref{{1, leaf}}}))
		leaf += 2
	}
}

// Burns at random, 100 at a time, until a hundredth of a bucket's messages is
// burned; then in the next bucket.
func BenchmarkBurnInGroups(b *testing.B) {
	for _, live := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(live), func(b *testing.B) {
			w := benchWheel(b)
			var left []int
			bucket, n := uint32(0), 0
			for b.Loop() {
				if len(left) == 0 {
					b.StopTimer()
					bucket = (bucket + 1) % 300
					left = rand.Perm(live)[:live/100]
					b.StartTimer()
				}
				f := Forget{}
				for _, leaf := range left[:100] {
					f.Leaves = append(f.Leaves, Ref{bucket, uint32(leaf)})
				}
				left = left[100:]
				must(b, w.Commit(f))
				n += 100
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "burns/s")
		})
	}
}

// The tree alone, without a disk.
func BenchmarkPuncture100k(b *testing.B) {
	for b.Loop() {
		tr := newTree()
		for _, leaf := range rand.Perm(1_000_000)[:100_000] {
			tr.puncture(uint32(leaf))
		}
	}
}

func BenchmarkKey(b *testing.B) {
	w := benchWheel(b)
	leaf := uint32(0)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Key(2, leaf, [16]byte{1}, []byte("a message's id")); err != nil {
			b.Fatal(err)
		}
		leaf++
	}
}

func BenchmarkOpen(b *testing.B) {
	w := benchWheel(b)
	must(b, w.Close())
	for b.Loop() {
		w, err := Open(w.dir, testKek, Options{})
		must(b, err)
		must(b, w.Close())
	}
}

func BenchmarkWipe(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		w := benchWheel(b)
		b.StartTimer()
		must(b, w.Wipe())
	}
}
