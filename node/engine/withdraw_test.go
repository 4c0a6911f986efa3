package engine_test

import (
	"slices"
	"testing"
	"time"

	"rushlight/node/engine"
	"rushlight/protocol/envelope"
	"rushlight/protocol/mailbox"
	"rushlight/protocol/message"
	"rushlight/storage/record"
)

// withdraw deletes at relays what d has taken back, and returns how much was
// there.
func (d *device) withdraw(relays ...*shelf) (n int) {
	d.t.Helper()
	all, _, err := d.Withdrawals()
	if err != nil {
		d.t.Fatal(err)
	}
	for _, w := range all {
		i := slices.IndexFunc(relays, func(r *shelf) bool { return r.key == w.Relay })
		if i < 0 {
			continue
		}
		deleted := relays[i].unsend(&w)
		if deleted {
			n++
		}
		if err := d.Withdrawn(d.t.Context(), &w, deleted, !deleted, 0); err != nil {
			d.t.Fatal(err)
		}
	}
	return n
}

func (r *shelf) unsend(w *record.Withdrawal) bool {
	box := r.owner[w.Stamp]
	for i, env := range r.mail[box] {
		if mailbox.Object(env) == w.Object && envelope.CureHashOf(env) == envelope.CureHash(w.Cure) {
			r.mail[box] = slices.Delete(r.mail[box], i, i+1)
			return true
		}
	}
	return false
}

func (d *device) sendFor(other *device, text string, life time.Duration) engine.Sent {
	d.t.Helper()
	s, err := d.Send(d.t.Context(), engine.Send{To: other.Account(), Text: text, Life: message.Lifetime{Expiry: life}})
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

// TestWithdrawForEveryone deletes a message for everyone that waits at two
// relays, of which one is away at first. Neither keeps it, the recipient sees
// none of it, and what else waits there stays.
func TestWithdrawForEveryone(t *testing.T) {
	r1, r2 := newShelf(1), newShelf(2)
	a, b := talkers(t, r1, r2)
	s := a.sendFor(b, "taken back", 0)
	a.say(b, "stays")
	a.deposit(b.Account(), r1, r2)
	if len(r1.mail[b]) != 2 || len(r2.mail[b]) != 2 {
		t.Fatal("not at both relays")
	}
	if all, _, err := a.Withdrawals(); err != nil || len(all) != 0 {
		t.Fatal("something is to be deleted before anybody asked:", len(all), err)
	}
	if err := a.Unsend(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	if n := a.withdraw(r1); n != 1 || len(r1.mail[b]) != 1 || len(r2.mail[b]) != 2 {
		t.Fatal("deleted at the first relay:", n)
	}
	a.restart()
	if n := a.withdraw(r2); n != 1 || len(r2.mail[b]) != 1 {
		t.Fatal("deleted at the second relay:", n)
	}
	if all, _, err := a.Withdrawals(); err != nil || len(all) != 0 {
		t.Fatal("left to be deleted:", len(all), err)
	}
	b.collect(r1)
	b.collect(r2)
	if got := b.texts(a); slices.Contains(got, "taken back") || !slices.Contains(got, "stays") {
		t.Errorf("the recipient sees %q", got)
	}
	a.hello(b)
	settle(a, b, r1, r2)
	if a.Queued() != 0 {
		t.Error("left in the outbox:", a.Queued())
	}
}

// TestWithdrawAtExpiry lets a message end that waits at a relay.
func TestWithdrawAtExpiry(t *testing.T) {
	r1 := newShelf(1)
	a, b := talkers(t, r1)
	a.sendFor(b, "for a while", 5*time.Second)
	a.deposit(b.Account(), r1)
	if len(r1.mail[b]) != 1 {
		t.Fatal("not at the relay")
	}
	select {
	case <-a.WithdrawalsChanged(): // of the start
	default:
	}
	deadline := time.After(time.Minute)
	for {
		if all, _, err := a.Withdrawals(); err != nil {
			t.Fatal(err)
		} else if len(all) > 0 {
			break
		}
		select {
		case <-a.WithdrawalsChanged():
		case <-deadline:
			t.Fatal("nothing is taken back")
		}
	}
	if n := a.withdraw(r1); n != 1 || len(r1.mail[b]) != 0 {
		t.Fatal("deleted:", n)
	}
	// The recipient is told that nothing is missing.
	a.say(b, "later")
	a.deposit(b.Account(), r1)
	b.collect(r1)
	if got := b.texts(a); !slices.Equal(got, []string{"later"}) {
		t.Errorf("the recipient sees %q", got)
	}
	views, err := b.Read(t.Context(), engine.Read{With: a.Account(), Peek: true})
	if err != nil || slices.ContainsFunc(views, func(v engine.View) bool { return v.Waiting }) {
		t.Errorf("something waits for what will never come: %+v, %v", views, err)
	}
}

// TestWithdrawnTooEarly believes a relay that does not know a deposit only when
// that can't be under way any more.
func TestWithdrawnTooEarly(t *testing.T) {
	r1 := newShelf(1)
	a, b := talkers(t, r1)
	s := a.sendFor(b, "on its way", 0)
	letters, _, err := a.Post(t.Context(), b.Account(), func([32]byte) bool { return false })
	if err != nil || len(letters) != 1 {
		t.Fatal(letters, err)
	}
	if err := a.Unsend(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	if n := a.withdraw(r1); n != 0 {
		t.Fatal("deleted what isn't there")
	}
	all, again, err := a.Withdrawals()
	if err != nil || len(all) != 0 || again.IsZero() {
		t.Fatal("not tried again:", all, again, err)
	}
}
