package engine_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rushlight/node/delivery/parcel"
	"rushlight/node/engine"
	"rushlight/protocol/message"
	"rushlight/storage/record"
)

// older copies d's directory as it is now, and returns what puts d back to it.
func (d *device) older() (back func()) {
	d.t.Helper()
	d.close()
	dir := filepath.Join(d.t.TempDir(), "copy")
	d.must(os.CopyFS(dir, os.DirFS(d.dir)))
	d.open()
	d.start()
	return func() {
		d.t.Helper()
		d.close()
		d.dir = dir
		d.open()
		d.start()
	}
}

// asked lets a minute pass, in which who misses something asks for it, and
// brings the question there.
func (d *device) asked(other *device) {
	d.t.Helper()
	time.Sleep(time.Minute)
	synctest.Wait()
	if n := d.carry(other); n != 1 {
		d.t.Fatalf("%d questions", n)
	}
}

// placed is how often it was said that a message has its place at last.
func (d *device) placed(id message.ID) (n int) {
	d.t.Helper()
	last, all := d.LastEvent(), errors.New("that was all")
	err := d.Watch(d.t.Context(), 0, nil, func(ev engine.Event) error {
		if ev.Type == record.EventPlaced && ev.Message == id {
			n++
		}
		if ev.Seq == last {
			return all
		}
		return nil
	})
	if !errors.Is(err, all) {
		d.t.Fatal(err)
	}
	return n
}

// Who was put back to an older state is sent again what its contact still has,
// and is told what was taken back.
func TestGapIsFilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := skewed(t, "ann", 0), skewed(t, "bob", 0)
		meet(t, a, b)
		a.say(b, "before")
		a.carry(b)
		back := b.older()
		first := a.send(b, engine.Send{Text: "one"})
		gone := a.send(b, engine.Send{Text: "taken back", Life: message.Lifetime{Expiry: 24 * time.Hour}})
		a.carry(b)
		a.must(a.Unsend(t.Context(), gone))
		a.carry(b)
		back()
		later := a.send(b, engine.Send{Text: "later"})
		a.carry(b)
		if n := b.placed(later); n != 0 {
			t.Errorf("told %d times that it has its place, while it waits", n)
		}
		if got := b.sees(a); got != "before\nlater (waiting)" {
			t.Fatal("control: he sees", got)
		}
		b.restart() // what is missing is known after a start as well
		b.asked(a)
		a.carry(b)
		bothSee(t, a, b, "before\none\n(deleted)\nlater")
		if n := b.placed(later); n != 1 {
			t.Errorf("told %d times that it has its place", n)
		}
		va, err := a.Message(gone)
		a.must(err)
		vb, err := b.Message(gone)
		b.must(err)
		if d := va.Expires.Sub(vb.Expires); d < -2*time.Second || d > 2*time.Second {
			t.Errorf("the mark ends %v at one and %v at the other", va.Expires, vb.Expires)
		}
		if st, err := a.State(first); err != nil || st != record.StateDelivered {
			t.Errorf("state %d, %v", st, err)
		}
		allSettled(t, a, b)
	})
}

// What has ended, in whatever way, isn't sent again to who says that it misses
// it; and who says so all the time is answered once in a while.
func TestGapOfWhatEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := skewed(t, "ann", 0), skewed(t, "bob", 0)
		meet(t, a, b)
		ctx := t.Context()
		a.send(b, engine.Send{Text: "for an hour", Life: message.Lifetime{Expiry: time.Hour}})
		a.send(b, engine.Send{Text: "to burn", Life: message.Lifetime{Burn: time.Minute}})
		erased := a.send(b, engine.Send{Text: "erased here"})
		unsent := a.send(b, engine.Send{Text: "taken back"})
		a.carry(b)
		a.must(a.Delete(ctx, erased))
		a.must(a.Unsend(ctx, unsent))
		if _, err := b.Read(ctx, engine.Read{With: a.Account()}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		for range 5 {
			b.say(a, "his")
		}
		b.carry(a)
		a.say(b, "stays")
		a.carry(b)
		if got := a.sees(b); got != "(deleted)\n"+strings.Repeat("his\n", 5)+"stays" {
			t.Fatal("control: she sees", got)
		}
		conv := message.DirectConversation(a.Account(), b.Account())
		// ask says a hundred times within seconds that everything is missing, and
		// returns how much comes.
		ask := func(h *message.Held) (came int) {
			t.Helper()
			for range 100 {
				b.must(b.Tell(t.Context(), a.Account(), h))
				b.carry(a)
				came += a.carry(b)
				time.Sleep(time.Second)
			}
			time.Sleep(10 * time.Minute)
			return came
		}
		everything := &message.Held{Conversation: conv, Author: a.Device()}
		for range 3 {
			if n := ask(everything); n != 2 { // the mark, and what stays
				t.Errorf("%d messages were sent again", n)
			}
		}
		// Somebody else's messages, and those elsewhere, are not to be asked for.
		for _, h := range []*message.Held{{Conversation: conv, Author: b.Device()}, {Conversation: message.ConversationID{1}, Author: a.Device()}} {
			if n := ask(h); n != 0 {
				t.Errorf("%d messages of somebody else", n)
			}
		}
		allSettled(t, a, b)
	})
}

// Who asks while what it asked for is still on its way makes it no more; nor is
// more than a bounded part of a long history sent at once.
func TestGapAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := skewed(t, "ann", 0), skewed(t, "bob", 0)
		meet(t, a, b)
		text := strings.Repeat("long ", 2000)
		for range 40 {
			a.say(b, text)
		}
		a.must(a.Unsend(t.Context(), a.send(b, engine.Send{Text: "taken back"})))
		for range 3 {
			a.carry(b)
			b.carry(a)
		}
		everything := &message.Held{Conversation: message.DirectConversation(a.Account(), b.Account()), Author: a.Device()}
		queued := 0
		for i := range 5 { // while her answers don't reach him
			b.must(b.Tell(t.Context(), a.Account(), everything))
			b.carry(a)
			if n := a.Queued(); i == 0 {
				queued = n
			} else if n != queued {
				t.Fatalf("%d answers wait, %d did", n, queued)
			}
			time.Sleep(10 * time.Minute)
		}
		if size := queued * len(text); queued == 0 || size > 160<<10 {
			t.Errorf("%d bytes are sent at once", size)
		}
		allSettled(t, a, b)
	})
}

// Nothing waits for a message that its recipient refused, and it stays failed.
func TestGapOfRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := skewed(t, "ann", 0), skewed(t, "bob", 0)
		meet(t, a, b)
		no := a.send(b, engine.Send{Text: "refused"})
		for _, p := range a.parcels(b) {
			a.must(a.Refused(t.Context(), b.Account(), b.Device(), p.Seq, parcel.CodeRefused))
		}
		a.say(b, "next")
		a.carry(b)
		if got := b.sees(a); got != "next (waiting)" {
			t.Fatal("control: he sees", got)
		}
		b.asked(a)
		a.carry(b)
		if got := b.sees(a); got != "next" {
			t.Errorf("he sees %s", got)
		}
		if st, err := a.State(no); err != nil || st != record.StateFailed {
			t.Errorf("state %d, %v", st, err)
		}
		allSettled(t, a, b)
	})
}
