package mail

import (
	"testing"
	"time"
)

// calm makes two people who have met once, with one honest relay each.
func calm(w *world) (a, b *person) {
	w.fromTemplate(2)
	for _, p := range w.people {
		r := w.newRelay()
		p.host(r)
		_, err := p.collect(r, 0)
		w.must(err)
	}
	w.befriend(w.people[0], w.people[1])
	return w.people[0], w.people[1]
}

// TestManyStarts: two people who are never online together start again much
// more often than they hold bundles for one session each, before anything of
// the other comes.
func TestManyStarts(t *testing.T) {
	makeTemplate(t)
	simulate(t, 1, func(w *world) {
		a, b := calm(w)
		for range 3 {
			for range 8 {
				for _, p := range w.people {
					p.crash()
					w.say(p, w.people[1-p.n])
					p.serve(w.people[1-p.n], 0)
				}
				w.pass(time.Minute)
			}
			w.settle(0)
		}
		w.must(w.check())
		if n := len(a.shows(b)); n != 48 || len(w.notes) != n {
			w.fatal("%d messages are shown, %d were written", n, len(w.notes))
		}
		if !w.drained() {
			w.fatal("something waits")
		}
	})
}

// TestBothRunDry: two people who are never online together, and start again
// every day, have written so much that neither has a stamp left for the other.
func TestBothRunDry(t *testing.T) {
	makeTemplate(t)
	simulate(t, 1, func(w *world) {
		a, b := calm(w)
		for range 2 {
			r := w.newRelay()
			for _, p := range w.people {
				p.host(r)
				_, err := p.collect(r, 0)
				w.must(err)
			}
		}
		w.together(a, b)
		for range 150 {
			for _, p := range w.people {
				w.say(p, w.people[1-p.n])
			}
		}
		for _, p := range w.people {
			p.serve(w.people[1-p.n], 0)
		}
		days := 0
		for ; days < 20 && !w.drained(); days++ {
			w.night(25 * time.Hour)
			for range 6 {
				for _, p := range w.people {
					for _, m := range p.eng.Mailboxes() {
						_, err := p.collect(w.relayOf(m.Key), 0)
						w.must(err)
					}
					p.acknowledge()
					p.serve(w.people[1-p.n], 0)
				}
			}
		}
		w.t.Logf("%d days; %s", days, summary(w.count))
		if w.count["requests for want of a stamp"] == 0 {
			w.fatal("control: there were stamps")
		}
		if !w.drained() {
			a.explain(b)
			w.fatal("something waits")
		}
		w.must(w.check())
	})
}
