package mail

import (
	"testing"
	"time"

	"rushlight/node/engine"
	"rushlight/protocol/envelope"
	wire "rushlight/protocol/mailbox"
)

// Each row of the list of faults and attacks on relays (rows 1 to 14, 16, 27
// and 28) is one test here: three people who know each other and have mailboxes
// at the same three relays go through it, and G1 is checked behind it. Where a
// row is also about one part alone, the comment names that part's tests.

func row(t *testing.T, f func(w *world, a, b *person)) {
	t.Helper()
	if raceEnabled {
		t.Skip("histories run under the race detector; this runs without")
	}
	makeTemplate(t)
	simulate(t, 1, func(w *world) {
		w.watchAcks = true
		w.fromTemplate(3)
		for range 3 {
			w.newRelay()
		}
		for _, p := range w.people {
			for _, r := range w.relays {
				p.host(r)
				_, err := p.collect(r, 0)
				w.must(err)
			}
		}
		for i, p := range w.people {
			for _, q := range w.people[i+1:] {
				w.befriend(p, q)
			}
		}
		f(w, w.people[0], w.people[1])
		w.settled = time.Now()
		w.settle(0)
		w.must(w.check())
		for _, n := range w.notes {
			if w.people[n.from].gone || w.people[n.to].gone {
				w.fatal("control: a row destroys nobody")
			}
		}
	})
}

// Row 1: relays acknowledge and drop, two of three, by chance, only large ones,
// or from a day on. Who drops everything is not named any more after three
// letters to oneself. Package post has the proof of one lie.
func TestRow1Drops(t *testing.T) {
	for name, l := range map[string]lies{"all": {drop: 100}, "half": {drop: 50}, "large": {dropL: true}, "late": {dropLate: 3}} {
		t.Run(name, func(t *testing.T) {
			row(t, func(w *world, a, _ *person) {
				w.relays[1].lies, w.relays[2].lies = l, l
				w.talk(3, time.Hour, 0)
				for range 6 {
					w.night(25 * time.Hour)
					w.talk(1, 0, 0)
				}
				for _, r := range w.relays[1:] {
					if m := a.relayAt(r); engine.Bad(m) != (name == "all" || name == "late") && name != "half" {
						w.fatal("relay %d failed %d of the last tests in a row", r.n, m.Missed)
					}
				}
				if engine.Bad(a.relayAt(w.relays[0])) {
					w.fatal("an honest relay is accused")
				}
				w.did("acknowledged and dropped")
			})
		})
	}
}

// Row 2: relays keep the end of a log back for hours, or say that it is shorter
// than it was.
func TestRow2Withholds(t *testing.T) {
	row(t, func(w *world, _, _ *person) {
		for i, r := range w.relays {
			r.lies = lies{withhold: 100, stale: 30 * i}
			r.backUp()
		}
		w.talk(4, 3*time.Hour, 0)
		for _, r := range w.relays {
			r.lies.withhold = 0
		}
		w.talk(2, time.Hour, 0)
		if w.count["losses noticed"] == 0 {
			w.fatal("control: no log was shorter")
		}
	})
}

// Row 3: relays replay what was trimmed, give things twice and in another order.
func TestRow3Replays(t *testing.T) {
	row(t, func(w *world, _, _ *person) {
		for _, r := range w.relays {
			r.lies = lies{replay: 100, shuffle: 100, keep: 50}
		}
		w.talk(8, time.Hour, 0)
		w.did("replayed", "reordered")
	})
}

// Row 4: a relay is put back to yesterday, one begins anew: it is noticed, and
// what was there comes again.
func TestRow4RollsBack(t *testing.T) {
	row(t, func(w *world, a, b *person) {
		w.talk(2, time.Hour, 0)
		for _, r := range w.relays {
			r.backUp()
		}
		w.night(24 * time.Hour)
		w.talk(2, time.Hour, 0)
		for _, p := range w.people { // left, and not fetched yet
			for _, q := range w.people {
				if p != q {
					w.say(p, q)
					p.serve(q, 0)
				}
			}
		}
		if !w.relays[0].rollBack() {
			w.fatal("control: nothing to go back to")
		}
		w.relays[1].burn()
		w.relays[2].die()
		before := w.count["losses noticed"]
		w.turn(0)
		if w.count["losses noticed"] < before+len(w.people)+1 {
			w.fatal("%d losses were noticed", w.count["losses noticed"]-before)
		}
		w.turn(0)
		w.turn(0)
		// Asked to, senders have deposited again before it was due.
		for _, n := range w.notes {
			if w.waits(n) {
				w.fatal("%s was not sent again", n.label)
			}
		}
		if a.relayAt(w.relays[0]).Faults == 0 || b.relayAt(w.relays[1]).Faults == 0 {
			w.fatal("no fault was counted")
		}
	})
}

// Row 5: relays alter envelopes, cut them off, and give those of others.
func TestRow5Alters(t *testing.T) {
	row(t, func(w *world, _, _ *person) {
		for _, r := range w.relays {
			r.lies = lies{flip: 50, swap: 100, cut: 30, replay: 50}
		}
		w.talk(8, time.Hour, 0)
		w.did("altered", "given to another", "cut off", "replayed")
	})
}

// Row 6: a relay stuffs envelopes of nobody: they cost memory and disk of
// nobody, and mail comes all the same. Package post has what is fetched first.
func TestRow6Stuffs(t *testing.T) {
	row(t, func(w *world, a, _ *person) {
		w.talk(1, time.Hour, 0)
		before := a.records()
		w.relays[0].lies = lies{stuff: 100, many: 2000}
		w.turn(0)
		w.turn(0)
		w.turn(0)
		if n := a.records(); n > before+50 {
			w.fatal("%d records came of it", n-before)
		}
		w.talk(2, time.Hour, 0)
	})
}

// Row 7: a relay gives stamps for a mailbox to a spammer, who fills it. Mail
// comes by way of the others, and when the mailbox is empty again, there, too.
func TestRow7SharesStamps(t *testing.T) {
	row(t, func(w *world, a, b *person) {
		r := w.relays[0]
		_, all, err := r.shelf.Mint(b.handle(r), envelope.L, 1024)
		w.must(err)
		n := 0
		for _, s := range all {
			if code, _ := r.put(s, junk(envelope.L)); code != 0 {
				break
			}
			n++
		}
		if n == 0 || n == len(all) {
			w.fatal("control: %d of %d were taken", n, len(all))
		}
		before := b.records()
		w.talk(2, time.Hour, 0)
		w.turn(0)
		for _, note := range w.notes {
			if w.waits(note) {
				w.fatal("%s didn't come", note.label)
			}
		}
		if grown := b.records() - before; grown > 400 {
			w.fatal("%d records came of it", grown)
		}
		if full, err := a.eng.NoRoom(b.account); err != nil || full {
			w.fatal("the other relays have room: %v, %v", full, err)
		}
		w.night(15 * 24 * time.Hour) // until it is deleted
		w.talk(1, time.Hour, 0)
	})
}

// Row 8: a contact floods with all its stamps, gives them to others, and uses
// them twice. Package shelf has the same at the relay.
func TestRow8ContactFloods(t *testing.T) {
	row(t, func(w *world, a, b *person) {
		r := w.relays[0]
		held := a.stampsFor(b, r)
		taken := 0
		for class, stamps := range held {
			for _, s := range stamps {
				env := junk(engine.ClassOf(class))
				if code, dup := r.put(s, env); code != 0 || dup {
					w.fatal("a good stamp is refused with %v", code)
				}
				taken++
				if code, dup := r.put(s, env); code != 0 || !dup {
					w.fatal("a retry is refused with %v, dup %v", code, dup)
				}
				if code, _ := r.put(s, junk(engine.ClassOf(class))); code != wire.CodeSpent {
					w.fatal("a stamp is good twice: %v", code)
				}
			}
		}
		if want := 64 + 16 + 2; taken < want/2 || taken > want {
			w.fatal("control: %d stamps", taken)
		}
		// All others, and the flooder itself, are heard.
		w.talk(2, time.Hour, 0)
		w.turn(0)
		for _, n := range w.notes {
			if w.waits(n) {
				w.fatal("%s didn't come", n.label)
			}
		}
		// Who is blocked can't use what is left.
		left := a.stampsFor(b, w.relays[1])[0]
		w.must(b.eng.Block(w.ctx, a.account))
		b.revoke(w.relays[1])
		if code, _ := w.relays[1].put(left[0], junk(envelope.S)); code != wire.CodeSpent {
			w.fatal("a blocked contact's stamp is answered with %v", code)
		}
		w.must(b.eng.Unblock(w.ctx, a.account))
	})
}
