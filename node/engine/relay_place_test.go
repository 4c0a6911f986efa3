package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rushlight/node/engine"
	"rushlight/protocol/stamp"
	"rushlight/protocol/wire"
	"rushlight/storage"
	"rushlight/storage/record"
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

// orNil reads records; one that there isn't is nil.
func orNil(tx *storage.Tx) func(storage.Key) ([]byte, error) {
	return func(k storage.Key) ([]byte, error) {
		v, err := tx.Get(k)
		if errors.Is(err, storage.ErrNotFound) {
			return nil, nil
		}
		return v, err
	}
}

// Two parts of a step that change where mail for a contact can be left see each
// other's changes: with a copy each, the later one would name stamps whose record
// the earlier one has replaced. Who is removed leaves nothing of it.
func TestPlacesAreOneInAStep(t *testing.T) {
	r := newShelf(1)
	a, b := talkers(t, r)
	held := func() (out []stamp.Stamp) {
		t.Helper()
		a.must(a.store.View(func(tx *storage.Tx) error {
			p, err := record.LoadPlaces(tx, b.Account(), orNil(tx))
			if err == nil {
				out = p.Relays[0].Stamps[0]
			}
			return err
		}))
		return out
	}
	for i := range 20 { // more than there may be records of stamps
		before := held()
		back := before[0] // good for as long
		back[len(back)-1] ^= 0xff
		a.must(a.TakeAndGiveBack(t.Context(), b.Account(), back))
		if now := held(); len(now) != len(before) || !slices.Contains(now, back) || slices.Contains(now, before[0]) {
			t.Fatalf("step %d: %d stamps before, %d after", i, len(before), len(now))
		}
	}
	a.must(a.Remove(t.Context(), b.Account()))
	a.must(a.store.View(func(tx *storage.Tx) error {
		for _, prefix := range []storage.Key{record.ReservePrefix(tx, b.Account()), record.PlacesKey(tx, b.Account())} {
			err := tx.ScanKeys(prefix, nil, false, func(storage.Key) (bool, error) { t.Error("something is left"); return true, nil })
			if err != nil {
				return err
			}
		}
		return nil
	}))
}

// formerPlaces writes places as one record with everything in it, as they were.
func formerPlaces(p *record.Places, b *record.Bundles) []byte {
	w := wire.NewWriter(nil).U8(1).Raw(p.Account[:]).Raw(p.Device[:]).U64(p.Seq).U8(uint8(len(p.Relays)))
	for _, x := range p.Relays {
		w.Raw(x.Key[:]).U8(uint8(len(x.Addrs)))
		for _, a := range x.Addrs {
			w.Vec8(a)
		}
		w.Raw(x.Lane[:])
		for _, all := range x.Stamps {
			w.U16(uint16(len(all)))
			for _, s := range all {
				w.Raw(s[:])
			}
		}
		w.U64(uint64(x.Full))
	}
	w.U8(uint8(len(b.Spares)))
	for _, x := range b.Spares {
		w.Vec16(x)
	}
	w.U16(0).U8(uint8(len(p.Heard)))
	for _, h := range p.Heard {
		w.Raw(h[:])
	}
	return w.U64(uint64(p.Issued)).U64(uint64(p.Asked)).Vec16(b.Standing).Out()
}

// Who has places of the layout before, with bundles and stamps in them, goes on:
// bundles are used once each, and no stamp twice.
func TestFormerPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newShelf(1)
		a, b := skewed(t, "ann", 0), skewed(t, "bob", 0)
		acquaint(t, a, b, r)
		a.close()
		a.open()
		to := b.Account()
		a.must(a.store.Update(func(tx *storage.Tx) error {
			p, err := record.LoadPlaces(tx, to, orNil(tx))
			a.must(err)
			v, err := tx.Get(record.BundlesKey(tx, to))
			a.must(err)
			bundles, err := record.ParseBundles(v)
			a.must(err)
			if len(p.Relays) != 1 || len(p.Relays[0].Stamps[0]) == 0 || len(bundles.Spares) == 0 || len(bundles.Standing) == 0 {
				t.Fatal("there is nothing to convert")
			}
			a.must(tx.ScanKeys(record.ReservePrefix(tx, to), nil, false, func(k storage.Key) (bool, error) { return true, tx.Delete(k) }))
			return tx.Put(record.PlacesKey(tx, to), formerPlaces(p, bundles))
		}))
		a.start()
		var want []string
		for i := range record.MaxSpares + 3 {
			a.restart()
			a.say(b, fmt.Sprint(i))
			want = append(want, fmt.Sprint(i))
			a.deposit(to, r)
		}
		b.collect(r)
		b.wantTexts(a, want...)
		settle(a, b, r)
		if a.Queued() != 0 || b.Queued() != 0 {
			t.Errorf("left in the outboxes: %d and %d", a.Queued(), b.Queued())
		}
		a.must(a.store.View(func(tx *storage.Tx) error {
			p, err := record.LoadPlaces(tx, to, orNil(tx))
			if err == nil && p.Former() != nil {
				t.Error("it was never written in the new layout")
			}
			return err
		}))
	})
}
