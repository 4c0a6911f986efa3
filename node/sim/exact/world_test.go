package exact

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
)

// world is all profiles, the wire between them and what was promised to the
// people.
type world struct {
	t      *testing.T
	ctx    context.Context
	seed   uint64
	rng    *rand.Rand
	step   int
	trace  hash.Hash
	base   string
	dirs   int
	people []*profile
	lanes  [][]*lane // from, to
	cut    [][]bool
	asked  [][]bool // whether somebody has accepted the invite of another
	oracle oracle
	faults faults
	count  map[string]int

	settledIn bool            // everybody has added everybody
	wild      bool            // messages may expire and burn
	tainted   bool            // something was refused for ever that nobody may refuse
	without   map[string]bool // actions that are left out
	copies    map[int]*copyOf // older copies that may be restored
}

// faults are the broken variants that the positive controls turn on.
type faults struct {
	loseAcks bool // no acknowledgement ever arrives
}

// simulate runs f in a world of n profiles, in virtual time and with
// reproducible randomness.
func simulate(t *testing.T, seed uint64, n int, f func(w *world)) {
	t.Helper()
	cryptotest.SetGlobalRandom(t, seed)
	base := tempDir(t)
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			t: t, ctx: t.Context(), seed: seed, rng: rand.New(rand.NewPCG(seed, 0)),
			trace: sha256.New(), base: base, count: map[string]int{},
		}
		w.oracle.init(n)
		t.Cleanup(func() {
			for _, p := range w.people {
				p.halt()
			}
		})
		for range n {
			w.newProfile()
			w.lanes = append(w.lanes, make([]*lane, n))
			w.cut = append(w.cut, make([]bool, n))
			w.asked = append(w.asked, make([]bool, n))
		}
		for i := range n {
			for j := range n {
				w.lanes[i][j] = &lane{}
			}
		}
		f(w)
	})
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

// fatal ends the test and says how to see it again.
func (w *world) fatal(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("seed %d, step %d: %s", w.seed, w.step, fmt.Sprintf(format, args...))
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.fatal("%v", err)
	}
}

// note adds to the trace of the run.
func (w *world) note(format string, args ...any) {
	fmt.Fprintf(w.trace, "%d "+format+"\n", append([]any{w.step}, args...)...)
	if verbose {
		w.t.Logf("%d "+format, append([]any{w.step}, args...)...)
	}
}

var verbose = os.Getenv("RUSHLIGHT_SIM_TRACE") != ""

// chance is true so often in a hundred.
func (w *world) chance(percent int) bool { return w.rng.IntN(100) < percent }

// anybody returns a profile.
func (w *world) anybody() *profile { return w.people[w.rng.IntN(len(w.people))] }

// anyTwo returns two different profiles.
func (w *world) anyTwo() (a, b *profile) {
	i := w.rng.IntN(len(w.people))
	j := w.rng.IntN(len(w.people) - 1)
	if j >= i {
		j++
	}
	return w.people[i], w.people[j]
}

// apart reports whether the two can't reach each other.
func (w *world) apart(a, b *profile) bool { return w.cut[a.n][b.n] }

func (w *world) setCut(a, b *profile, cut bool) { w.cut[a.n][b.n], w.cut[b.n][a.n] = cut, cut }

// each calls f for every ordered pair.
func (w *world) each(f func(a, b *profile)) {
	for _, a := range w.people {
		for _, b := range w.people {
			if a != b {
				f(a, b)
			}
		}
	}
}
