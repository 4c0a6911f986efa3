//go:build linux

package process_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rushlight/node/api"
)

// TestKill9 kills either daemon at random moments while both send. Every
// message whose sending was acknowledged must be there exactly once on both
// sides, in the same order, each author's in the order of writing.
// RUSHLIGHT_KILL_SEED repeats a run; RUSHLIGHT_KILL_MESSAGES sets its length.
func TestKill9(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("RUSHLIGHT_KILL_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("seed %d", seed)
	total := 1000
	if n, err := strconv.Atoi(os.Getenv("RUSHLIGHT_KILL_MESSAGES")); err == nil {
		total = n
	} else if testing.Short() {
		total = 300
	}
	a, b := newDaemon(t, "ann"), newDaemon(t, "bob")
	befriend(t, a, b)

	rng := rand.New(rand.NewPCG(seed, 1))
	w := &war{t: t, rng: rng, sides: [2]*daemon{a, b}}
	var wg sync.WaitGroup
	for i := range w.sides {
		wg.Go(func() { w.talk(i, total/2) })
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	kills := w.shoot(done)
	t.Logf("%d messages, %d kills", total, kills)
	if kills == 0 {
		t.Error("nothing was killed: the test proves nothing")
	}
	a.drained()
	b.drained()
	w.judge()
}

// war is two daemons that talk while they are shot at.
type war struct {
	t     *testing.T
	rng   *rand.Rand // of the shooting goroutine alone
	sides [2]*daemon
	locks [2]sync.RWMutex // held for writing while a side is down
	acked [2][]string     // labels in the order in which they were acknowledged
}

// talk sends n messages from one side, one after the other. A call that was
// cut off is repeated with the same key until it is acknowledged.
func (w *war) talk(i, n int) {
	from, to := w.sides[i], w.sides[1-i]
	for k := range n {
		label := fmt.Sprintf("%d-%04d", i, k)
		for {
			w.locks[i].RLock()
			_, err := from.send(to, label, label)
			w.locks[i].RUnlock()
			if err == nil {
				break
			}
		}
		w.acked[i] = append(w.acked[i], label)
	}
}

// shoot kills a random side after a random pause, and starts it again, until
// everything was sent.
func (w *war) shoot(done <-chan struct{}) (kills int) {
	for {
		pause := time.Duration(w.rng.Int64N(int64(60 * time.Millisecond)))
		select {
		case <-done:
			return kills
		case <-time.After(pause):
		}
		i := w.rng.IntN(2)
		// The process dies while calls are under way; only then are new calls
		// held back.
		_ = w.sides[i].cmd.Process.Kill()
		w.locks[i].Lock()
		w.sides[i].kill()
		w.sides[i].start()
		w.locks[i].Unlock()
		kills++
	}
}

// judge compares what both sides hold with what was acknowledged.
func (w *war) judge() {
	var views [2][]string
	for i, d := range w.sides {
		var res struct{ Messages []api.Message }
		d.call("read", obj{"who": w.sides[1-i].account, "peek": true}, &res)
		for _, m := range res.Messages {
			views[i] = append(views[i], m.Text)
		}
		var report api.CheckReport
		d.call("check", nil, &report)
		if !report.OK {
			w.t.Errorf("check of side %d: %+v", i, report.Problems)
		}
	}
	if !slices.Equal(views[0], views[1]) {
		w.t.Errorf("the sides differ: %d and %d messages", len(views[0]), len(views[1]))
	}
	for i := range w.sides {
		var mine []string
		for _, label := range views[0] {
			if strings.HasPrefix(label, fmt.Sprint(i, "-")) {
				mine = append(mine, label)
			}
		}
		if !slices.Equal(mine, w.acked[i]) {
			w.t.Errorf("side %d: %d messages were acknowledged, %d are there, or in another order", i, len(w.acked[i]), len(mine))
		}
	}
}
