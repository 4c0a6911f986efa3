package delivery

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"rushlight/node/host"
)

// The window against a map, over any sequence of sends and answers.
func TestWindowModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := window{base: ^uint32(0) - 100, next: ^uint32(0) - 100} // ids wrap
		model := map[uint32]uint64{}
		var ids []uint32
		bytes, seq := 0, uint64(0)
		for range rapid.IntRange(1, 2000).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "send") {
				size := rapid.SampledFrom([]int{2048, 16384, 65536}).Draw(t, "size")
				id, ok := w.add(seq, size, true, time.Time{})
				if !ok {
					if len(model) > 0 && bytes+size <= windowBytes && w.next-w.base < windowFrames {
						t.Fatal("no room although there is")
					}
					continue
				}
				if _, twice := model[id]; twice {
					t.Fatal("an id was given twice")
				}
				model[id] = seq
				ids = append(ids, id)
				bytes += size
				seq++
			} else if len(ids) > 0 {
				id := rapid.SampledFrom(ids).Draw(t, "id") + uint32(rapid.IntRange(0, 1).Draw(t, "off"))
				got, ok := w.take(id)
				want, open := model[id]
				if ok != open || ok && got != want {
					t.Fatalf("answer to %d: %d, %v; want %d, %v", id, got, ok, want, open)
				}
				delete(model, id)
				bytes = w.bytes
			}
			if _, waits := w.waiting(); waits != (len(model) > 0) || w.open != len(model) || w.bytes > windowBytes {
				t.Fatalf("%d open of %d, %d bytes", w.open, len(model), w.bytes)
			}
			for _, s := range model {
				if !w.holds(s) {
					t.Fatal("an open parcel is not held")
				}
				break
			}
		}
	})
}

// Where little may be spent, calls in vain are few, however many contacts are
// away; what is new is tried at once all the same. Control: where there is
// enough, nothing is held back.
func TestPlanIsThrifty(t *testing.T) {
	const contacts, hours = 190, 6
	start := time.Unix(1e9, 0)
	calls := func(state host.Thrift) (n int) {
		saves := newThrift(func() host.Thrift { return state })
		var all []*plan
		for range contacts {
			p := &plan{began: start}
			p.renew(start)
			all = append(all, p)
		}
		for {
			p := slices.MinFunc(all, func(a, b *plan) int { return a.next.Compare(b.next) })
			now := p.next
			switch {
			case now.Sub(start) >= hours*time.Hour:
				return n
			case !saves.holds(p, now):
				n++
				p.start(now)
				p.failed(now)
			case p.last.IsZero():
				t.Fatal("what is new was held back")
			}
		}
	}
	if n := calls(host.Spent); n != contacts {
		t.Errorf("%d calls with nothing left", n)
	}
	if n := calls(host.Sparing); n < contacts || n > contacts+sparingCalls+hours*60 {
		t.Errorf("%d calls with little left", n)
	}
	if n := calls(host.Ample); n < contacts*150 {
		t.Errorf("control: %d calls", n)
	}
	// A greeting can wait, too.
	saves := newThrift(func() host.Thrift { return host.Spent })
	p := &plan{began: start, greet: true}
	p.renew(start)
	if !saves.holds(p, start) || !p.greet || !p.next.After(start) {
		t.Error("a greeting was not put off")
	}
}

// A call through Tor has longer.
func TestHiddenCallsTakeLonger(t *testing.T) {
	hidden, err := host.New(host.Config{Key: [32]byte{9}, Profile: host.Hidden, SOCKS: "127.0.0.1:9"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := hidden.Close(); err != nil {
			t.Error(err)
		}
	}()
	if m := New(hidden, newMemory(t), Config{}); m.callTime != hiddenTime {
		t.Errorf("%v for a call through Tor", m.callTime)
	}
	if m := New(newHost(t), newMemory(t), Config{}); m.callTime != callTime {
		t.Errorf("%v for any other call", m.callTime)
	}
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(3, 100, func(n int) int { return n })
		put := make(chan error)
		go func() { put <- q.put(t.Context(), []int{10, 20, 30, 40, 500, 60}) }()
		var all []int
		synctest.Wait()
		for len(all) < 6 {
			got, err := q.take(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			sum := 0
			for _, n := range got {
				sum += n
			}
			if len(got) > 3 || sum > 100 && len(got) > 1 {
				t.Errorf("took %v at once", got)
			}
			all = append(all, got...)
			synctest.Wait()
		}
		if err := <-put; err != nil {
			t.Error(err)
		}
		// A full queue lets its reader go when the stream ends.
		ctx, cancel := context.WithCancel(t.Context())
		go func() { put <- q.put(ctx, []int{100, 100}) }()
		synctest.Wait()
		cancel()
		if err := <-put; err == nil {
			t.Error("the reader waits for ever")
		}
	})
}

// Calls stay at most 4 s apart for ten minutes, then space out to five minutes;
// news starts them over.
func TestPlan(t *testing.T) {
	start := time.Unix(1e9, 0)
	now := start
	p := &plan{began: now}
	p.renew(now)
	var longest time.Duration
	calls := 0
	for now.Sub(start) < 3*time.Hour {
		if p.next.Before(now) {
			t.Fatal("a call in the past")
		}
		gap := p.next.Sub(now)
		if now.Sub(start) < patience && gap > shortPause {
			t.Fatalf("%v after %v", gap, now.Sub(start))
		}
		longest = max(longest, gap)
		now = p.next
		p.start(now)
		p.failed(now)
		calls++
	}
	if longest != longPause || calls < 150 || calls > 250 {
		t.Errorf("longest pause %v, %d calls", longest, calls)
	}
	p.renew(now)
	if p.next.Sub(now) > firstPause {
		t.Error("news does not hurry the next call")
	}
	// A call that takes longer than the pause is followed after the shortest.
	p.start(now)
	p.failed(now.Add(10 * time.Second))
	if !p.next.Equal(now.Add(10*time.Second + firstPause)) {
		t.Errorf("next call after %v", p.next.Sub(now))
	}
	// However often news comes, calls are not closer than the shortest pause.
	p.start(now)
	p.renew(now.Add(time.Millisecond))
	if p.next.Sub(now) < firstPause {
		t.Error("news makes a storm of calls")
	}
}
