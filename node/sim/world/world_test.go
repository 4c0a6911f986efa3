package world

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/metrics"
)

// TestMain starts, outside of any bubble, what libp2p starts once for the
// process and never ends.
func TestMain(m *testing.M) {
	metrics.NewBandwidthCounter().LogSentMessage(1)
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		// Worlds leave much behind, and a quarter of the time went into that.
		debug.SetGCPercent(300)
		debug.SetMemoryLimit(2 << 30)
	}
	code := m.Run()
	if err := templates.remove(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// world is everybody, the network between them, and what was promised to them.
type world struct {
	t      *testing.T
	ctx    context.Context
	seed   uint64
	rng    *rand.Rand
	air    *air
	base   string
	dirs   int
	born   time.Time
	people []*person
	oracle oracle
	count  map[string]int
}

// seedOf is the seed of this run; RUSHLIGHT_SIM_SEED sets another.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	s := os.Getenv("RUSHLIGHT_SIM_SEED")
	if s == "" {
		return 1
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// verbose shows what everybody logs and the driver does.
var verbose = os.Getenv("RUSHLIGHT_SIM_TRACE") != ""

// simulate runs f in virtual time among n people who don't know each other.
func simulate(t *testing.T, n int, f func(w *world)) {
	t.Helper()
	simulateAs(t, n, func(*person) {}, f)
}

// simulateAs is simulate with people whom dress makes different before their
// devices are switched on for the first time.
func simulateAs(t *testing.T, n int, dress func(p *person), f func(w *world)) {
	t.Helper()
	t.Parallel() // each has a time of its own
	seed := seedOf(t)
	base := tempDir(t)
	templates.make(t, n)
	began := time.Now()
	virtual := time.Duration(0)
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			t: t, ctx: t.Context(), seed: seed, rng: rand.New(rand.NewPCG(seed, 0)),
			base: base, born: time.Now(), count: map[string]int{},
		}
		w.air = newAir(rand.New(rand.NewPCG(seed, 1)), n)
		w.oracle.init()
		defer func() {
			for _, p := range w.people {
				p.halt()
			}
			c := w.air.counted()
			virtual = time.Since(w.born)
			t.Logf("seed %d: %d messages, %d packets carried (%d kB), %d lost, %d at firewalls; %v",
				seed, len(w.oracle.notes), c.carried, c.bytes>>10, c.lost, c.walled, w.count)
		}()
		for i := range n {
			p := &person{w: w, n: i, dir: w.newDir()}
			w.must(os.CopyFS(p.dir, os.DirFS(templates.of(i))))
			w.people = append(w.people, p)
			dress(p)
			p.start()
		}
		f(w)
	})
	t.Logf("%v of virtual time in %v", virtual.Round(time.Second), time.Since(began).Round(time.Millisecond))
}

// tempDir is in memory where the system has such a place.
func tempDir(t *testing.T) string {
	t.Helper()
	if dir, err := os.MkdirTemp("/dev/shm", "rushlight-sim-"); err == nil {
		t.Cleanup(func() {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		})
		return dir
	}
	return t.TempDir()
}

func (w *world) newDir() string {
	w.dirs++
	return filepath.Join(w.base, fmt.Sprint(w.dirs))
}

// clock is how long this world has lasted.
func (w *world) clock() string { return fmt.Sprintf("%9.3f", time.Since(w.born).Seconds()) }

// fatal ends the test and says how to see it again.
func (w *world) fatal(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("seed %d, %s: %s", w.seed, w.clock(), fmt.Sprintf(format, args...))
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.fatal("%v", err)
	}
}

func (w *world) note(format string, args ...any) {
	if verbose {
		w.t.Logf(w.clock()+" "+format, args...)
	}
}

// each calls f for every ordered pair.
func (w *world) each(f func(a, b *person)) {
	for _, a := range w.people {
		for _, b := range w.people {
			if a != b {
				f(a, b)
			}
		}
	}
}

// until lets time pass until cond holds, at most so long, looking every step,
// and returns how long it took.
func (w *world) until(within, step time.Duration, cond func() bool) (took time.Duration, ok bool) {
	began := time.Now()
	for !cond() {
		if time.Since(began) >= within {
			return within, false
		}
		time.Sleep(step)
	}
	return time.Since(began), true
}

// befriend makes two people contacts: b accepts an invite of a, which it
// fetches from a's device.
func (w *world) befriend(a, b *person) {
	w.t.Helper()
	b.accept(a.invite())
	if took, ok := w.until(10*time.Second, 50*time.Millisecond, func() bool { return a.knows(b) && b.knows(a) }); !ok {
		w.fatal("%d and %d are not contacts after %v", a.n, b.n, took)
	}
}

// befriendAll makes everybody a contact of everybody.
func (w *world) befriendAll() {
	w.t.Helper()
	for i, b := range w.people {
		for _, a := range w.people[:i] {
			w.befriend(a, b)
		}
	}
}
