package mail

import (
	"fmt"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"rushlight/node/engine"
	"rushlight/storage/record"
)

// history is the fate of one seed: who has which relays, what these do, and
// what happens in which order.
type history struct {
	w     *world
	safe  *person // whose first relay is honest and stays
	doom  int     // the step at which a device is destroyed; 0 is never
	kill  int     // how often a device is killed between two things, in a thousand
	steps int
}

// newHistory brings some people together once, and leaves them to their
// relays.
func newHistory(w *world) *history {
	h := &history{w: w, kill: []int{0, 0, 2, 5}[w.rng.IntN(4)], steps: 25 + w.rng.IntN(30)}
	w.watchAcks = true
	people := 2
	if w.chance(20) {
		people = 3
	}
	w.fromTemplate(people)
	for range 2 + w.rng.IntN(3) {
		w.newRelay()
	}
	h.safe = w.people[w.rng.IntN(people)]
	for _, p := range w.people {
		order := w.rng.Perm(len(w.relays))
		if p == h.safe {
			order = slices.DeleteFunc(order, func(i int) bool { return i == 0 })
			order = slices.Insert(order, w.rng.IntN(len(order)+1), 0)
		}
		k := 1 + w.rng.IntN(min(3, len(order)))
		if at := slices.Index(order, 0); p == h.safe && at >= k {
			order[0], order[at] = order[at], order[0]
		}
		for _, i := range order[:k] {
			p.host(w.relays[i])
			w.log("%d is at relay %d", p.n, i)
			_, err := p.collect(w.relays[i], 0)
			w.must(err)
		}
	}
	for i, a := range w.people {
		for _, b := range w.people[i+1:] {
			w.befriend(a, b)
		}
	}
	for _, r := range w.relays[1:] {
		if w.chance(60) {
			r.lies = w.someLies()
			w.log("relay %d: %+v", r.n, r.lies)
		}
	}
	if w.chance(20) {
		h.doom = 1 + w.rng.IntN(h.steps)
	}
	return h
}

// someLies draws how a relay breaks its word.
func (w *world) someLies() (l lies) {
	often := func() int { return []int{5, 20, 50, 100}[w.rng.IntN(4)] }
	for range 1 + w.rng.IntN(3) {
		switch w.rng.IntN(12) {
		case 0:
			l.drop = often()
		case 1:
			l.dropL = true
		case 2:
			l.dropLate = 3
		case 3:
			l.withhold = often()
		case 4:
			l.stale = 5
		case 5:
			l.replay = often()
		case 6:
			l.shuffle = often()
		case 7:
			l.flip = min(often(), 50)
		case 8:
			l.swap = often()
		case 9:
			l.stuff = often()
		case 10:
			l.keep = often()
		case 11:
			l.refuse, l.busy = min(often(), 50), min(often(), 50)
		}
	}
	return l
}

// say lets a write to b.
func (w *world) say(a, b *person) {
	if a.gone || b.gone {
		return
	}
	n := &note{label: fmt.Sprintf("%d>%d/%d", a.n, b.n, len(w.notes)), from: a.n, to: b.n, wrote: time.Now(), acked: map[*relay]time.Time{}}
	text := n.label + "|"
	switch {
	case w.chance(6):
		text += strings.Repeat("long ", 600+w.rng.IntN(2000))
	case w.chance(4):
		text += strings.Repeat("long ", 4000)
	}
	sent, err := a.eng.Send(w.ctx, engine.Send{To: b.account, Text: text})
	w.must(err)
	w.notes, w.by[n.label], w.ids[sent.ID] = append(w.notes, n), n, n
	w.log("%d writes to %d", a.n, b.n)
}

func (w *world) anyTwo() (a, b *person) {
	i := w.rng.IntN(len(w.people))
	j := w.rng.IntN(len(w.people) - 1)
	if j >= i {
		j++
	}
	return w.people[i], w.people[j]
}

// run lets it all happen.
func (h *history) run() {
	w := h.w
	for w.step = 1; w.step <= h.steps; w.step++ {
		if w.step == h.doom {
			h.destroy()
		}
		a, b := w.anyTwo()
		r := w.relays[w.rng.IntN(len(w.relays))]
		switch x := w.rng.IntN(100); {
		case x < 30:
			w.say(a, b)
			if w.chance(30) {
				for range w.rng.IntN(12) {
					w.say(a, b)
				}
			}
		case x < 52 && !a.gone:
			n, _ := a.serve(b, h.kill)
			w.log("%d leaves %d for %d", a.n, n, b.n)
		case x < 74 && !a.gone:
			for _, m := range a.eng.Mailboxes() {
				if w.chance(70) {
					n, err := a.collect(w.relayOf(m.Key), h.kill)
					w.log("%d takes %d at %d: %v", a.n, n, w.relayOf(m.Key).n, err)
				}
			}
		case x < 80 && !a.gone:
			a.acknowledge()
			w.log("%d acknowledges", a.n)
		case x < 86:
			d := time.Duration(1+w.rng.IntN(120)) * time.Minute
			w.pass(d)
			w.log("%v pass", d)
		case x < 88:
			w.night(time.Duration(1+w.rng.IntN(100)) * time.Hour)
		case x < 90 && !a.gone:
			a.crash()
			w.log("%d is killed", a.n)
		case x < 91:
			h.change(a)
		default:
			h.harm(r)
		}
	}
}

// harm does something to a relay. The first is spared what would break the
// condition of the guarantee.
func (h *history) harm(r *relay) {
	w := h.w
	if r.dead {
		return
	}
	first := r == w.relays[0]
	switch x := w.rng.IntN(10); {
	case x < 3:
		r.crash()
		w.log("relay %d is killed", r.n)
	case x < 5:
		r.down = !r.down
		w.log("relay %d is down: %v", r.n, r.down)
	case x < 7:
		r.backUp()
		w.log("relay %d is copied", r.n)
	case x == 7 && !first:
		w.log("relay %d is put back: %v", r.n, r.rollBack())
	case x == 8 && !first:
		r.burn()
		w.log("relay %d begins anew", r.n)
	case x == 9 && !first:
		r.die()
		w.log("relay %d is dead", r.n)
	}
}

// change lets somebody give up a relay, or take another one.
func (h *history) change(p *person) {
	w := h.w
	if p.gone {
		return
	}
	all := p.set()
	if len(all) > 1 && w.chance(50) {
		gone := all[w.rng.IntN(len(all))].Key
		if p == h.safe && gone == w.relays[0].key {
			return
		}
		w.must(p.eng.RemoveRelay(w.ctx, gone))
		w.log("%d gives up relay %d", p.n, w.relayOf(gone).n)
		for _, n := range w.notes {
			if n.to == p.n {
				delete(n.acked, w.relayOf(gone)) // nobody looks there any more
			}
		}
		return
	}
	if len(all) < 3 {
		r := w.newRelay()
		if w.chance(40) {
			r.lies = w.someLies()
		}
		p.host(r)
		w.log("%d wants relay %d", p.n, r.n)
	}
}

// destroy ends a device with everything on it.
func (h *history) destroy() {
	w := h.w
	p := w.people[w.rng.IntN(len(w.people))]
	if p == h.safe || p.gone {
		return
	}
	p.halt()
	p.gone = true
	w.count["devices destroyed"]++
	w.log("%d is destroyed", p.n)
}

// settle gives everything time to arrive: relays that were down come back, who
// has no relay left that works gets one, and days pass.
func (h *history) settle() {
	w := h.w
	for _, r := range w.relays {
		r.down = false
	}
	for _, p := range w.people {
		if p.gone {
			continue
		}
		works := slices.ContainsFunc(w.relays, func(r *relay) bool { return !r.dead && r.lies.honest() && p.hosts(r) })
		if works {
			continue
		}
		if all := p.set(); len(all) >= 3 {
			w.must(p.eng.RemoveRelay(w.ctx, all[w.rng.IntN(len(all))].Key))
		}
		p.host(w.newRelay())
		w.count["new relays for who had none"]++
	}
	w.settle(h.kill)
}

func (p *person) hosts(r *relay) bool {
	return slices.ContainsFunc(p.set(), func(m record.Relay) bool { return m.Key == r.key })
}

// set is p's relays but those that it gives up.
func (p *person) set() []record.Relay {
	return slices.DeleteFunc(slices.Clone(p.eng.Mailboxes()), func(m record.Relay) bool { return m.Leaving != 0 })
}

// settle runs rounds of everything, and lets a day pass when nothing moves.
func (w *world) settle(kill int) {
	days, idle := 0, 0
	for round := 0; days < 30; round++ {
		w.step++
		moved := 0
		for _, p := range w.people {
			if p.gone {
				continue
			}
			for _, m := range p.eng.Mailboxes() {
				n, _ := p.collect(w.relayOf(m.Key), kill)
				moved += n
			}
			p.acknowledge()
		}
		for _, p := range w.people {
			for _, q := range w.people {
				if p != q && !p.gone && !q.gone {
					n, _ := p.serve(q, kill)
					moved += n
				}
			}
		}
		w.log("round %d of settling: %d moved", round, moved)
		if moved > 0 && round%6 != 5 {
			continue
		}
		if w.arrived() {
			// From now on nobody lies: acknowledgements arrive, too.
			for _, r := range w.relays {
				r.lied, r.lies = r.lied || !r.lies.honest(), lies{}
			}
			if w.drained() {
				return
			}
		}
		kill = 0
		if idle++; idle%3 != 0 {
			w.pass(11 * time.Minute) // lanes open again
			continue
		}
		days++
		w.lookUp()
		w.night(25 * time.Hour)
	}
	w.count["not drained"]++
}

// lookUp is the beacon of everybody: who has something to say reads it.
func (w *world) lookUp() {
	for _, p := range w.people {
		for _, q := range w.people {
			if p != q && !p.gone && !q.gone && p.eng.Waits(q.account) {
				w.must(p.eng.FoundRelays(w.ctx, q.account, q.eng.BeaconRelays(), time.Now().Add(q.ahead)))
			}
		}
	}
	synctest.Wait()
}

// arrived reports whether everybody shows all that the guarantee covers.
func (w *world) arrived() bool {
	shown := map[string]bool{}
	for _, p := range w.people {
		for _, q := range w.people {
			if p != q && !p.gone {
				for _, v := range p.shows(q) {
					shown[labelOf(v)] = shown[labelOf(v)] || !v.Mine && (!v.Waiting || q.gone || w.forgets)
				}
			}
		}
	}
	return !slices.ContainsFunc(w.notes, func(n *note) bool {
		return !shown[n.label] && !w.people[n.to].gone && (!w.people[n.from].gone || n.kept(w))
	})
}

// drained reports whether nobody has anything left to send.
func (w *world) drained() bool {
	for _, p := range w.people {
		if p.gone {
			continue
		}
		for _, q := range w.people {
			if p != q && !q.gone && p.eng.Waits(q.account) {
				return false
			}
		}
	}
	return true
}
