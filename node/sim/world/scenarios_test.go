package world

import (
	"fmt"
	"testing"
	"time"
)

// few runs f among n people who all know each other, and checks the
// invariants in the end.
func few(t *testing.T, n int, f func(w *world)) {
	t.Helper()
	simulate(t, n, func(w *world) {
		w.befriendAll()
		f(w)
		w.must(w.settle())
		w.check()
	})
}

// atOnce is how long delivery may take once both sides are there.
const atOnce = 5 * time.Second

// What was written to somebody who was away arrives at once when their device
// is back at the address it had: whoever comes back calls.
func TestRecipientWasAway(t *testing.T) {
	for _, c := range []struct {
		how  string
		away time.Duration
		off  func(p *person)
	}{
		{"switched off", time.Minute, (*person).halt},
		{"switched off", 40 * time.Minute, (*person).halt},
		{"unplugged", 2 * time.Second, (*person).unplug},
		{"unplugged", 5 * time.Minute, (*person).unplug},
	} {
		t.Run(fmt.Sprintf("%s for %v", c.how, c.away), func(t *testing.T) {
			few(t, 2, func(w *world) {
				a, b := w.people[0], w.people[1]
				c.off(b)
				var notes []*note
				for range 20 {
					notes = append(notes, w.say(a, b))
					time.Sleep(c.away / 20)
				}
				if _, ok := w.delivered(notes[0], time.Second); ok {
					w.fatal("delivered to a device that is off")
				}
				b.start()
				w.arrive("back after "+c.away.String(), atOnce, notes...)
			})
		})
	}
}

// Control: a device that comes back and can't call is late, so what the test
// above measures depends on the call.
func TestControlRecipientCannotCall(t *testing.T) {
	few(t, 2, func(w *world) {
		a, b := w.people[0], w.people[1]
		b.halt()
		n := w.say(a, b)
		time.Sleep(40 * time.Minute)
		w.air.change(func() { w.air.cut[b.n][a.n] = true })
		b.start()
		time.Sleep(time.Minute)
		w.air.heal()
		if took, ok := w.delivered(n, atOnce); ok {
			w.fatal("delivered %v after its recipient could answer", took)
		}
	})
}

// What both wrote while the other was away arrives when both have restarted.
func TestBothRestart(t *testing.T) {
	few(t, 2, func(w *world) {
		a, b := w.people[0], w.people[1]
		for range 3 {
			b.halt()
			notes := []*note{w.say(a, b), w.say(a, b)}
			time.Sleep(time.Minute)
			a.halt()
			b.start()
			notes = append(notes, w.say(b, a), w.say(b, a))
			time.Sleep(time.Minute)
			b.unplug()
			time.Sleep(time.Minute)
			b.start()
			a.start()
			w.arrive("both back", atOnce, notes...)
		}
	})
}

// A network that falls in two halves: everybody goes on writing, and when it
// is whole again everything arrives.
func TestPartitionHeals(t *testing.T) {
	for _, c := range []struct{ gap, within time.Duration }{
		{0, callPause},
		{5 * time.Minute, callPause},
		{time.Hour, 5*time.Minute + callPause}, // by then calls are 5 minutes apart
	} {
		t.Run(c.gap.String(), func(t *testing.T) {
			few(t, 4, func(w *world) {
				half := func(p *person) int { return p.n / 2 }
				w.each(func(a, b *person) {
					if half(a) != half(b) {
						w.air.setCut(a.n, b.n, true)
					}
				})
				var same, other []*note
				w.each(func(a, b *person) {
					n := w.say(a, b)
					if half(a) == half(b) {
						same = append(same, n)
					} else {
						other = append(other, n)
					}
				})
				w.arrive("within a half", time.Second, same...)
				for _, n := range other {
					if _, ok := w.delivered(n, 10*time.Second); ok {
						w.fatal("%s crossed the gap", n.label)
					}
				}
				time.Sleep(c.gap)
				w.air.heal()
				w.arrive("whole after "+c.gap.String(), c.within, other...)
			})
		})
	}
}

// callPause bounds how long two devices that are both on take to notice that
// the network between them works again, in the first ten minutes: the pause
// between calls and one call that had begun before.
const callPause = 15 * time.Second

// A bad line: a fifth of all packets lost and the rest out of order.
func TestBadLine(t *testing.T) {
	simulate(t, 2, func(w *world) {
		a, b := w.people[0], w.people[1]
		w.air.change(func() { w.air.loss = 20 })
		b.accept(a.invite())
		if _, ok := w.until(time.Minute, time.Second, func() bool { return a.knows(b) && b.knows(a) }); !ok {
			w.fatal("no contact over a bad line")
		}
		var notes []*note
		for range 100 {
			notes = append(notes, w.say(a, b), w.say(b, a))
			time.Sleep(100 * time.Millisecond)
		}
		w.arrive("over a bad line", time.Minute, notes...)
		w.check()
	})
}

// The maker of an invite is away when it is accepted.
func TestInviteOfSomebodyAway(t *testing.T) {
	simulate(t, 2, func(w *world) {
		a, b := w.people[0], w.people[1]
		link := a.invite()
		a.halt()
		b.accept(link)
		if b.knows(a) {
			w.fatal("nobody answered, and the contact stands")
		}
		time.Sleep(10 * time.Minute)
		a.start()
		took, ok := w.until(2*time.Minute, time.Second, func() bool { return a.knows(b) && b.knows(a) })
		if !ok {
			w.fatal("no contact after %v", took)
		}
		t.Logf("contacts %v after the maker was back", took)
		w.arrive("new contacts", atOnce, w.say(a, b), w.say(b, a))
		w.check()
	})
}

// Somebody behind a firewall calls, and is answered as long as the connection
// stands. When it has ended nobody can call them: that needs a relay.
func TestFirewall(t *testing.T) {
	simulate(t, 2, func(w *world) {
		out, in := w.people[0], w.people[1]
		w.air.wall(in.n)
		w.befriend(out, in)
		w.arrive("through the hole", time.Second, w.say(out, in), w.say(in, out))
		in.halt()
		n := w.say(out, in)
		time.Sleep(20 * time.Minute)
		in.start()
		w.arrive("back behind a firewall", atOnce, n)

		time.Sleep(10 * time.Minute) // the stream has ended for want of use
		n = w.say(out, in)
		if _, ok := w.delivered(n, time.Minute); ok || w.air.counted().walled == 0 {
			w.fatal("control: the firewall lets calls in")
		}
		w.arrive("after the inner side has spoken", atOnce, w.say(in, out), n)
		w.must(w.settle())
		w.check()
	})
}

// Two devices that have nothing to say end their connection, whichever of them
// notices first; before, they only kept it up.
func TestIdleConnectionEnds(t *testing.T) {
	few(t, 2, func(w *world) {
		a, b := w.people[0], w.people[1]
		packets := func(d time.Duration) int {
			before := w.air.counted().carried
			time.Sleep(d)
			return w.air.counted().carried - before
		}
		for i := range 4 {
			time.Sleep(time.Second / 4)
			b.halt()
			b.start()
			w.arrive("talk", atOnce, w.say(a, b), w.say(b, a))
			if packets(time.Minute) == 0 {
				w.fatal("control: a connection that is used needs no packets")
			}
			time.Sleep(5 * time.Minute)
			if n := packets(5 * time.Minute); n > 0 {
				w.fatal("round %d: an idle connection has carried %d packets", i, n)
			}
		}
	})
}
