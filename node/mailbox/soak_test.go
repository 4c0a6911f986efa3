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
	s := &soak{t: t, r: newRelay(t)}
	clients, rounds := 4, 9
	s.each = 3
	var until time.Time
	if d := os.Getenv("RUSHLIGHT_SOAK"); d != "" {
		length, err := time.ParseDuration(d)
		if err != nil {
			t.Fatal(err)
		}
		clients, rounds, until = 20, 0, time.Now().Add(length)
		s.each = ownerStreams - 1 // and one to speak with
	}
	for range clients {
		s.hosts = append(s.hosts, s.r.client())
	}
	for range 3 {
		s.round()
	}
	g0, h0 := look()
	n, said := 3, time.Now()
	for ; n < rounds || time.Now().Before(until); n++ {
		s.round()
		if time.Since(said) > time.Hour {
			said = time.Now()
			g, h := look()
			t.Logf("%d rounds: goroutines %d, heap %d KiB", n, g, h>>10)
		}
	}
	wait(t, "nothing is left of whoever has gone", func() bool {
		g, _ := look()
		return g <= g0+10
	})
	g1, h1 := look()
	t.Logf("%d rounds of %d waits: goroutines %d, then %d; heap %d KiB, then %d KiB", n, clients*s.each, g0, g1, h0>>10, h1>>10)
	if h1 > h0+16<<20 {
		t.Errorf("the heap has grown from %d KiB to %d KiB", h0>>10, h1>>10)
	}
	k := s.r.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.live)+len(k.peers)+len(k.parked)+len(k.due) > 0 {
		t.Errorf("%d streams, %d peers, %d mailboxes and %d seconds are still waited for", len(k.live), len(k.peers), len(k.parked), len(k.due))
	}
}

func look() (goroutines int, heap uint64) {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return runtime.NumGoroutine(), m.HeapAlloc
}

// soak is an owner whose devices, all of them, come and go.
type soak struct {
	t      *testing.T
	r      *relay
	hosts  []*host.Host
	each   int // waits of one of them
	rounds int
	owner  *person
	after  uint64
}

func (s *soak) round() {
	t, r := s.t, s.r
	t.Helper()
	if s.rounds%1000 == 0 { // no mailbox may have had stamps without end
		r.connect(s.hosts[0])
		s.owner, s.after = r.person(s.hosts[0]), 0
		s.owner.box.Close()
		s.leave()
	}
	s.rounds++
	var all sync.WaitGroup
	for _, h := range s.hosts {
		all.Go(func() { r.connect(h) })
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	boxes := make([]*Mailbox, len(s.hosts)*s.each)
	for i, h := range s.hosts {
		all.Go(func() {
			for k := range s.each {
				b, _, _, err := OpenMailbox(ctx, h, r.host.ID(), s.owner.key)
				if err != nil {
					t.Error("coming back:", err)
					return
				}
				boxes[i*s.each+k] = b
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for _, b := range boxes {
		all.Go(func() {
			end, err := b.Fetch(ctx, wire.Fetch{After: s.after, MaxBytes: 1 << 20, Wait: 300}, func(*wire.Env) error { return nil })
			if err != nil || end.Next != s.after+1 {
				t.Errorf("woken at %d after %d: %v", end.Next, s.after, err)
			}
		})
	}
	wait(t, "all are parked", func() bool { return t.Failed() || r.keeper.stats.parked.Load() == int64(len(boxes)) })
	box, _, _, err := OpenMailbox(ctx, s.hosts[0], r.host.ID(), s.owner.key)
	if err != nil {
		t.Fatal(err)
	}
	_, stamps, err := box.Stamps(ctx, envelope.S, 1)
	if err != nil {
		t.Fatal(err)
	}
	d, err := OpenDeposits(ctx, s.hosts[len(s.hosts)-1], r.host.ID())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Deposit(ctx, &wire.Deposit{TTL: 1, Stamp: stamps[0], Envelope: env(envelope.S)}); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	s.after++
	if _, err := box.Trim(ctx, wire.RangesOf([]uint64{s.after})...); err != nil {
		t.Fatal(err)
	}
	s.leave()
}

// leave ends all connections and waits until the relay knows.
func (s *soak) leave() {
	s.t.Helper()
	for _, h := range s.hosts {
		if err := h.Disconnect(s.r.host.ID()); err != nil {
			s.t.Fatal(err)
		}
	}
	wait(s.t, "the relay knows who has gone", func() bool {
		k := s.r.keeper
		k.mu.Lock()
		defer k.mu.Unlock()
		return s.t.Failed() || len(k.peers) == 0 && len(k.live) == 0
	})
	if s.t.Failed() {
		s.t.FailNow()
	}
}
