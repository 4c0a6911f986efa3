package mailbox

import (
	"context"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"rushlight/node/host"
	"rushlight/protocol/envelope"
	wire "rushlight/protocol/mailbox"
)

// TestSoak is row 28 over time: again and again everybody comes back at once,
// waits for mail, is woken, and goes. Afterwards goroutines, streams and memory
// are what they were. RUSHLIGHT_SOAK says for how long, such as 24h; without it
// there are a few rounds. The last result is in node/sim/mail/README.md.
func TestSoak(t *testing.T) {
	clients, each, rounds := 4, 3, 6
	var until time.Time
	if s := os.Getenv("RUSHLIGHT_SOAK"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		clients, each, rounds, until = 20, 6, 0, time.Now().Add(d)
	}
	r := newRelay(t)
	hosts := make([]*host.Host, clients)
	for i := range hosts {
		hosts[i] = r.client()
	}
	p := r.person(hosts[0])
	box := func(h *host.Host) *Mailbox {
		b, _, _, err := OpenMailbox(context.Background(), h, r.host.ID(), p.key)
		if err != nil {
			t.Error(err)
		}
		return b
	}
	after := uint64(0)
	round := func() {
		var all sync.WaitGroup
		boxes := make([]*Mailbox, clients*each)
		for i, h := range hosts {
			all.Go(func() {
				r.connect(h)
				for k := range each {
					boxes[i*each+k] = box(h)
				}
			})
		}
		all.Wait()
		if t.Failed() {
			t.FailNow()
		}
		woken := make(chan uint64, len(boxes))
		for _, b := range boxes {
			all.Go(func() {
				end, err := b.Fetch(context.Background(), wire.Fetch{After: after, MaxBytes: 1 << 20, Wait: 300}, func(*wire.Env) error { return nil })
				if err != nil || end.Next <= after {
					t.Errorf("a fetch wasn't woken: %d, %v", end.Next, err)
				}
				woken <- end.Next
			})
		}
		wait(t, "all are parked", func() bool { return t.Failed() || r.keeper.stats.parked.Load() == int64(len(boxes)) })
		owner := box(hosts[0])
		_, stamps, err := owner.Stamps(context.Background(), envelope.S, 1)
		if err != nil {
			t.Fatal(err)
		}
		d, err := OpenDeposits(context.Background(), hosts[clients-1], r.host.ID())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Deposit(context.Background(), &wire.Deposit{TTL: 1, Stamp: stamps[0], Envelope: env(envelope.S)}); err != nil {
			t.Fatal(err)
		}
		all.Wait()
		after = <-woken
		if _, err := owner.Trim(context.Background(), wire.RangesOf([]uint64{after})...); err != nil {
			t.Fatal(err)
		}
		d.Close()
		owner.Close()
		for _, b := range boxes {
			b.Close()
		}
		for _, h := range hosts {
			if err := h.Disconnect(r.host.ID()); err != nil {
				t.Fatal(err)
			}
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	look := func() (goroutines int, heap uint64) {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return runtime.NumGoroutine(), m.HeapAlloc
	}
	for range 3 {
		round()
	}
	g0, h0 := look()
	n := 3
	for ; n < rounds || time.Now().Before(until); n++ {
		round()
	}
	wait(t, "nothing is left of whoever has gone", func() bool {
		g, _ := look()
		return g <= g0+10 && r.keeper.stats.parked.Load() == 0
	})
	g1, h1 := look()
	t.Logf("%d rounds of %d waits: goroutines %d, then %d; heap %d KiB, then %d KiB", n, clients*each, g0, g1, h0>>10, h1>>10)
	if h1 > h0+16<<20 {
		t.Errorf("the heap has grown from %d KiB to %d KiB", h0>>10, h1>>10)
	}
}
