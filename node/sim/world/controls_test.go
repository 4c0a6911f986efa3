package world

import (
	"testing"

	"rushlight/node/api"
	"rushlight/storage"
	"rushlight/storage/record"
)

// Each invariant must fail when what it names is broken, and no other with it.

// talked runs f among two people who have written to each other.
func talked(t *testing.T, f func(w *world, a, b *person)) {
	t.Helper()
	simulate(t, 2, func(w *world) {
		w.befriendAll()
		a, b := w.people[0], w.people[1]
		w.arrive("talk", atOnce, w.say(a, b), w.say(b, a))
		w.must(w.settle())
		w.wantBroken()
		f(w, a, b)
	})
}

// An author who remembers writing what was never sent.
func TestControlNothingLost(t *testing.T) {
	talked(t, func(w *world, a, b *person) {
		w.oracle.add(w.draft(a, b))
		w.wantBroken("NothingLost")
	})
}

// A recipient whose device acknowledges before it has saved: after a power cut
// it is what it was before.
func TestControlNothingLostByRecipient(t *testing.T) {
	talked(t, func(w *world, a, b *person) {
		b.halt()
		before := b.backUp()
		b.start()
		w.arrive("acknowledged", atOnce, w.say(a, b))
		b.halt()
		b.dir = before
		b.start()
		w.must(w.settle())
		w.wantBroken("NothingLost")
	})
}

// A program that got no answer and sends again. With the key that the
// interface has for this, nothing happens; without it, people see it twice.
func TestControlNothingTwice(t *testing.T) {
	talked(t, func(w *world, a, b *person) {
		for _, key := range []string{"one key", ""} {
			n := w.draft(a, b)
			w.oracle.add(n)
			for range 2 {
				s, err := a.node.Send(w.ctx, api.SendRequest{To: b.account, Text: n.text, IdempotencyKey: key})
				w.must(err)
				n.id = s.ID
			}
			w.must(w.settle())
			if key != "" {
				w.wantBroken()
			}
		}
		w.wantBroken("NothingTwice")
	})
}

// A recipient from whom nothing ever comes back: all is received and nothing
// acknowledged.
func TestControlOutboxDrains(t *testing.T) {
	talked(t, func(w *world, a, b *person) {
		w.air.change(func() { w.air.cut[b.n][a.n] = true })
		w.say(a, b)
		if err := w.settle(); err == nil {
			w.fatal("control: settled across a cut")
		}
		if got := len(w.conversation(b, a)); got != 3 {
			w.fatal("the recipient has %d messages", got)
		}
		w.wantBroken("OutboxDrains")
		w.air.heal()
		w.must(w.settle())
		w.wantBroken()
	})
}

// A store that has lost a record.
func TestControlStoreChecks(t *testing.T) {
	talked(t, func(w *world, a, b *person) {
		b.halt()
		b.edit(func(tx *storage.Tx) error { return tx.Delete(record.EventKey(2)) })
		b.start()
		w.wantBroken("StoreChecks")
	})
}
