package delivery

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"rushlight/protocol/envelope"
)

// seed is printed by every test that uses it and read from SEED.
func seed(t testing.TB) *rand.Rand {
	n := uint64(time.Now().UnixNano())
	if s := os.Getenv("SEED"); s != "" {
		var err error
		if n, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("SEED=%d", n)
	return rand.New(rand.NewPCG(n, 0))
}

// Streams are reset and connections closed at random points while both sides
// send: everything arrives, and everything is committed once.
func TestExactlyOnceUnderResets(t *testing.T) {
	for name, listen := range map[string]string{"quic": quicAny, "tcp": tcpAny} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := seed(t)
			a, b := pair(t, listen)
			const waves, each = 12, 150
			kills := 0
			for wave := range waves {
				a.queue(b.account, each, envelope.S)
				b.queue(a.account, each, envelope.S)
				// Cut in the middle of the wave, when a random share of it is in.
				for range 1 + r.IntN(2) {
					n, at := [2]*node{a, b}[r.IntN(2)], wave*each+r.IntN(each)
					n.until("part of a wave", func() bool { return len(n.seen) >= at })
					kills += cut(n, r)
				}
			}
			a.until("a's outbox is empty", func() bool { return len(a.contacts[b.account].outbox) == 0 })
			b.until("b's outbox is empty", func() bool { return len(b.contacts[a.account].outbox) == 0 })
			for _, n := range []*node{a, b} {
				n.mu.Lock()
				if len(n.seen) != waves*each {
					t.Errorf("%d messages of %d", len(n.seen), waves*each)
				}
				for _, times := range n.seen {
					if times != 1 {
						t.Errorf("a message was committed %d times", times)
					}
				}
				t.Logf("%d cuts, %d repetitions recognised, %d commits", kills, n.repeats, n.commits)
				n.mu.Unlock()
			}
			if kills == 0 {
				t.Error("nothing was cut")
			}
		})
	}
}

// cut resets every stream of a node, or closes its connections.
func cut(n *node, r *rand.Rand) (cuts int) {
	if r.IntN(2) == 0 {
		for _, x := range n.manager.sessions() {
			_ = x.s.Reset()
			cuts++
		}
		return cuts
	}
	for _, c := range n.h.Libp2p().Network().Conns() {
		_ = c.Close()
		cuts++
	}
	return cuts
}
