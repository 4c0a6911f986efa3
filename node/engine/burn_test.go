package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"rushlight/node/engine"
	"rushlight/protocol/message"
)

// What burns on read is there until it was shown, however long that takes; it
// burns a while after that, also over a restart, and never lives beyond its
// expiry. Its author is told, though nothing else is told of reading, and else
// keeps it until it expires.
func TestBurnOnRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := skewed(t, "ann", 0), skewed(t, "bob", 0)
		meet(t, a, b)
		a.send(b, engine.Send{Text: "burns", Life: message.Lifetime{Burn: time.Minute}})
		short := a.send(b, engine.Send{Text: "expires before", Life: message.Lifetime{Burn: time.Hour, Expiry: 20 * time.Minute}})
		a.carry(b)
		const both = "burns\nexpires before"
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		bothSee(t, a, b, both) // which shows it to nobody: it peeks
		began := b.Clock()
		views, err := b.Read(t.Context(), engine.Read{With: a.Account()})
		b.must(err)
		if len(views) != 2 || !near(views[0].BurnsAt, began.Add(time.Minute)) || !near(views[1].BurnsAt, views[1].Expires) {
			t.Fatalf("shown at %v: %+v", began, views)
		}
		time.Sleep(40 * time.Second)
		b.restart()
		if got := b.sees(a); got != both {
			t.Errorf("burned too early: he sees %q", got)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if got := b.sees(a); got != "expires before" {
			t.Errorf("a minute after it was shown he sees %q", got)
		}
		if got := a.sees(b); got != both {
			t.Errorf("control: before she was told she sees %q", got)
		}
		b.carry(a)
		if got := a.sees(b); got != "expires before" {
			t.Errorf("once she was told she sees %q", got)
		}
		if v, err := a.Message(short); err != nil || !near(v.Expires, views[1].Expires) {
			t.Errorf("%+v, %v", v, err)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		bothSee(t, a, b, "")
		allSettled(t, a, b)
	})
}

func near(a, b time.Time) bool { return a.Sub(b).Abs() <= 2*time.Second }

// How many messages wait to be read goes down with each that is over before it
// was: that expired, was taken back, or was erased unread.
func TestUnreadOfWhatEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := skewed(t, "ann", 0), skewed(t, "bob", 0)
		meet(t, a, b)
		unread := func(want int, after string) {
			t.Helper()
			synctest.Wait()
			n, err := b.Unread()
			b.must(err)
			c, err := b.Chat(a.Account())
			b.must(err)
			views, err := b.Read(t.Context(), engine.Read{With: a.Account(), Unread: true, Peek: true})
			b.must(err)
			if n != want || c.Unread != want || len(views) != want {
				t.Errorf("%s %d are unread, %d in the conversation, and %d are shown, not %d", after, n, c.Unread, len(views), want)
			}
		}
		a.send(b, engine.Send{Text: "expires", Life: message.Lifetime{Expiry: time.Hour}})
		back := a.send(b, engine.Send{Text: "taken back"})
		erased := a.send(b, engine.Send{Text: "erased"})
		a.say(b, "stays")
		a.carry(b)
		unread(4, "at first")
		b.must(b.Delete(t.Context(), erased))
		unread(3, "after one was erased")
		a.must(a.Unsend(t.Context(), back))
		a.carry(b)
		unread(2, "after one was taken back")
		time.Sleep(time.Hour + time.Minute)
		unread(1, "after one expired")
		b.restart()
		unread(1, "after a restart")
		if _, err := b.Read(t.Context(), engine.Read{With: a.Account()}); err != nil {
			t.Fatal(err)
		}
		unread(0, "after all was read")
	})
}
