package exact

import (
	"encoding/hex"
	"testing/synctest"
	"time"

	"rushlight/node/delivery/parcel"
	"rushlight/node/engine"
	"rushlight/storage/record"
)

// action is something the driver does, so often in a thousand steps.
type action struct {
	name string
	odds int
	do   func(w *world)
}

var actions = []action{
	{"send", 240, func(w *world) {
		a, b := w.anyTwo()
		w.note("%d writes to %d", a.n, b.n)
		w.say(a, b, 2)
	}},
	{"carry", 300, func(w *world) {
		a, b := w.anyTwo()
		n := w.pickUp(a, b, 1+w.rng.IntN(12))
		taken, refused := w.arrive(a, b, 1+w.rng.IntN(16), rough)
		acks := w.answer(a, b, 1+w.rng.IntN(16), rough)
		w.note("%d to %d: %d picked up, %d taken, %d refused, %d acknowledged", a.n, b.n, n, taken, refused, acks)
	}},
	{"answer", 100, func(w *world) {
		a, b := w.anyTwo()
		w.note("%d answers %d: %d acknowledged", b.n, a.n, w.answer(a, b, 1+w.rng.IntN(40), rough))
	}},
	{"replay", 40, func(w *world) {
		a, b := w.anyTwo()
		old := w.lanes[a.n][b.n].archive
		if len(old) == 0 || w.apart(a, b) {
			return
		}
		taken, refused := w.receive(a, b, a.device, []packet{old[w.rng.IntN(len(old))]}, 0)
		w.note("%d to %d again: %d taken, %d refused", a.n, b.n, taken, refused)
	}},
	{"refuse", 10, func(w *world) { w.refuse(w.anyTwo()) }},
	{"hello", 60, func(w *world) {
		a, b := w.anyTwo()
		w.hello(a, b, 15)
		w.note("%d and %d say hello", a.n, b.n)
	}},
	{"befriend", 40, func(w *world) { w.befriend(w.anyTwo()) }},
	{"fetch", 60, func(w *world) {
		a := w.anybody()
		w.fetch(a, 30)
		w.note("%d fetches", a.n)
	}},
	{"read", 60, func(w *world) {
		a, b := w.anyTwo()
		if a.eng.Contact(b.account) == nil {
			return
		}
		got, err := a.eng.Read(w.ctx, engine.Read{With: b.account, Limit: w.rng.IntN(20), Unread: w.chance(50)})
		w.must(err)
		w.saw(a, got)
		synctest.Wait()
		w.note("%d reads %d messages of %d", a.n, len(got), b.n)
	}},
	{"edit", 30, func(w *world) { w.change(w.anyTwo()) }},
	{"react", 30, func(w *world) { w.reactTo(w.anyTwo()) }},
	{"unsend", 15, func(w *world) { w.unsend(w.anyTwo()) }},
	{"wait", 40, func(w *world) {
		d := time.Duration(1+w.rng.IntN(40_000)) * time.Millisecond
		w.note("%v pass", d)
		time.Sleep(d)
		synctest.Wait()
	}},
	{"cut", 12, func(w *world) {
		a, b := w.anyTwo()
		w.setCut(a, b, true)
		w.note("%d and %d are apart", a.n, b.n)
	}},
	{"partition", 2, func(w *world) {
		side := w.rng.Perm(len(w.people))[:1+w.rng.IntN(len(w.people)/2)]
		w.each(func(a, b *profile) { w.cut[a.n][b.n] = in(side, a.n) != in(side, b.n) })
		w.note("%v are alone", side)
	}},
	{"heal", 12, func(w *world) {
		w.heal()
		w.note("the network heals")
	}},
	{"crash", 10, func(w *world) {
		p := w.anybody()
		p.crash()
		w.reopened(p, "crashed")
	}},
	{"restart", 4, func(w *world) {
		p := w.anybody()
		p.restart()
		w.reopened(p, "restarted")
	}},
	{"back up", 4, func(w *world) {
		if p := w.anybody(); w.settledIn {
			w.copies[p.n] = w.backUp(p)
			w.note("%d is copied", p.n)
		}
	}},
	{"restore", 2, func(w *world) {
		p := w.anybody()
		if c := w.copies[p.n]; c != nil {
			delete(w.copies, p.n)
			w.restore(c)
			w.reopened(p, "restored")
		}
	}},
}

func in(list []int, n int) bool {
	for _, x := range list {
		if x == n {
			return true
		}
	}
	return false
}

// reopened checks a profile that was just opened again.
func (w *world) reopened(p *profile, how string) {
	w.note("%d is %s", p.n, how)
	w.count[how]++
	if err := w.checkStore(p); err != nil {
		w.fatal("StoreChecks after it was %s: %v", how, err)
	}
	if err := w.eventsDense(p); err != nil {
		w.fatal("EventsDense after it was %s: profile %d: %v", how, p.n, err)
	}
	has := w.all(p)
	for label := range w.oracle.holds[p.n] {
		if n := w.oracle.by[label]; !has[label] && (n == nil || !n.ends()) {
			w.fatal("NothingLost: %s is gone from profile %d after it was %s", label, p.n, how)
		}
	}
}

func (w *world) heal() {
	w.each(func(a, b *profile) { w.cut[a.n][b.n] = false })
}

// befriend lets two add each other, half of the time both at once.
func (w *world) befriend(a, b *profile) {
	if w.asked[a.n][b.n] || w.asked[b.n][a.n] {
		return
	}
	w.ask(a, b)
	both := w.chance(50)
	if both {
		w.ask(b, a)
	}
	w.note("%d adds %d, both %v", a.n, b.n, both)
}

// refuse makes b refuse something of a that b could well take.
func (w *world) refuse(a, b *profile) {
	if !w.settledIn || w.apart(a, b) {
		return
	}
	ps, err := a.eng.Pending(b.account, 0, 3)
	w.must(err)
	if len(ps) == 0 {
		return
	}
	code := []uint8{parcel.CodeUnknown, parcel.CodeFull, parcel.CodeEffort, parcel.CodeRefused}[w.rng.IntN(4)]
	l := w.lanes[b.n][a.n]
	l.replies = append(l.replies, reply{seq: ps[len(ps)-1].Seq, code: code, life: a.life, may: true})
	w.tainted = w.tainted || code == parcel.CodeRefused
	w.note("%d refuses something of %d with code %d", b.n, a.n, code)
}

// run takes steps steps. After the first fifth everybody knows everybody.
func (w *world) run(steps int) {
	total := 0
	for _, a := range actions {
		total += a.odds
	}
	w.copies, w.wild = map[int]*copyOf{}, true
	nights := max(steps/4, 1)
	for w.step = 1; w.step <= steps; w.step++ {
		if w.step == steps/5 {
			w.settleIn()
		}
		if w.step%nights == nights/2 {
			w.night()
		}
		n := w.rng.IntN(total)
		for _, a := range actions {
			if n -= a.odds; n < 0 {
				if !w.without[a.name] {
					a.do(w)
				}
				break
			}
		}
		if w.step%1000 == 0 {
			w.check(false)
		}
	}
	w.settle()
	w.check(true)
}

// settleIn makes sure that everybody has added everybody.
func (w *world) settleIn() {
	w.each(func(a, b *profile) { w.befriend(a, b) })
	w.settle()
	w.each(func(a, b *profile) {
		if c := a.eng.Contact(b.account); c == nil || c.State != record.ContactApproved {
			w.fatal("%d has not become a contact of %d", b.n, a.n)
		}
	})
	w.settledIn = true
	w.check(true)
}

// night is a day during which everybody is switched off.
func (w *world) night() {
	for _, p := range w.people {
		p.halt()
	}
	time.Sleep(25 * time.Hour)
	for _, p := range w.people {
		p.openStore()
		p.start()
	}
	w.note("a day passes")
}

// settle heals the network and gives everything time to arrive.
func (w *world) settle() {
	const rounds = 60
	w.heal()
	for range rounds {
		busy := false
		w.each(func(a, b *profile) {
			w.fetch(a, 0)
			w.hello(a, b, 0)
			for w.pickUp(a, b, 200) > 0 {
				w.arrive(a, b, maxFlying, calm)
				if w.answer(a, b, 1000, calm) == 0 {
					break
				}
			}
			w.arrive(a, b, maxFlying, calm)
			w.answer(a, b, 1000, calm)
		})
		for _, p := range w.people {
			joins, err := p.eng.Joins()
			w.must(err)
			busy = busy || p.eng.Queued() > 0 || len(joins) > 0
		}
		if !busy {
			return
		}
		time.Sleep(31 * time.Second) // a new session is started at most this often
		synctest.Wait()
	}
}

// digest is what came of the run: every step, and what everybody shows.
func (w *world) digest() string {
	w.each(func(p, q *profile) {
		for _, l := range w.conversation(p, q, 0) {
			w.note("%d with %d: %s, state %d, waiting %v", p.n, q.n, l.label, l.State, l.Waiting)
		}
	})
	return hex.EncodeToString(w.trace.Sum(nil))
}
