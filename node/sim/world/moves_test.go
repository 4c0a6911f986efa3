package world

import (
	"slices"
	"testing"
	"time"

	"rushlight/node/host"
	"rushlight/storage"
	"rushlight/storage/record"
)

// moved switches people off and on again at other addresses, all at once: none
// of them knows where another is.
func moved(w *world, some ...*person) {
	for _, p := range some {
		p.halt()
	}
	for _, p := range some {
		w.air.move(p.n)
	}
	for _, p := range some {
		p.start()
	}
}

// soon is how long it takes to find somebody by way of others: a call in vain,
// a search, a call.
const soon = 30 * time.Second

// Two who have both moved find each other in the hash table.
func TestFoundInTheTable(t *testing.T) {
	const servers = 4
	// A call to where nobody has answered yet is paid by whoever named it: after
	// so many a contact would have none left if it got nothing back.
	moves := 8
	if testing.Short() {
		moves = 3
	}
	simulateAs(t, servers+2, dressed(servers, servers), func(w *world) {
		a, b := w.people[servers], w.people[servers+1]
		w.befriend(a, b)
		time.Sleep(time.Minute)
		for range moves {
			moved(w, a, b)
			w.arrive("both moved", soon, w.say(a, b), w.say(b, a))
			time.Sleep(10 * time.Minute)
		}
		// A day later the beacons are elsewhere.
		b.halt()
		time.Sleep(20 * time.Hour)
		a.halt()
		w.air.move(a.n)
		w.air.move(b.n)
		a.start()
		b.start()
		w.arrive("a day later", soon, w.say(a, b), w.say(b, a))
		w.must(StoreChecks(w))
	})
}

// Control: without nodes of the hash table and without anybody whom both know,
// they don't.
func TestControlFoundInTheTable(t *testing.T) {
	simulate(t, 2, func(w *world) {
		a, b := w.people[0], w.people[1]
		w.befriend(a, b)
		time.Sleep(time.Minute)
		moved(w, a, b)
		if _, ok := w.delivered(w.say(a, b), time.Minute); ok {
			w.fatal("control: found without any way")
		}
	})
}

// Two who have both moved find each other by way of a common contact, who has
// stayed, without any hash table.
func TestFoundByCommonContact(t *testing.T) {
	simulate(t, 4, func(w *world) {
		a, b, c, d := w.people[0], w.people[1], w.people[2], w.people[3]
		for _, x := range []twosome{{a, b}, {a, c}, {b, c}, {a, d}} {
			w.befriend(x.a, x.b)
		}
		time.Sleep(time.Minute)
		moved(w, a, b)
		w.arrive("both moved", soon, w.say(a, b), w.say(b, a))

		// Control: d knows a alone, and is no help.
		c.halt()
		moved(w, a, b)
		if _, ok := w.delivered(w.say(a, b), time.Minute); ok {
			w.fatal("control: found by way of somebody who knows one of them")
		}
	})
}

// An invite works after its maker has moved, by the hash table or by a common
// contact; without either it does not.
func TestInviteAfterMove(t *testing.T) {
	const servers = 4
	for name, way := range map[string]func(w *world, maker, taker, common *person){
		"table":   func(*world, *person, *person, *person) {},
		"control": func(*world, *person, *person, *person) {},
		"friend":  func(w *world, maker, taker, common *person) { w.befriend(maker, common); w.befriend(taker, common) },
	} {
		t.Run(name, func(t *testing.T) {
			dress := func(*person) {}
			if name == "table" {
				dress = dressed(servers, servers)
			}
			simulateAs(t, servers+3, dress, func(w *world) {
				maker, taker, common := w.people[servers], w.people[servers+1], w.people[servers+2]
				way(w, maker, taker, common)
				link := maker.invite()
				time.Sleep(time.Minute)
				moved(w, maker)
				time.Sleep(time.Minute)
				began := time.Now()
				taker.accept(link)
				_, ok := w.until(time.Minute, time.Second, func() bool { return maker.knows(taker) && taker.knows(maker) })
				if ok == (name == "control") {
					w.fatal("contacts: %v after %v", ok, time.Since(began))
				}
				if ok {
					t.Logf("contacts after %v", time.Since(began))
					w.arrive("new contacts", atOnce, w.say(maker, taker), w.say(taker, maker))
					w.must(StoreChecks(w))
				}
			})
		})
	}
}

// A device with nothing to say is silent: contacts who are away are not called,
// and the hash table is asked only to put the beacon again.
func TestIdleDeviceIsSilent(t *testing.T) {
	const servers = 2
	hours := 9 // the beacon is put once in eight
	if testing.Short() || raceEnabled {
		hours = 2
	}
	simulateAs(t, servers+6, dressed(servers, servers), func(w *world) {
		a := w.people[servers]
		for _, p := range w.people[servers+1:] {
			w.befriend(a, p)
		}
		for _, p := range w.people[servers+1:] {
			p.unplug()
		}
		time.Sleep(15 * time.Minute)
		before := w.air.sentBy(a.n)
		time.Sleep(time.Duration(hours) * time.Hour)
		packets, bytes := w.air.sentBy(a.n).since(before)
		t.Logf("%d packets and %d kB, both ways, in %d hours", packets, bytes>>10, hours)
		if bytes > 1<<20 {
			w.fatal("too much")
		}
	})
}

// A device with something to say to contacts who are away spends no more in a
// day than it may. Control: without a cap it does.
func TestIdleCapHolds(t *testing.T) {
	const limit, servers, away = 2 << 20, 2, 5
	hours := 24
	if testing.Short() || raceEnabled {
		hours = 6
	}
	for name, capped := range map[string]int64{"capped": limit, "control": 0} {
		t.Run(name, func(t *testing.T) {
			dress := dressed(servers, servers)
			simulateAs(t, servers+1+away, func(p *person) { dress(p); p.cap = capped }, func(w *world) {
				a := w.people[servers]
				others := w.people[servers+1:]
				for _, p := range others {
					w.befriend(a, p)
				}
				for _, p := range others {
					p.unplug()
				}
				time.Sleep(time.Hour) // making contacts isn't idle
				before := w.air.sentBy(a.n)
				for _, p := range others {
					w.say(a, p)
				}
				time.Sleep(time.Duration(hours) * time.Hour)
				_, bytes := w.air.sentBy(a.n).since(before)
				t.Logf("%d kB, both ways, in %d hours", bytes>>10, hours)
				if over := bytes > limit; over != (capped == 0) {
					w.fatal("%s: %d bytes", name, bytes)
				}
				for _, p := range others {
					p.start()
				}
				w.must(w.settle())
			})
		})
	}
}

// A device remembers the nodes of the hash table that it met, and no more than
// there is room for.
func TestServersAreRemembered(t *testing.T) {
	const servers = 5
	simulateAs(t, servers+2, dressed(servers, 1), func(w *world) {
		a, b := w.people[servers], w.people[servers+1]
		w.befriend(a, b)
		time.Sleep(2 * time.Minute)
		w.people[0].unplug() // the only one that anybody was told of
		a.halt()
		n := 0
		a.view(func(tx *storage.Tx) error {
			return tx.Scan(record.ServerPrefix(), nil, false, func(_ storage.Key, v []byte) (bool, error) {
				s, err := record.ParseServer(v)
				if err == nil && s.Seen > 0 {
					n++
				}
				return true, err
			})
		})
		if n < servers {
			w.fatal("%d of %d servers remembered", n, servers)
		}
		b.halt()
		w.air.move(a.n)
		w.air.move(b.n)
		a.roots, b.roots = nil, nil
		a.start()
		b.start()
		w.arrive("without the first", soon, w.say(a, b))
		if !slices.ContainsFunc(w.people[1:servers], func(p *person) bool { return p.profile == host.Relay }) {
			t.Error("nobody serves")
		}
	})
}
