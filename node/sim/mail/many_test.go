package mail

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"rushlight/node/engine"
	"rushlight/storage/record"
)

// crowd is many people who write to each other through few relays, none of
// them ever online together.
type crowd struct {
	w      *world
	pairs  [][2]*person
	wrote  map[[2]int]int // messages, by author and recipient
	total  int
	losses int // percent of requests that never arrive, and of answers
}

// newCrowd makes people, each with some others to write to.
func newCrowd(w *world, people, friends, relays int, memory int64) *crowd {
	c := &crowd{w: w, wrote: map[[2]int]int{}, losses: 30}
	w.merges = people > templates
	for range relays {
		r := &relay{w: w, n: len(w.relays), dir: w.newDir(), quota: 64 << 20}
		r.begin()
		w.relays = append(w.relays, r)
	}
	if people <= templates {
		w.fromTemplate(people)
	} else {
		for range people {
			p := w.newPerson()
			p.memory = memory
		}
	}
	for i, p := range w.people {
		for k := range 2 {
			r := w.relays[(i+k*(1+i%(relays-1)))%relays]
			p.host(r)
			_, err := p.collect(r, 0)
			w.must(err)
		}
	}
	for i := range people {
		for k := 1; k <= friends; k++ {
			if j := (i + k) % people; i != j && !(people == 2*k && i > j) && !c.knows(i, j) {
				w.befriend(w.people[i], w.people[j])
				c.pairs = append(c.pairs, [2]*person{w.people[i], w.people[j]}, [2]*person{w.people[j], w.people[i]})
			}
		}
	}
	return c
}

func (c *crowd) knows(i, j int) bool {
	for _, x := range c.pairs {
		if x[0].n == i && x[1].n == j {
			return true
		}
	}
	return false
}

// burst lets somebody write a few messages to somebody.
func (c *crowd) burst(n int) {
	x := c.pairs[c.w.rng.IntN(len(c.pairs))]
	k := [2]int{x[0].n, x[1].n}
	for range n {
		_, err := x[0].eng.Send(c.w.ctx, engine.Send{To: x[1].account, Text: fmt.Sprintf("%d>%d/%d|", k[0], k[1], c.wrote[k])})
		c.w.must(err)
		c.wrote[k]++
		c.total++
	}
}

// visit lets somebody come online: fetch, acknowledge, deposit, and go.
func (c *crowd) visit(p *person, kill int) {
	for _, m := range p.eng.Mailboxes() {
		if _, err := p.collect(c.w.relayOf(m.Key), kill); errors.Is(err, errKilled) {
			return
		}
	}
	p.acknowledge()
	for _, q := range c.w.people {
		if p != q && p.eng.Waits(q.account) {
			if _, alive := p.serve(q, kill); !alive {
				return
			}
		}
	}
}

// toldEvery is after how many messages a long run says how far it is.
const toldEvery = 20000

// run writes about so many messages, with everything that can go wrong.
func (c *crowd) run(messages int) {
	w := c.w
	for _, r := range w.relays {
		r.lies = lies{busy: c.losses, lost: c.losses}
	}
	visits, fullUntil, told := 0, 0, 0
	for c.total < messages {
		if c.total >= told+toldEvery {
			told = c.total
			waits := 0
			for _, p := range w.people {
				waits += p.eng.Queued()
			}
			w.t.Logf("%d messages so far, %d waiting, on %s; %s", told, waits, time.Now().Format(time.DateOnly), summary(w.count))
		}
		if w.step++; w.step == fullUntil {
			for _, r := range w.relays {
				r.full = false
			}
		}
		c.burst(1 + w.rng.IntN(20))
		if w.chance(30) {
			visits++
			c.visit(w.people[w.rng.IntN(len(w.people))], 1)
			w.pass(time.Duration(w.rng.IntN(60)) * time.Second)
		}
		if visits == 0 {
			continue
		}
		switch x := w.rng.IntN(max(100, messages/250)); {
		case x < 4:
			w.relays[w.rng.IntN(len(w.relays))].crash()
		case x < 8:
			w.people[w.rng.IntN(len(w.people))].crash()
		case x < 12:
			r := w.relays[w.rng.IntN(len(w.relays))]
			fullUntil, r.full = w.step+20, true // its disk
			w.count["disks full"]++
		case x < 13:
			w.night(time.Duration(1+w.rng.IntN(9)) * 24 * time.Hour)
			w.count["clock jumps"]++
			if w.chance(50) {
				w.rest(25 * time.Hour)
			}
		}
	}
	// In the end the disks have room again and answers arrive.
	for _, r := range w.relays {
		r.full, r.lies = false, lies{}
	}
	for range 60 {
		w.log("%d messages: settling", c.total)
		for range 6 {
			for _, p := range w.people {
				c.visit(p, 0)
			}
		}
		if w.drained() {
			return
		}
		w.rest(25 * time.Hour)
	}
}

// check counts what is lost, shown twice, or still said to wait for something.
func (c *crowd) check() (lost, twice, gaps, unstored int) {
	for _, x := range c.pairs {
		k := [2]int{x[0].n, x[1].n}
		seen := map[int]bool{}
		for _, v := range x[1].shows(x[0]) {
			if v.Mine {
				if v.State < record.StateDelivered {
					unstored++
				}
				continue
			}
			var a, b, n int
			if _, err := fmt.Sscanf(v.Text, "%d>%d/%d|", &a, &b, &n); err != nil || a != k[0] || b != k[1] || seen[n] {
				twice++
				continue
			}
			seen[n] = true
			if v.Waiting {
				gaps++
			}
		}
		lost += c.wrote[k] - len(seen)
	}
	return lost, twice, gaps, unstored
}

// TestManyMessages sends messages between many people through five relays,
// with 30 % of requests and of answers lost, kill -9 of relays and clients, full
// disks, and days that pass at once. RUSHLIGHT_MAIL_PEOPLE and
// RUSHLIGHT_MAIL_MESSAGES set how many; README.md has the last result of the
// whole.
func TestManyMessages(t *testing.T) {
	people, messages := uint64(3), uint64(600)
	if testing.Short() || raceEnabled {
		messages = 200
	}
	people, messages = env(t, "RUSHLIGHT_MAIL_PEOPLE", people), env(t, "RUSHLIGHT_MAIL_MESSAGES", messages)
	makeTemplate(t)
	simulate(t, env(t, "RUSHLIGHT_MAIL_SEED", 1), func(w *world) {
		c := newCrowd(w, int(people), min(int(people)-1, 3), 5, 8<<20)
		c.run(int(messages))
		lost, twice, gaps, waiting := c.check()
		w.t.Logf("%d messages, %d people, %d ordered pairs: lost %d, twice %d, gaps left %d, not known to have arrived %d; %s",
			c.total, people, len(c.pairs), lost, twice, gaps, waiting, summary(w.count))
		if lost+twice+gaps+waiting > 0 {
			for _, x := range c.pairs {
				if x[0].eng.Waits(x[1].account) {
					x[0].explain(x[1])
					break
				}
			}
			w.fatal("lost %d, twice %d, gaps left %d, not known to have arrived %d", lost, twice, gaps, waiting)
		}
		if w.count["answers lost"] == 0 || w.count["requests lost"] == 0 {
			w.fatal("control: nothing went wrong")
		}
	})
}

// A crowd whose clients delete at the relay before they have committed loses
// messages only with their devices; one that never deposits again loses those
// that its relays lost.
func TestControlManyMessages(t *testing.T) {
	makeTemplate(t)
	simulate(t, 1, func(w *world) {
		c := newCrowd(w, 2, 1, 3, 0)
		for range 10 {
			c.burst(5)
		}
		for range 4 {
			for _, p := range w.people {
				c.visit(p, 0)
			}
		}
		p := w.people[0]
		before := w.copyOf(p.dir)
		c.burst(1)
		c.burst(1)
		for range 6 {
			for _, p := range w.people {
				c.visit(p, 0)
			}
		}
		if lost, twice, gaps, waiting := c.check(); lost+twice+gaps+waiting > 0 {
			w.fatal("before anything is broken: %d %d %d %d", lost, twice, gaps, waiting)
		}
		for range 12 {
			c.burst(1)
			for range 4 {
				for _, p := range w.people {
					c.visit(p, 0)
				}
			}
		}
		p.moveTo(before) // it had acknowledged what it hadn't committed
		for range 6 {
			for _, p := range w.people {
				c.visit(p, 0)
			}
		}
		if lost, _, _, _ := c.check(); lost == 0 {
			w.fatal("control: nothing is missed")
		}
	})
}
