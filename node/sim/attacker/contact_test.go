package attacker

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"

	"rushlight/node/engine"
	"rushlight/protocol/envelope"
	wire "rushlight/protocol/mailbox"
	"rushlight/protocol/stamp"
	"rushlight/protocol/suite"
	"rushlight/storage"
	"rushlight/storage/record"
)

// The people of a course: two who are to be told apart, and two whose secrets
// the attacker has.
const (
	ann = iota
	bea
	cyd
	dan
	contacts
)

// course is what happened, and how.
type course struct {
	l      *lab
	relays []*relay
	people []*person
	owners []*owner
	truth  map[[16]byte]deposit // by object
}

type setting struct {
	relays, owners int
	each           int    // messages that ann and bea leave for each owner
	small          int    // stamps that are added to a pool before a contact draws; 0 is a full pool for all
	change         tamper // nil is none
}

// run lets contacts leave messages for owners, one at a time for each, who it
// is decided by coin.
func run(t testing.TB, s setting) *course {
	t.Helper()
	l := newLab(t)
	c := &course{l: l, truth: map[[16]byte]deposit{}}
	for range s.relays {
		c.relays = append(c.relays, l.relay())
	}
	for i := range contacts {
		c.people = append(c.people, l.person(fmt.Sprint("contact ", i), c.relays...))
	}
	for i := range s.owners {
		o := l.owner(fmt.Sprint("owner ", i), c.relays...)
		c.owners = append(c.owners, o)
		if s.small == 0 {
			o.supply(0)
		}
		for _, p := range c.people {
			if s.small > 0 {
				o.supply(s.small)
			}
			l.befriend(o.person, p)
			o.tell(p)
		}
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var mu sync.Mutex
	var all sync.WaitGroup
	for i, o := range c.owners {
		all.Go(func() {
			coin := rand.New(rand.NewPCG(seed, uint64(i)))
			next := 0 // deposit before which the owner looks
			for n, k := 0, 0; n < s.each && !t.Failed(); k++ {
				if k == next {
					next += 4 + coin.IntN(12)
					if s.change == nil && s.small == 0 {
						o.collect(c.people...)
					}
				}
				from := coin.IntN(2)
				if coin.IntN(5) == 0 {
					from += cyd
				} else {
					n++
				}
				note := func(x engine.Letter, object [16]byte) {
					mu.Lock()
					defer mu.Unlock()
					c.truth[object] = deposit{from: from, owner: i, message: int(x.Seq), relay: x.Relay}
				}
				var change func(*wire.Deposit)
				if s.change != nil {
					change = func(m *wire.Deposit) { s.change(from, m) }
				}
				c.people[from].leave(o, fmt.Sprint("message ", n), note, change)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return c
}

// corrupt is what the attacker has of the two contacts: the numbers of all
// stamps that they hold or have used, by mailbox.
func (c *course) corrupt(disk []seen) map[uint64][]int {
	own := map[uint64][]int{}
	for _, t := range c.relays[0].opened {
		own[t.Handle] = append(own[t.Handle], int(t.Serial))
	}
	for _, x := range disk {
		if c.truth[x.object].from >= cyd {
			own[x.box] = append(own[x.box], x.serial)
		}
	}
	for _, n := range own {
		slices.Sort(n)
	}
	return own
}

// held are the stamps for the first relay that the two contacts have left.
func (c *course) held() (out []stamp.Stamp) {
	for _, p := range c.people[cyd:] {
		c.l.must(p.store.View(func(tx *storage.Tx) error {
			return tx.Scan(record.PlacesPrefix(), nil, false, func(_ storage.Key, v []byte) (bool, error) {
				head, err := record.ParsePlaces(v)
				if err != nil {
					return false, err
				}
				places, err := record.LoadPlaces(tx, head.Account, tx.Get)
				if err != nil {
					return false, err
				}
				for _, r := range places.Relays {
					if r.Key == c.relays[0].key {
						out = slices.Concat(out, r.Stamps[0], r.Stamps[1], r.Stamps[2])
					}
				}
				return true, nil
			})
		}))
	}
	return out
}

// samples are the envelopes that ann or bea left at the first relay.
func (c *course) samples(disk []seen) (all []sample) {
	look := features(disk, c.corrupt(disk))
	for i, x := range disk {
		// Who isn't known was there before: people became contacts.
		if d, known := c.truth[x.object]; known && d.from < cyd {
			all = append(all, sample{group: x.box, order: i, serial: float64(x.serial), features: look[i], yes: d.from == bea})
		}
	}
	return all
}

// trials is how many guesses there are. RUSHLIGHT_TRIALS sets it; it is few with
// -short, or under the race detector.
func trials(t *testing.T) int {
	t.Helper()
	switch n, err := strconv.Atoi(os.Getenv("RUSHLIGHT_TRIALS")); {
	case err == nil && n > 0:
		return n
	case testing.Short() || raceEnabled:
		return 400
	}
	return 2000
}

// TestWhichContact gives the attacker a relay's disk and log and the secrets of
// two contacts, and asks which of two others left an envelope.
func TestWhichContact(t *testing.T) {
	n := trials(t)
	owners := min(8, n/100)
	c := run(t, setting{relays: 2, owners: owners, each: (n + owners - 1) / owners})
	disk := c.relays[0].seize(c.held()...)
	all := c.samples(disk)
	if len(all) < n {
		t.Fatalf("%d envelopes on the disk", len(all))
	}
	for _, s := range all {
		if s.serial < 0 {
			t.Fatal("the disk doesn't say which stamp was used: the attacker has less than he should")
		}
	}
	measure(t, "which contact", all)
	t.Run("copies", func(t *testing.T) { c.copies(t, disk) })
	t.Run("secrets", func(t *testing.T) { c.secrets(t, disk) })
	t.Run("log", func(t *testing.T) { c.logTellsNothing(t) })
}

// secrets: what two contacts know finds what they left themselves, which shows
// that it is theirs, and nothing of others.
func (c *course) secrets(t *testing.T, disk []seen) {
	if n := len(c.relays[0].opened); n < 2*len(c.owners) {
		t.Fatalf("the two hold %d stamps", n)
	}
	tags := map[[16]byte]bool{}
	for _, p := range c.people[cyd:] {
		for _, o := range c.owners {
			letters, err := p.tagsFor(o, c.relays[0])
			c.l.must(err)
			for _, tag := range letters {
				tags[tag] = true
			}
		}
	}
	mine, others := 0, 0
	for _, x := range disk {
		if !tags[envelope.TagOf(x.envelope)] {
			continue
		}
		if c.truth[x.object].from >= cyd {
			mine++
		} else {
			others++
		}
	}
	t.Logf("their secrets find %d of their own envelopes, and %d of others", mine, others)
	if mine == 0 || others > 0 {
		t.Errorf("their secrets find %d of their own envelopes, and %d of others", mine, others)
	}
}

// logTellsNothing: the log of a relay, at its most talkative, names nobody.
func (c *course) logTellsNothing(t *testing.T) {
	log := c.relays[0].log.Bytes()
	var names []string
	for _, p := range c.people {
		names = append(names, p.host.ID().String(), hex.EncodeToString(p.account[:]), p.name)
	}
	for _, o := range c.owners {
		for _, m := range o.eng.Mailboxes() {
			key := ownerKey(m.Seed).Public()
			names = append(names, fmt.Sprintf("%x", key))
		}
		names = append(names, o.host.ID().String(), o.name)
	}
	for object := range c.truth {
		names = append(names, hex.EncodeToString(object[:]))
	}
	told := func(log []byte) (n int) {
		for _, name := range names {
			if bytes.Contains(log, []byte(name)) {
				n++
			}
		}
		return n
	}
	if n := told(log); n > 0 || len(log) > 100*len(c.truth) {
		t.Errorf("the log of %d bytes names %d", len(log), n)
	}
	// Control: a log that names whoever connects is noticed.
	if told(append(slices.Clone(log), c.people[0].host.ID().String()...)) == 0 {
		t.Error("control: a name in the log isn't found")
	}
}

// TestWhichContactControls switches off one protection after another.
func TestWhichContactControls(t *testing.T) {
	var secret [2][16]byte
	for i := range secret {
		suite.Random(secret[i][:])
	}
	controls := map[string]setting{
		"stamps handed out in the order of their numbers": {small: 64},
		// Not protected against, and said in the threat model: who was given
		// stamps before the pool was filled again has lower numbers.
		"stamps of two fillings of a pool": {small: 80},
		"a tag for each contact":           {change: func(from int, m *wire.Deposit) { copy(m.Envelope, secret[from%2][:14]) }},
		"a cure for each contact":          {change: func(from int, m *wire.Deposit) { copy(m.Envelope[16:], secret[from%2][:14]) }},
		"a time to live of one's own":      {change: func(from int, m *wire.Deposit) { m.TTL = uint8(20 + from%2) }},
		"ciphertexts that aren't like noise": {change: func(from int, m *wire.Deposit) {
			if from%2 == 1 {
				clear(m.Envelope[1000:1200])
			}
		}},
	}
	for name, s := range controls {
		t.Run(name, func(t *testing.T) {
			s.relays, s.owners, s.each = 1, 2, 60
			if testing.Short() || raceEnabled {
				if s.small != 64 {
					t.Skip("one control is enough for a short run")
				}
				s.owners = 1
			}
			c := run(t, s)
			wins(t, name, c.samples(c.relays[0].seize(c.held()...)))
		})
	}
}

// tagsFor are the tags that a contact's secrets give for what it has deposited.
func (p *person) tagsFor(o *owner, r *relay) (out [][16]byte, err error) {
	err = p.store.View(func(tx *storage.Tx) error {
		return tx.Scan(record.OutboxPrefix(tx, o.account), nil, false, func(_ storage.Key, v []byte) (bool, error) {
			x, err := record.ParseOutbox(v)
			if err != nil {
				return false, err
			}
			_, env, err := x.At(r.key)
			if err == nil {
				out = append(out, envelope.TagOf(env))
			}
			return true, nil
		})
	})
	return out, err
}
