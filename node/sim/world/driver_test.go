package world

import (
	"maps"
	"slices"
	"testing"
	"time"
)

// action is something the driver does, so often in a hundred steps.
type action struct {
	name string
	odds int
	do   func(w *world)
}

var actions = []action{
	{"write", 50, func(w *world) {
		a := w.anybodyOn()
		for _, i := range w.rng.Perm(len(w.people))[:1+w.rng.IntN(len(w.people)-1)] {
			if b := w.people[i]; a != b {
				for range 1 + w.rng.IntN(4) {
					w.say(a, b)
				}
			}
		}
	}},
	{"read", 5, func(w *world) {
		a := w.anybodyOn()
		for _, b := range w.people {
			if a != b {
				w.read(a, b)
			}
		}
	}},
	{"bad line", 4, func(w *world) { w.air.change(func() { w.air.loss = 1 + w.rng.IntN(25) }) }},
	{"good line", 4, func(w *world) { w.air.change(func() { w.air.loss = 0 }) }},
	{"cut", 6, func(w *world) {
		p := w.rng.Perm(len(w.people))
		w.air.setCut(p[0], p[1], true)
	}},
	{"one way", 3, func(w *world) {
		p := w.rng.Perm(len(w.people))
		w.air.change(func() { w.air.cut[p[0]][p[1]] = true })
	}},
	{"partition", 3, func(w *world) {
		side := map[int]bool{}
		for _, i := range w.rng.Perm(len(w.people))[:1+w.rng.IntN(len(w.people)/2)] {
			side[i] = true
		}
		w.each(func(a, b *person) {
			if side[a.n] != side[b.n] {
				w.air.setCut(a.n, b.n, true)
			}
		})
	}},
	{"heal", 8, func(w *world) { w.air.heal() }},
	{"switch off", 5, func(w *world) { w.anybodyOn().halt() }},
	{"unplug", 5, func(w *world) { w.anybodyOn().unplug() }},
	{"restart", 4, func(w *world) {
		p := w.anybodyOn()
		p.halt()
		p.start()
		w.must(p.checkStore())
	}},
	{"switch on", 12, func(w *world) {
		if p := w.people[w.rng.IntN(len(w.people))]; p.node == nil {
			p.start()
			w.must(p.checkStore())
		}
	}},
}

// anybodyOn returns somebody who is switched on, and sees to it that somebody
// is.
func (w *world) anybodyOn() *person {
	var on []*person
	for _, p := range w.people {
		if p.node != nil {
			on = append(on, p)
		}
	}
	if len(on) > 0 {
		return on[w.rng.IntN(len(on))]
	}
	p := w.people[w.rng.IntN(len(w.people))]
	p.start()
	return p
}

// drive does so many things, with anything from a moment to minutes between
// them.
func (w *world) drive(steps int) {
	total := 0
	for _, a := range actions {
		total += a.odds
	}
	for range steps {
		n := w.rng.IntN(total)
		for _, a := range actions {
			if n -= a.odds; n < 0 {
				w.note("%s", a.name)
				w.count[a.name]++
				a.do(w)
				break
			}
		}
		pause := time.Duration(w.rng.IntN(3000)) * time.Millisecond
		if w.rng.IntN(5) == 0 {
			pause = time.Duration(w.rng.IntN(60)) * time.Second
		}
		if w.rng.IntN(40) == 0 {
			pause = time.Duration(w.rng.IntN(15)) * time.Minute
		}
		time.Sleep(pause)
	}
}

// makeWhole takes everything away that keeps people from each other.
func (w *world) makeWhole() {
	w.air.heal()
	for _, p := range w.people {
		p.start()
	}
}

// TestWorld is the simulation: eight people, all of whom know each other, one
// of them behind a firewall, and everything that can go wrong between them.
func TestWorld(t *testing.T) {
	people, steps := 8, 400
	if testing.Short() || raceEnabled {
		people, steps = 4, 40
	}
	simulate(t, people, func(w *world) {
		w.air.wall(people - 1) // who accepts everybody's invite, and so calls
		w.befriendAll()
		w.drive(steps)
		w.makeWhole()
		began := time.Now()
		inner := w.people[people-1]
		inner.halt() // nobody can call it; see TestFirewall
		inner.start()
		w.must(w.settle())
		t.Logf("settled %v after the network was whole; did %v", time.Since(began), slices.Sorted(maps.Keys(w.count)))
		w.check()
	})
}
