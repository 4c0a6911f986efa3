package engine_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"rushlight/node/engine"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

// The clock is a year ahead for a while. What would have expired by then is
// hidden, the rest goes on, and when the clock is right again and the person says
// so, everything is there until its own end.
func TestClockAYearAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const day, year = 24 * time.Hour, 366 * 24 * time.Hour
		a, b := skewed(t, "ann", 0), skewed(t, "bob", 0)
		meet(t, a, b)
		a.say(b, "stays")
		time.Sleep(time.Second)
		b.send(a, engine.Send{Text: "for a day", Life: message.Lifetime{Expiry: day}})
		time.Sleep(time.Second)
		a.send(b, engine.Send{Text: "hers, for a day", Life: message.Lifetime{Expiry: day}})
		for range 2 {
			a.carry(b)
			b.carry(a)
		}
		sees := func(want string) {
			t.Helper()
			synctest.Wait()
			if got := a.sees(b); got != want {
				t.Errorf("she sees %q, not %q", got, want)
			}
		}
		sees("stays\nfor a day\nhers, for a day")
		a.ahead = year
		a.JumpClock(year)
		a.say(b, "written in the wrong year")
		b.say(a, "what year is it?")
		a.bring(b)
		b.bring(a)
		time.Sleep(time.Hour)
		const hidden = "stays\nwhat year is it?\nwritten in the wrong year"
		sees(hidden)
		a.restart()
		time.Sleep(time.Hour)
		sees(hidden)
		if !a.ClockInDoubt() {
			t.Fatal("not in doubt")
		}
		a.ahead = 0
		a.restart()
		sees(hidden) // a clock that is set back brings nothing back
		a.must(a.ConfirmClock(t.Context()))
		sees("stays\nfor a day\nhers, for a day\nwhat year is it?\nwritten in the wrong year")
		time.Sleep(20 * time.Hour)
		sees("stays\nfor a day\nhers, for a day\nwhat year is it?\nwritten in the wrong year")
		time.Sleep(3 * time.Hour)
		sees("stays\nwhat year is it?\nwritten in the wrong year")
		r, err := a.Check(t.Context())
		if err != nil || len(r.Faults) > 0 {
			t.Errorf("%v %+v", err, r)
		}
	})
}

// A draft with a timer outlives a clock that is a year ahead for a while, and a
// start meanwhile.
func TestDraftWhileTheClockIsAhead(t *testing.T) {
	const day = 24 * time.Hour
	dir, none := t.TempDir(), 0
	want := record.Draft{Text: "dear b"}
	var bob identity.AccountID
	draft := func(t *testing.T, a *device) record.Draft {
		t.Helper()
		c, err := a.Chat(bob)
		must(t, err)
		return c.Draft
	}
	again := func(t *testing.T) *device {
		a := &device{t: t, dir: dir, root: [32]byte{1}, compactors: &none}
		a.open()
		a.start()
		t.Cleanup(a.close)
		return a
	}
	synctest.Test(t, func(t *testing.T) {
		a, b := quiet(t, dir, "ann", false), quiet(t, t.TempDir(), "bob", false)
		bob = b.Account()
		join(t, a, b)
		_, err := a.SetTimer(t.Context(), bob, message.Lifetime{Expiry: 7 * day})
		must(t, err)
		a.must(a.SetDraft(t.Context(), bob, want))
	})
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(365 * day)
		a := again(t)
		if !a.ClockInDoubt() {
			t.Fatal("not in doubt")
		}
		time.Sleep(2 * time.Hour)
		if got := draft(t, a); got.Text != "" {
			t.Errorf("shown after its end: %q", got.Text)
		}
		a.must(a.SetDraft(t.Context(), bob, record.Draft{})) // as after sending something else
		time.Sleep(time.Minute)
	})
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Hour)
		a := again(t)
		a.must(a.ConfirmClock(t.Context()))
		if got := draft(t, a); got != want {
			t.Errorf("the draft is %q", got.Text)
		}
		time.Sleep(7 * day)
		if got := draft(t, a); got.Text != "" {
			t.Errorf("shown after its end: %q", got.Text)
		}
		a.must(a.store.View(func(tx *storage.Tx) error {
			k := record.DraftKey(tx, message.DirectConversation(a.Account(), bob))
			if _, _, err := tx.LeafOf(k); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("it can still be opened: %v", err)
			}
			return nil
		}))
	})
}

// What waits for delivery with a timer is hidden while the clock is a year ahead,
// and goes out when it is right again.
func TestQueuedWhileAYearAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const day, year = 24 * time.Hour, 366 * 24 * time.Hour
		a, b := skewed(t, "ann", 0), skewed(t, "bob", 0)
		meet(t, a, b)
		a.carry(b)
		b.carry(a)
		a.say(b, "first")
		a.send(b, engine.Send{Text: "for a day", Life: message.Lifetime{Expiry: day}})
		time.Sleep(time.Second)
		synctest.Wait()
		a.ahead = year
		a.JumpClock(year)
		a.bring(b)
		if got, want := b.sees(a), "first"; got != want {
			t.Errorf("he sees %q, not %q", got, want)
		}
		a.close()
		a.ahead = 0
		a.open()
		a.start()
		a.must(a.ConfirmClock(t.Context()))
		time.Sleep(time.Minute)
		a.carry(b)
		b.carry(a)
		if got, want := b.sees(a), "first\nfor a day"; got != want {
			t.Errorf("he sees %q, not %q", got, want)
		}
		if n := a.Queued(); n != 0 {
			t.Errorf("%d are queued", n)
		}
	})
}
