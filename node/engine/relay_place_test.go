package engine_test

import (
	"errors"
	"testing"
	"time"

	"rushlight/node/engine"
)

// A relay that has not answered for a day makes room for another, of which
// contacts are told. What lies at the dead one is still read when it comes back;
// then it is named again, or waits until there is room. Control: while it is
// only late it makes no room.
func TestDeadRelayMakesRoom(t *testing.T) {
	r1, r2, r3, r4, r5 := newShelf(1), newShelf(2), newShelf(3), newShelf(4), newShelf(5)
	a, b := talkers(t, r1, r2, r3)
	ctx := t.Context()
	answers := func(up bool, relays ...*shelf) {
		t.Helper()
		for _, r := range relays {
			b.must(b.RelayAnswered(ctx, r.key, up))
		}
	}
	named := func(want ...*shelf) {
		t.Helper()
		got := map[[32]byte]bool{}
		for _, r := range b.BeaconRelays() {
			got[r.Key] = true
		}
		for _, r := range want {
			if !got[r.key] {
				t.Errorf("relay %d isn't named", r.key[0])
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d relays are named, not %d", len(got), len(want))
		}
	}
	full := func(r *shelf) {
		t.Helper()
		if err := b.AddRelay(ctx, r.key, nil, nil); !errors.Is(err, engine.ErrTooManyRelays) {
			t.Errorf("one more: %v", err)
		}
	}
	answers(true, r1, r2, r3)
	a.say(b, "left before it died")
	if a.deposit(b.Account(), r1) == 0 || len(r1.mail[b]) == 0 {
		t.Fatal("nothing was left")
	}
	b.later(23 * time.Hour)
	answers(false, r1)
	answers(true, r2, r3)
	full(r4)
	b.later(2 * time.Hour)
	answers(false, r1)
	named(r2, r3)
	r4.host(b)
	named(r2, r3, r4)
	full(r5)
	settle(a, b, r2, r3, r4)
	a.say(b, "left in its place")
	if a.deposit(b.Account(), r4) == 0 {
		t.Fatal("the contact wasn't told of the relay that has taken the place")
	}
	b.collect(r4)
	b.collect(r1)
	answers(true, r1)
	if len(b.Mailboxes()) != 4 {
		t.Errorf("%d mailboxes", len(b.Mailboxes()))
	}
	b.wantTexts(a, "left before it died", "left in its place")
	named(r1, r2, r3)
	full(r5)
	b.later(25 * time.Hour)
	answers(true, r1, r3, r4)
	answers(false, r2)
	named(r1, r3, r4)
}
