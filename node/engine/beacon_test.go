package engine_test

import (
	"testing"
	"time"

	"rushlight/node/engine"
	"rushlight/protocol/identity"
	"rushlight/storage/record"
)

// TestAllRelaysOfBothDie loses every relay of two people who are never online
// together. Each makes a mailbox at a new relay, of which the other can't be
// told. The beacon names it, the request lane takes what waits without stamps,
// and everything arrives: row 13.
func TestAllRelaysOfBothDie(t *testing.T) {
	r1, r2 := newShelf(1), newShelf(2)
	a, b := talkers(t, r1, r2)
	a.say(b, "lost at the relays")
	b.say(a, "lost, too")
	a.deposit(b.Account(), r1, r2)
	b.deposit(a.Account(), r1, r2)
	r3, r4 := newShelf(3), newShelf(4)
	for d, r := range map[*device]*shelf{a: r3, b: r4} {
		for _, old := range []*shelf{r1, r2} {
			if err := d.RemoveRelay(t.Context(), old.key); err != nil {
				t.Fatal(err)
			}
		}
		r.host(d)
	}
	a.later(25 * time.Hour) // the messages are due again
	b.later(25 * time.Hour)
	found := func(d, other *device) {
		t.Helper()
		named := other.BeaconRelays()
		if len(named) != 1 {
			t.Fatal("relays in the beacon:", len(named))
		}
		if err := d.FoundRelays(t.Context(), other.Account(), named, other.store.Now()); err != nil {
			t.Fatal(err)
		}
		// An older beacon changes nothing.
		if err := d.FoundRelays(t.Context(), other.Account(), nil, time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	found(a, b)
	found(b, a)
	letters, _, err := a.Post(t.Context(), b.Account(), nobody)
	if err != nil || len(letters) == 0 {
		t.Fatal("nothing is left at the new relay:", err)
	}
	for _, l := range letters {
		if l.Relay != r4.key || l.Lane == ([32]byte{}) {
			t.Fatal("not through the lane of the new relay")
		}
	}
	r4.lanes, r3.lanes = b, a
	for n := 0; n < 20 && a.state(b, "lost at the relays") < record.StateDelivered; n++ {
		a.later(15 * time.Minute)
		b.later(15 * time.Minute)
		a.deposit(b.Account(), r3, r4)
		b.collect(r4)
		b.deposit(a.Account(), r3, r4)
		a.collect(r3)
	}
	a.wantTexts(b, "lost at the relays", "lost, too")
	b.wantTexts(a, "lost at the relays", "lost, too")
	if s := a.state(b, "lost at the relays"); s < record.StateDelivered {
		t.Error("state is", s)
	}
}

// TestBeaconIsTold tells contacts by what the beacon is read, through relays,
// and again when its keys are others.
func TestBeaconIsTold(t *testing.T) {
	r1 := newShelf(1)
	a, b := newDevice(t, "ann"), newDevice(t, "bob")
	told := make(chan [64]byte, 16)
	b.stop()
	if err := <-b.done; err != nil {
		t.Fatal(err)
	}
	b.hooks = engine.Hooks{Beacon: func(_ identity.AccountID, r [64]byte) { told <- r }}
	b.start()
	join(t, a, b)
	var last [64]byte
	for n := byte(1); n < 3; n++ {
		if err := a.Remember(t.Context(), func(k engine.Keeper) error {
			return k.Put(record.OwnerKey(), (&record.Owner{Keys: [64]byte{n}}).Marshal())
		}); err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			r1.host(a)
		} else {
			a.BeaconChanged()
		}
		late := time.After(90 * time.Second)
		for got := last; got == last; {
			a.carry(b)
			select {
			case got = <-told:
			case <-late:
				t.Fatal("not told")
			default:
			}
			if got != last {
				last = got
				break
			}
		}
	}
}
