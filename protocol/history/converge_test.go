package history_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rushlight/protocol/history"
	"rushlight/protocol/message"
)

// shown is the order in which a device shows what it has placed.
func (d *device) shown() []message.ID {
	var all []history.Position
	for _, p := range d.placed {
		all = append(all, p)
	}
	slices.SortFunc(all, history.Position.Compare)
	var ids []message.ID
	for _, p := range all {
		ids = append(ids, p.ID)
	}
	return ids
}

// TestConverge lets devices write and hear each other in any order, with
// duplicates and with clocks up to a minute apart, and then hear the rest.
func TestConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var devs []*device
		var skew []time.Duration
		for i := range rapid.IntRange(2, 4).Draw(t, "devices") {
			devs = append(devs, newDevice(byte(i+1)))
			skew = append(skew, time.Duration(rapid.IntRange(-30, 30).Draw(t, "skew"))*time.Second)
		}
		var all []*message.Message
		now := t0
		hear := func(d int, m *message.Message) {
			if m.Author == devs[d].id {
				return
			}
			_, placed := devs[d].placed[m.ID()]
			_, waits := devs[d].waiting[m.ID()]
			out := devs[d].take(t, m, now.Add(skew[d]))
			if (out.Verdict == history.Duplicate) != (placed || waits) {
				t.Fatal("a duplicate was not recognised, or a new message taken for one")
			}
			if out.Fork != nil {
				t.Fatal("a fork where there is none")
			}
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 5000).Draw(t, "ms")) * time.Millisecond)
			d := rapid.IntRange(0, len(devs)-1).Draw(t, "who")
			if len(all) == 0 || rapid.Bool().Draw(t, "writes") {
				all = append(all, devs[d].make(t, "x", now.Add(skew[d])))
				continue
			}
			hear(d, rapid.SampledFrom(all).Draw(t, "message"))
		}
		for d := range devs {
			checkGaps(t, devs[d], devs)
			for _, m := range rapid.Permutation(all).Draw(t, "rest") {
				hear(d, m)
			}
		}
		want := devs[0].shown()
		if len(want) != len(all) {
			t.Fatalf("%d of %d messages are shown", len(want), len(all))
		}
		for _, d := range devs {
			if len(d.waiting) != 0 {
				t.Fatalf("%d messages wait for ever", len(d.waiting))
			}
			if !slices.Equal(d.shown(), want) {
				t.Fatal("two devices show two orders")
			}
			if d.state.VDig() != devs[0].state.VDig() || !slices.Equal(d.state.Heads(), devs[0].state.Heads()) {
				t.Fatal("two devices have two digests, or other heads")
			}
		}
		for _, m := range all {
			for _, p := range m.Parents {
				if slices.Index(want, p) > slices.Index(want, m.ID()) {
					t.Fatal("a message stands before its parent")
				}
			}
		}
	})
}

// checkGaps compares the gaps a device lists with what each author has made.
func checkGaps(t *rapid.T, d *device, authors []*device) {
	for _, a := range authors {
		own, _ := a.state.Log(a.id)
		held, _ := d.state.Log(a.id)
		n := uint64(0)
		for _, r := range held.Held.Missing(own.Held.Last(), message.MaxRanges+1) {
			for seq := r.First; seq <= r.Last; seq++ {
				n++
				if _, ok := d.at[slot{a.id, seq}]; ok {
					t.Fatal("a message that is held is listed as missing")
				}
			}
		}
		for seq := uint64(1); seq <= own.Held.Last(); seq++ {
			if _, ok := d.at[slot{a.id, seq}]; ok {
				n++
			}
		}
		if n != own.Held.Last() {
			t.Fatalf("%d of %d messages are held or missing", n, own.Held.Last())
		}
	}
}

// TestOrderControl shows that the order does depend on parents: with the
// claimed times alone, a slow clock puts an answer before its question.
func TestOrderControl(t *testing.T) {
	a, b := newDevice(1), newDevice(2)
	q := a.make(t, "question", t0)
	b.take(t, q, t0)
	ans := b.make(t, "answer", t0.Add(-time.Minute))
	if message.ClockOf(t0.Add(-time.Minute)) >= q.HLC {
		t.Fatal("control: the clock is not slow")
	}
	a.take(t, ans, t0)
	for _, d := range []*device{a, b} {
		if got := d.shown(); got[0] != q.ID() || got[1] != ans.ID() {
			t.Error("an answer stands before its question")
		}
	}
}

// TestClockControl shows what [TestConverge] needs: with a clock hours ahead,
// two devices show concurrent messages in two orders.
func TestClockControl(t *testing.T) {
	a, b := newDevice(1), newDevice(2)
	fast := a.make(t, "fast", t0.Add(3*time.Hour))
	other := b.make(t, "other", t0.Add(time.Second))
	a.take(t, other, t0.Add(3*time.Hour))
	b.take(t, fast, t0)
	if slices.Equal(a.shown(), b.shown()) {
		t.Error("control: the order does not depend on the clocks")
	}
}
