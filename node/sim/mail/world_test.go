package mail

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"rushlight/protocol/message"
)

// world is some people, some relays, and what was promised.
type world struct {
	t      *testing.T
	ctx    context.Context
	seed   uint64
	rng    *rand.Rand
	step   int
	trace  hash.Hash
	base   string
	dirs   int
	people []*person
	relays []*relay
	notes  []*note
	by     map[string]*note
	ids    map[message.ID]*note
	count  map[string]int
	faults faults

	settled time.Time // when the last phase began

	forgets   bool   // somebody was put back to an older state: what it said may be missing there for good
	effort    uint32 // of requests; 0 is 1
	watchAcks bool   // notes learn who has acknowledged them
	merges    bool   // stores and shelves merge their tables, as those of a long run must
}

// faults are the broken variants that the positive controls turn on.
type faults struct {
	trimFirst  bool // clients trim before they have committed
	ackNothing bool // relays keep nothing and say they do, all of them
}

// note is one message that a person wrote.
type note struct {
	label    string
	from, to int
	wrote    time.Time
	acked    map[*relay]time.Time // relays that acknowledged it, the last time
}

var verbose = os.Getenv("RUSHLIGHT_SIM_TRACE") != ""

// simulate runs f in virtual time with reproducible randomness.
func simulate(t *testing.T, seed uint64, f func(w *world)) {
	t.Helper()
	cryptotest.SetGlobalRandom(t, seed)
	base := tempDir(t)
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			t: t, ctx: t.Context(), seed: seed, rng: rand.New(rand.NewPCG(seed, 0)),
			trace: sha256.New(), base: base, by: map[string]*note{}, ids: map[message.ID]*note{}, count: map[string]int{},
		}
		defer w.end()
		f(w)
	})
}

func (w *world) end() {
	for _, p := range w.people {
		p.halt()
	}
	for _, r := range w.relays {
		r.halt()
	}
}

// tempDir is in memory where the system has such a place.
func tempDir(t testing.TB) string {
	t.Helper()
	if dir, err := os.MkdirTemp("/dev/shm", "rushlight-mail-"); err == nil {
		t.Cleanup(func() {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		})
		return dir
	}
	return t.TempDir()
}

// compactors is how many goroutines of a store merge tables.
func (w *world) compactors() *int {
	n := 0
	if w.merges {
		n = 2
	}
	return &n
}

// young is Options.Young of a relay: in a long run what it is by default, since a
// relay that merges nothing for a day, as after a jump of the clock, takes no more
// mail than that.
func (w *world) young() int64 {
	if w.merges {
		return 256 << 20
	}
	return 0
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

// log adds to the trace of the run.
func (w *world) log(format string, args ...any) {
	fmt.Fprintf(w.trace, "%d "+format+"\n", append([]any{w.step}, args...)...)
	if verbose {
		w.t.Logf("%s %d "+format, append([]any{time.Now().UTC().Format("01-02 15:04"), w.step}, args...)...)
	}
}

func (w *world) digest() string { return hex.EncodeToString(w.trace.Sum(nil)) }

// chance is true so often in a hundred.
func (w *world) chance(percent int) bool { return w.rng.IntN(100) < percent }

// pass lets time go by with everybody switched on.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// night lets time go by with everybody switched off, which costs nothing
// however long it is.
func (w *world) night(d time.Duration) {
	for _, p := range w.people {
		p.halt()
	}
	for _, r := range w.relays {
		r.halt()
	}
	time.Sleep(d)
	for _, r := range w.relays {
		r.open()
	}
	for _, p := range w.people {
		p.open()
	}
	w.log("%v pass", d)
}

// rest lets time go by with the relays switched on and nobody there, which is how a
// clock that was far ahead comes to be believed.
func (w *world) rest(d time.Duration) {
	for _, p := range w.people {
		p.halt()
	}
	time.Sleep(d)
	synctest.Wait()
	for _, p := range w.people {
		p.open()
	}
	w.log("%v pass at the relays", d)
}

// copyOf is a new copy of a directory that may be in use. Who merges tables there
// comes to rest first, because files are copied one after another.
func (w *world) copyOf(dir string) string {
	synctest.Wait()
	to := w.newDir()
	w.must(copyDir(dir, to))
	return to
}

// copyDir copies a directory. Logs are mapped files with much empty room
// behind what is written: it stays a hole.
func copyDir(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		dst := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(dst, 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n := len(b)
		for n > 0 && b[n-1] == 0 {
			n--
		}
		return errors.Join(os.WriteFile(dst, b[:n], 0o600), os.Truncate(dst, int64(len(b))))
	})
}

// env is a number from the environment.
func env(t testing.TB, name string, value uint64) uint64 {
	t.Helper()
	if s := os.Getenv(name); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return value
}
