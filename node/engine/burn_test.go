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

// What burns can be seen in one way only, which starts its timer: not in the
// list of conversations, by a search or in an answer to it.
func TestUnopened(t *testing.T) {
	a, b := pair(t)
	burns := a.send(b, engine.Send{Text: "a needle that burns", Life: message.Lifetime{Burn: time.Hour}})
	last := func(d, other *device) string {
		t.Helper()
		c, err := d.Chat(other.Account())
		d.must(err)
		return describe(*c.Last)
	}
	answer := func() string { // what the answer to it shows of it
		t.Helper()
		views, err := b.Read(t.Context(), engine.Read{With: a.Account(), Limit: 1, Peek: true})
		b.must(err)
		return describe(views[0])
	}
	allSettled(t, a, b)
	if got := last(b, a); got != "" {
		t.Errorf("the list of conversations says %q", got)
	}
	a.send(b, engine.Send{Text: "the answer", ReplyTo: burns})
	allSettled(t, a, b)
	if got := b.finds("needle", nil) + b.finds("needle", a); got != "" {
		t.Errorf("a search shows %q", got)
	}
	if got := answer(); got != "the answer" {
		t.Errorf("the answer to it shows %q", got)
	}
	if got := a.finds("needle", nil); got != "a needle that burns" {
		t.Errorf("its author finds %q", got)
	}

	_, err := b.Read(t.Context(), engine.Read{With: a.Account()})
	b.must(err)
	if got := b.finds("needle", nil); got != "a needle that burns" {
		t.Errorf("once it was opened a search shows %q", got)
	}
	if got := answer(); got != "the answer [re: a needle that burns]" {
		t.Errorf("once it was opened the answer to it shows %q", got)
	}
	a.send(b, engine.Send{Text: "another", Life: message.Lifetime{Burn: time.Hour}})
	allSettled(t, a, b)
	if _, err := b.Read(t.Context(), engine.Read{With: a.Account()}); err != nil || last(b, a) != "another" {
		t.Errorf("once it was opened the list says %q, %v", last(b, a), err)
	}
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
