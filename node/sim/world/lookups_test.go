package world

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"rushlight/node/discovery"
	"rushlight/protocol/beacon"
)

// TestLookups measures how long records take to be found, before and after half
// of the nodes have vanished. RUSHLIGHT_SIM_TABLE=1000 makes the network that
// large: see doc.go for the last result.
func TestLookups(t *testing.T) {
	if raceEnabled {
		t.Skip("too slow with the race detector")
	}
	t.Parallel()
	servers := tableSize(t)
	if testing.Short() {
		servers = 40
	}
	clients, records := 25, 100
	if servers <= 100 {
		clients, records = 15, 60
	}
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		w := &tables{t: t, ctx: t.Context(), rng: rand.New(rand.NewPCG(seedOf(t), 3)), wires: map[[2]peer.ID]bool{}}
		w.quiet.Store(true)
		w.air = newAir(rand.New(rand.NewPCG(seedOf(t), 4)), servers+3*clients)
		w.air.change(func() {
			for i := range w.air.delay {
				for j := range w.air.delay[i] {
					w.air.delay[i][j] = 50 * time.Millisecond
				}
			}
		})
		defer func() {
			for _, f := range slices.Backward(w.stop) {
				f()
			}
		}()
		for i := range servers {
			n := w.add(i, discovery.TableConfig{Server: true})
			if i >= joining {
				w.wire(n)
			} else if i > 0 {
				if err := w.meets(n, w.all, 4); err != nil {
					t.Fatal(err)
				}
			}
			w.all = append(w.all, n)
			time.Sleep(100 * time.Millisecond)
			if n := len(w.all); n%100 == 0 {
				t.Logf("%d servers, %d connections made", n, w.made.Load())
			}
		}
		w.quiet.Store(false)
		time.Sleep(time.Minute)

		client := func(n, known int) *tableNode {
			c := w.add(n, discovery.TableConfig{})
			if err := w.meets(c, w.all, known); err != nil {
				t.Fatal(err)
			}
			return c
		}
		var asking []*tableNode
		for i := range clients {
			asking = append(asking, client(servers+i, 8))
		}
		type rec struct {
			r beacon.Reader
			p beacon.Place
			k beacon.Key
		}
		var list []rec
		var values [][]byte
		for range records {
			o := beacon.NewOwner()
			r := o.Reader()
			p := beacon.Place{Epoch: r.Epoch(time.Now())}
			k, v, err := o.Seal(p, &beacon.Body{}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			list, values = append(list, rec{r, p, k}), append(values, v)
		}
		puts, failed := w.timed(records, func(i int) bool {
			n, err := asking[i%clients].table.Put(t.Context(), discovery.BeaconKey(list[i].k), values[i])
			if err != nil {
				t.Errorf("put %d: %v", i, err)
			}
			return n == 3
		})
		if failed > 0 {
			t.Errorf("%d of %d puts have fewer than 3 copies", failed, records)
		}
		t.Logf("%d servers: put and read back p50 %v p99 %v; size estimated %d; a server knows %d",
			servers, part(puts, 50), part(puts, 99), asking[0].table.Size(), w.all[0].table.Known())

		crowd := func(when string, of []*tableNode) {
			conns, known := 0, 1<<20
			for _, c := range of {
				conns, known = max(conns, len(c.h.Conns())), min(known, c.table.Known())
			}
			t.Logf("%s a client has up to %d connections and knows %d nodes or more", when, conns, known)
		}
		search := func(from []*tableNode, shift int) (took []time.Duration, failed int) {
			return w.timed(records, func(i int) bool {
				ok := false
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				// What is left is never waited for.
				err := from[(i+shift)%len(from)].table.Search(ctx, discovery.BeaconKey(list[i].k), func(v []byte) bool {
					_, _, err := list[i].r.Open(list[i].p, v, time.Now())
					ok = err == nil
					return false
				})
				if err != nil || !ok {
					t.Logf("record %d after %v: knowing %d: %v", i, ctx.Err(), from[(i+shift)%len(from)].table.Known(), err)
				}
				return err == nil && ok
			})
		}
		crowd("after the puts", asking)
		took, failed := search(asking, 1)
		crowd("after the searches", asking)
		t.Logf("first record p50 %v p99 %v, %d not found", part(took, 50), part(took, 99), failed)
		if p50 := part(took, 50); p50 > 600*time.Millisecond || failed > 0 {
			t.Errorf("p50 %v, %d not found", p50, failed)
		}

		// Half of the nodes vanish without a word.
		w.air.change(func() {
			for _, i := range w.rng.Perm(servers)[:servers/2] {
				w.air.dark[i] = true
			}
		})
		took, failed = search(asking, 2)
		t.Logf("half vanished: first record p50 %v p99 %v, %d not found", part(took, 50), part(took, 99), failed)
		if p99 := part(took, 99); p99 > 5*time.Second || failed*100 > records {
			t.Errorf("half vanished: p99 %v, %d not found", p99, failed)
		}
		// And by who begins now, knowing some that live and some that don't.
		var fresh []*tableNode
		var starts []time.Duration
		for i := range clients {
			from := time.Now()
			fresh = append(fresh, client(servers+clients+i, 16))
			starts = append(starts, time.Since(from))
		}
		slices.Sort(starts)
		took, failed = search(fresh, 0)
		t.Logf("who begins now: joins p50 %v p99 %v, first record p50 %v p99 %v, %d not found",
			part(starts, 50), part(starts, 99), part(took, 50), part(took, 99), failed)
		if p99 := part(took, 99); p99 > 5*time.Second || failed*100 > records {
			t.Errorf("who begins now: p99 %v, %d not found", p99, failed)
		}
	})
	t.Logf("%v of real time", time.Since(began).Round(time.Second))
}
