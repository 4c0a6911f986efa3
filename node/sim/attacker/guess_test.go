package attacker

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// sample is one thing about which the attacker guesses: yes or no.
type sample struct {
	group    uint64    // what belongs together, such as a mailbox
	order    int       // within it
	serial   float64   // in which near means made together
	features []float64 // everything else that can be seen, in a fixed order
	yes      bool
}

// guesser learns from some samples, and then guesses. Those of one group come
// in order.
type guesser func(train []sample) func(sample) bool

// strategies are the ways in which the attacker tries.
var strategies = map[string]guesser{
	"all features":             bayes,
	"all features, by box":     byGroup(bayes),
	"best feature":             best,
	"best feature, by box":     byGroup(best),
	"nearest serial":           byGroup(nearest(func(s sample) float64 { return s.serial })),
	"nearest serial, lately":   byGroup(nearestLately),
	"who came before":          byGroup(nearest(func(s sample) float64 { return float64(s.order) })),
	"the one before, by turns": byGroup(previous),
}

// folds is in how many parts the samples are split: half are learned from, and
// half guessed, then the other way round, so that every sample is one trial.
const folds = 2

// advantages is how much better than a coin each strategy does: 0 is not at
// all, 1 is always right.
func advantages(all []sample) map[string]float64 {
	rng := rand.New(rand.NewPCG(1, uint64(len(all))))
	fold := make([]int, len(all))
	for i := range fold {
		fold[i] = rng.IntN(folds)
	}
	out := map[string]float64{}
	for name, learn := range strategies {
		right := 0
		for f := range folds {
			var train []sample
			for i, s := range all {
				if fold[i] != f {
					train = append(train, s)
				}
			}
			guess := learn(train)
			for i, s := range all {
				if fold[i] == f && guess(s) == s.yes {
					right++
				}
			}
		}
		out[name] = 2*float64(right)/float64(len(all)) - 1
	}
	return out
}

// strongest returns the best strategy.
func strongest(all map[string]float64) (name string, advantage float64) {
	advantage = -1
	for n, a := range all {
		if a > advantage {
			name, advantage = n, a
		}
	}
	return name, advantage
}

// allowed is the advantage that is put up with. With fewer trials chance alone
// makes more. Two guesses may stand or fall together, each learned from the
// other, so the deviation is up to √2 ÷ √trials; with more than five of these for
// each of eight strategies, chance fails one run of a million at most.
func allowed(trials int) float64 { return max(0.05, 7.5/math.Sqrt(float64(trials))) }

// measure reports what the attacker reaches, and fails above what is allowed.
func measure(t *testing.T, what string, all []sample) {
	t.Helper()
	got := advantages(all)
	name, most := strongest(got)
	t.Logf("%s: %d trials, advantage at most %.3f (%s)", what, len(all), most, name)
	if most >= allowed(len(all)) {
		t.Errorf("%s: the relay can tell: %v", what, got)
	}
}

// wins is measure for a control: the attacker must win.
func wins(t *testing.T, what string, all []sample) {
	t.Helper()
	got := advantages(all)
	name, most := strongest(got)
	t.Logf("control, %s: %d trials, advantage %.3f (%s)", what, len(all), most, name)
	if most < 0.5 {
		t.Errorf("control, %s: the attacker doesn't win: %v", what, got)
	}
}

// byGroup learns each group by itself.
func byGroup(learn guesser) guesser {
	return func(train []sample) func(sample) bool {
		parts := map[uint64][]sample{}
		for _, s := range train {
			parts[s.group] = append(parts[s.group], s)
		}
		guess := map[uint64]func(sample) bool{}
		for g, part := range parts {
			guess[g] = learn(part)
		}
		return func(s sample) bool { return guess[s.group] != nil && guess[s.group](s) }
	}
}

const bins = 8

// cuts are the bounds of bins with equally many samples.
func cuts(train []sample, feature int) (out []float64) {
	values := make([]float64, len(train))
	for i, s := range train {
		values[i] = s.all()[feature]
	}
	slices.Sort(values)
	for b := 1; b < bins; b++ {
		out = append(out, values[b*len(values)/bins])
	}
	return out
}

func (s sample) all() []float64 { return append([]float64{s.serial}, s.features...) }

func bin(cuts []float64, x float64) (n int) {
	for n < len(cuts) && x >= cuts[n] {
		n++
	}
	return n
}

// odds are, for each feature and bin, how much more often it was yes than no.
func odds(train []sample) (bounds [][]float64, log [][bins]float64) {
	if len(train) == 0 {
		return nil, nil
	}
	n := len(train[0].all())
	for f := range n {
		bounds = append(bounds, cuts(train, f))
		var count [2][bins]float64
		total := [2]float64{bins, bins}
		for _, s := range train {
			side := 0
			if s.yes {
				side = 1
			}
			count[side][bin(bounds[f], s.all()[f])]++
			total[side]++
		}
		var row [bins]float64
		for b := range row {
			row[b] = math.Log((count[1][b]+1)/total[1]) - math.Log((count[0][b]+1)/total[0])
		}
		log = append(log, row)
	}
	return bounds, log
}

// bayes weighs all features.
func bayes(train []sample) func(sample) bool {
	bounds, log := odds(train)
	return func(s sample) bool {
		sum := 0.0
		for f, x := range s.all() {
			if f < len(log) {
				sum += log[f][bin(bounds[f], x)]
			}
		}
		return sum > 0
	}
}

// best goes by the one feature that told most about what it learned from.
func best(train []sample) func(sample) bool {
	bounds, log := odds(train)
	choice, most := 0, -1
	for f := range log {
		right := 0
		for _, s := range train {
			if (log[f][bin(bounds[f], s.all()[f])] > 0) == s.yes {
				right++
			}
		}
		if right > most {
			choice, most = f, right
		}
	}
	return func(s sample) bool { return log != nil && log[choice][bin(bounds[choice], s.all()[choice])] > 0 }
}

// nearest guesses what the nearest known one was.
func nearest(where func(sample) float64) guesser {
	return func(train []sample) func(sample) bool {
		known := slices.Clone(train)
		slices.SortFunc(known, func(a, b sample) int { return cmp.Compare(where(a), where(b)) })
		return func(s sample) bool {
			i, _ := slices.BinarySearchFunc(known, where(s), func(k sample, x float64) int { return cmp.Compare(where(k), x) })
			switch {
			case len(known) == 0:
				return false
			case i == len(known) || i > 0 && where(s)-where(known[i-1]) < where(known[i])-where(s):
				i--
			}
			return known[i].yes
		}
	}
}

// nearestLately is nearest by serial among those that came at about the time.
func nearestLately(train []sample) func(sample) bool {
	const around = 40
	return func(s sample) bool {
		i, _ := slices.BinarySearchFunc(train, s.order, func(k sample, x int) int { return cmp.Compare(k.order, x) })
		lately := train[max(0, i-around):min(len(train), i+around)]
		return nearest(func(s sample) float64 { return s.serial })(lately)(s)
	}
}

// previous guesses the opposite of the known one before.
func previous(train []sample) func(sample) bool {
	return func(s sample) bool {
		i, _ := slices.BinarySearchFunc(train, s.order, func(k sample, x int) int { return cmp.Compare(k.order, x) })
		return i > 0 && !train[i-1].yes
	}
}
