package world

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"rushlight/node/api"
	"rushlight/node/host"
	"rushlight/protocol/identity"
	"rushlight/storage"
	"rushlight/storage/record"
)

// knowledge is what a device that is off remembers of others: addresses, by
// peer id and by account.
type knowledge struct {
	contacts map[string]map[string]bool // account → address
	readers  map[string]bool            // accounts whose beacon it can read
	servers  map[string]bool            // addresses
}

// remembered reads the store of a person who is off.
func (p *person) remembered() *knowledge {
	p.w.t.Helper()
	k := &knowledge{map[string]map[string]bool{}, map[string]bool{}, map[string]bool{}}
	learn := func(a identity.AccountID, hints []identity.Hint) {
		if k.contacts[a.String()] == nil {
			k.contacts[a.String()] = map[string]bool{}
		}
		for _, h := range hints {
			k.contacts[a.String()][string(h.Addr)] = true
		}
	}
	p.view(func(tx *storage.Tx) error {
		err := tx.Scan(record.PeerPrefix(), nil, false, func(_ storage.Key, v []byte) (bool, error) {
			r, err := record.ParsePeer(v)
			if err == nil {
				learn(r.Account, r.Addresses)
			}
			return true, err
		})
		p.w.must(err)
		err = tx.Scan(record.FriendPrefix(), nil, false, func(_ storage.Key, v []byte) (bool, error) {
			r, err := record.ParseFriend(v)
			if err == nil {
				learn(r.Account, r.Hints)
				k.readers[r.Account.String()] = r.Reader != [64]byte{}
			}
			return true, err
		})
		p.w.must(err)
		return tx.Scan(record.ServerPrefix(), nil, false, func(_ storage.Key, v []byte) (bool, error) {
			r, err := record.ParseServer(v)
			if err == nil {
				for _, a := range r.Addrs {
					k.servers[string(a)] = true
				}
			}
			return true, err
		})
	})
	return k
}

// view reads the store of a person who is off.
func (p *person) view(f func(tx *storage.Tx) error) {
	p.w.t.Helper()
	p.stored(func(s *storage.Store) error { return s.View(f) })
}

// address is the binary multiaddr of a person's device.
func (p *person) address() string {
	at := p.w.air.addrOf(p.n)
	return string(ma.StringCast(fmt.Sprintf("/ip4/%v/udp/%d/quic-v1", at.Addr(), at.Port())).Bytes())
}

// amnesia makes a person who is off forget every address that was learnt since
// the contacts were made, and every node of the hash table.
func (p *person) amnesia() {
	p.edit(func(tx *storage.Tx) error {
		for _, prefix := range []storage.Key{record.PeerPrefix(), record.FriendPrefix(), record.ServerPrefix()} {
			var keys []storage.Key
			if err := tx.ScanKeys(prefix, nil, false, func(k storage.Key) (bool, error) {
				keys = append(keys, slices.Clone(k))
				return true, nil
			}); err != nil {
				return err
			}
			for _, k := range keys {
				if err := tx.Delete(k); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// twosome are two contacts.
type twosome struct{ a, b *person }

// paths says by which declared paths two people who are off can reach each
// other when they are back, with everybody who lives.
func paths(living []*person, pairs []twosome) map[twosome][]string {
	know := map[*person]*knowledge{}
	for _, p := range living {
		know[p] = p.remembered()
	}
	direct := func(a, b *person) bool {
		return know[a].contacts[b.account][b.address()] || know[b].contacts[a.account][a.address()]
	}
	friends := func(a, b *person) bool {
		return know[a].contacts[b.account] != nil && know[b].contacts[a.account] != nil
	}
	// Who can ask the same part of the hash table: those who know a living node
	// of it, and those who are told of one by a contact they reach.
	part := map[*person]*person{}
	var of func(p *person) *person
	of = func(p *person) *person {
		if part[p] == nil || part[p] == p {
			return p
		}
		return of(part[p])
	}
	serves := map[*person]bool{}
	for _, p := range living {
		for _, q := range living {
			if p != q && (q.profile == host.Relay && know[p].servers[q.address()] || direct(p, q) && friends(p, q)) {
				part[of(p)] = of(q)
			}
		}
	}
	for _, p := range living {
		if p.profile == host.Relay {
			serves[of(p)] = true
		}
	}
	out := map[twosome][]string{}
	for _, t := range pairs {
		if direct(t.a, t.b) {
			out[t] = append(out[t], "hint")
		}
		for _, c := range living {
			if c != t.a && c != t.b && friends(t.a, c) && friends(t.b, c) && direct(t.a, c) && direct(t.b, c) &&
				(know[t.a].readers[t.b.account] || know[t.b].readers[t.a.account]) {
				out[t] = append(out[t], "contact")
				break
			}
		}
		if of(t.a) == of(t.b) && serves[of(t.a)] && (know[t.a].readers[t.b.account] || know[t.b].readers[t.a.account]) {
			out[t] = append(out[t], "table")
		}
	}
	return out
}

// upheaval lets people become contacts, and then takes away everything that a
// network could be shut down by: every node that others began with, half of
// the rest, and everybody's address. Everybody who lives is off in the end.
func upheaval(w *world, roots, friendships int) (living []*person, pairs []twosome) {
	var all []twosome
	seen := map[twosome]bool{}
	for len(all) < friendships {
		a, b := w.people[w.rng.IntN(len(w.people))], w.people[w.rng.IntN(len(w.people))]
		if t := (twosome{a, b}); a != b && !seen[t] && !seen[twosome{b, a}] {
			seen[t] = true
			w.befriend(a, b)
			all = append(all, t)
		}
	}
	time.Sleep(5 * time.Minute)

	for _, p := range w.people[:roots] {
		p.unplug()
	}
	rest := w.people[roots:]
	for i, n := range w.rng.Perm(len(rest)) {
		if i < len(rest)/2 {
			rest[n].unplug()
		} else {
			living = append(living, rest[n])
		}
	}
	time.Sleep(time.Minute)
	// Everybody gets another address, one after the other. A third falls asleep
	// half-way, and wakes up somewhere else.
	asleep, awake := living[:len(living)/3], living[len(living)/3:]
	move := func(some []*person) {
		for _, p := range some {
			p.halt()
			w.air.move(p.n)
			p.start()
			time.Sleep(time.Duration(1+w.rng.IntN(5)) * time.Second)
		}
		time.Sleep(time.Minute)
	}
	move(awake[:len(awake)/2])
	for _, p := range asleep {
		p.halt()
		w.air.move(p.n)
	}
	move(awake[len(awake)/2:])
	for _, p := range living {
		p.halt()
	}
	for _, t := range all {
		if slices.Contains(living, t.a) && slices.Contains(living, t.b) {
			pairs = append(pairs, t)
		}
	}
	return living, pairs
}

// dressed makes some people nodes of the hash table, and tells everybody of the
// first few.
func dressed(servers, roots int) func(p *person) {
	return func(p *person) {
		if p.n < servers {
			p.profile = host.Relay
		}
		for _, q := range p.w.people[:min(p.n, roots)] {
			if q != p {
				p.roots = append(p.roots, q.rootAddr())
			}
		}
	}
}

// rootAddr is how others are told of a person's device.
func (p *person) rootAddr() string {
	id, err := peer.Decode(p.node.PeerID())
	p.w.must(err)
	at := p.w.air.addrOf(p.n)
	return fmt.Sprintf("/ip4/%v/udp/%d/quic-v1/p2p/%v", at.Addr(), at.Port(), id)
}

// exchange lets everybody start at once, and each pair say something, and
// returns who has not heard of whom after a minute.
func exchange(w *world, living []*person, pairs []twosome) (mute []twosome, took []time.Duration) {
	for _, p := range living {
		p.start()
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, t := range pairs {
		notes := []*note{w.say(t.a, t.b), w.say(t.b, t.a)}
		wg.Go(func() {
			for _, n := range notes {
				if _, err := w.people[n.from].node.Wait(ctx, n.id, api.StateDelivered); err != nil {
					mu.Lock()
					defer mu.Unlock()
					mute = append(mute, t)
					return
				}
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(began))
		})
	}
	wg.Wait()
	slices.Sort(took)
	return mute, took
}

// shutdownSize is how large the test is: as large as the promise is with
// RUSHLIGHT_SIM_FULL.
func shutdownSize() (people, servers, roots, friendships int) {
	switch {
	case os.Getenv("RUSHLIGHT_SIM_FULL") != "":
		return 60, 15, 3, 200
	case testing.Short() || raceEnabled:
		return 16, 6, 2, 30
	}
	return 32, 10, 2, 90
}

// There is nothing to shut down: when every node that anybody began with is
// gone, half of the others too, and everybody has another address and starts
// cold, all who have a path left talk to each other within a minute.
func TestShutdown(t *testing.T) {
	people, servers, roots, friendships := shutdownSize()
	simulateAs(t, people, dressed(servers, roots), func(w *world) {
		living, pairs := upheaval(w, roots, friendships)
		ways := paths(living, pairs)
		mute, took := exchange(w, living, pairs)
		kinds := map[string]int{}
		for _, t := range pairs {
			kinds[strings.Join(ways[t], "+")]++
		}
		t.Logf("%d live, %d pairs by path %v; talked after p50 %v, p99 %v, at most %v; %d did not",
			len(living), len(pairs), kinds, part(took, 50), part(took, 99), part(took, 100), len(mute))
		for _, m := range mute {
			if len(ways[m]) > 0 {
				t.Errorf("%d and %d have a path (%v) and have not talked", m.a.n, m.b.n, ways[m])
			}
		}
		if len(took) < len(pairs)/2 {
			t.Errorf("only %d of %d pairs talked", len(took), len(pairs))
		}
	})
}

// Control: with what was remembered of others' addresses and of the hash table
// gone, nobody finds anybody.
func TestControlShutdown(t *testing.T) {
	simulateAs(t, 16, dressed(6, 2), func(w *world) {
		living, pairs := upheaval(w, 2, 30)
		for _, p := range living {
			p.amnesia()
		}
		if mute, _ := exchange(w, living, pairs); len(mute) < len(pairs) {
			w.fatal("control: %d of %d pairs talked", len(pairs)-len(mute), len(pairs))
		}
	})
}
