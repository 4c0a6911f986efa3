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
