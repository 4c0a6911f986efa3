package mail

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// one runs the history of a seed and returns its digest.
func one(t *testing.T, seed uint64, count map[string]int) (digest string) {
	t.Helper()
	makeTemplate(t)
	t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
		simulate(t, seed, func(w *world) {
			h := newHistory(w)
			h.run()
			w.settled = time.Now()
			h.settle()
			if err := w.check(); err != nil {
				w.fatal("%v", err)
			}
			for k, n := range w.count {
				count[k] += n
			}
			count["messages"] += len(w.notes)
			digest = w.digest()
		})
	})
	return digest
}

func summary(count map[string]int) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(count)) {
		out = append(out, fmt.Sprintf("%s %d", k, count[k]))
	}
	return strings.Join(out, ", ")
}

// TestHistories is the guarantee G1 over seeded histories. RUSHLIGHT_MAIL_SEEDS
// sets how many, RUSHLIGHT_MAIL_SEED the first.
func TestHistories(t *testing.T) {
	n := uint64(40)
	if testing.Short() || raceEnabled {
		n = 8
	}
	n = env(t, "RUSHLIGHT_MAIL_SEEDS", n)
	first := env(t, "RUSHLIGHT_MAIL_SEED", 1)
	count := map[string]int{}
	sum := sha256.New()
	for i := range n {
		sum.Write([]byte(one(t, first+i, count)))
	}
	t.Logf("%d histories from seed %d, digest %s: %s", n, first, hex.EncodeToString(sum.Sum(nil)[:8]), summary(count))
}

// TestSameSeedSameDigest: a failure can be replayed.
func TestSameSeedSameDigest(t *testing.T) {
	for _, seed := range []uint64{1, 7, 20} {
		a, b := one(t, seed, map[string]int{}), one(t, seed, map[string]int{})
		if a != b {
			t.Errorf("two runs of seed %d differ: %s, %s", seed, a, b)
		}
		if a == one(t, seed+1000, map[string]int{}) {
			t.Error("control: another seed has the same digest")
		}
	}
}
