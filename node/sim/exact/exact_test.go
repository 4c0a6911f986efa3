package exact

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// seedOf is the seed of this run; RUSHLIGHT_SIM_SEED sets another.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	return env(t, "RUSHLIGHT_SIM_SEED", 1)
}

func env(t *testing.T, name string, value uint64) uint64 {
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

// TestReplay is the simulation: five people, all of whom add each other, and
// everything that can go wrong between them. RUSHLIGHT_SIM_STEPS sets how much
// of it.
func TestReplay(t *testing.T) {
	steps := uint64(10_000)
	if testing.Short() || raceEnabled {
		steps = 1_000
	}
	steps = env(t, "RUSHLIGHT_SIM_STEPS", steps)
	simulate(t, seedOf(t), 5, func(w *world) {
		w.run(int(steps))
		w.summary()
	})
}

func (w *world) summary() {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(w.count)) {
		out = append(out, fmt.Sprintf("%s %d", k, w.count[k]))
	}
	lost, failed := 0, 0
	for _, n := range w.oracle.notes {
		if n.lost {
			lost++
		}
		if n.failed {
			failed++
		}
	}
	w.t.Logf("seed %d, %d steps: %d messages, %d forgotten by their authors, %d failed; %s",
		w.seed, w.step, len(w.oracle.notes), lost, failed, strings.Join(out, ", "))
}

// TestSameSeedSameDigest: a failure can be replayed.
func TestSameSeedSameDigest(t *testing.T) {
	seed := seedOf(t)
	digest := func(seed uint64) (d string) {
		t.Run("run", func(t *testing.T) {
			simulate(t, seed, 5, func(w *world) {
				w.run(600)
				d = w.digest()
			})
		})
		return d
	}
	first := digest(seed)
	if again := digest(seed); first != again {
		t.Errorf("two runs of seed %d differ: %s, %s", seed, first, again)
	}
	if first == digest(seed+1) {
		t.Error("control: another seed has the same digest")
	}
}
