package engine_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"rushlight/node/engine"
	"rushlight/protocol/envelope"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/relayset"
)

// invited makes an invite of d.
func (d *device) invited(o engine.InviteOptions) (*identity.Invite, string) {
	d.t.Helper()
	o.Life = time.Hour
	link, _, err := d.CreateInvite(d.t.Context(), o)
	d.must(err)
	inv, err := identity.ParseInvite(link)
	d.must(err)
	return inv, link
}

// asks accepts an invite and leaves the request at a relay.
func (d *device) asks(inv *identity.Invite, link string, r *shelf) {
	d.t.Helper()
	d.must(d.Join(d.t.Context(), inv, link, "", "", false))
	d.leaves(inv, r)
}

// leaves leaves the request at relays.
func (d *device) leaves(inv *identity.Invite, shelves ...*shelf) {
	d.t.Helper()
	ctx := d.t.Context()
	for range 2 {
		letters, err := d.Ask(ctx, inv)
		d.must(err)
		for _, l := range letters {
			if len(l.Envelope) != envelope.M.Size() {
				d.t.Fatal("the request has", len(l.Envelope), "bytes")
			}
			for _, r := range shelves {
				if r.key == l.Relay {
					d.must(d.Asked(ctx, inv.Account, []engine.Answer{{Relay: l.Relay, Code: r.take(l)}}))
				}
			}
		}
	}
	if letters, err := d.Ask(ctx, inv); err != nil || len(letters) != 0 {
		d.t.Fatal("the request is not stored", err)
	}
}

// TestApprovedLater: who asks for approval and who gives it are never online
// together, and the one who gives it may start again before.
func TestApprovedLater(t *testing.T) {
	for name, between := range map[string]func(*device){"at once": func(*device) {}, "after a start": (*device).restart} {
		t.Run(name, func(t *testing.T) {
			a, b := newDevice(t, "ann"), newDevice(t, "bob")
			r1 := newShelf(1)
			r1.host(a)
			homes := []*shelf{newShelf(2), newShelf(3), newShelf(4)} // as many as there may be
			for _, r := range homes {
				r.host(b)
			}
			inv, link := a.invited(engine.InviteOptions{Uses: 1, NeedsApproval: true})
			b.asks(inv, link, r1)
			b.say(a, "may I come in")
			b.restart()
			turn := func() {
				t.Helper()
				a.deposit(b.Account(), homes...)
				for _, r := range homes {
					b.collect(r)
				}
				b.deposit(a.Account(), r1)
				a.collect(r1)
			}
			waits := func(want bool) {
				t.Helper()
				if w, err := b.Awaits(a.Account()); err != nil || w != want {
					t.Fatalf("waits for approval: %v, %v", w, err)
				}
			}
			if a.collect(r1) != 1 {
				t.Fatal("the request didn't come")
			}
			turn()
			waits(true)
			between(a)
			a.must(a.Approve(t.Context(), b.Account()))
			a.deposit(b.Account(), homes...)
			b.restart()
			for _, r := range homes {
				b.collect(r)
			}
			waits(false)
			turn()
			a.wantTexts(b, "may I come in")
		})
	}
}

// TestMoreThanOneAsks: an invite has one stamp for each relay. Who comes after
// the first pays with work, and asks once.
func TestMoreThanOneAsks(t *testing.T) {
	a := newDevice(t, "ann")
	r := newShelf(1)
	r.host(a)
	r.lanes = a
	inv, link := a.invited(engine.InviteOptions{Uses: 3})
	for i, name := range []string{"bob", "eve", "joe"} {
		b := newDevice(t, name)
		home := newShelf(byte(2 + i))
		home.host(b)
		b.asks(inv, link, r)
		a.restart()
		if a.collect(r) != 1 {
			t.Fatalf("the request of %s didn't come", name)
		}
		a.say(b, "welcome")
		a.deposit(b.Account(), r, home)
		b.collect(home)
		b.wantTexts(a, "welcome")
	}
}

// What somebody says who asks is shown until that is decided, whether they came
// to the maker or left it at a relay. The longest text fits, with as many relays
// as there may be.
func TestGreeting(t *testing.T) {
	text := strings.Repeat("\U0001f511", message.MaxNote)
	for name, decide := range map[string]func(*device, identity.AccountID) error{
		"approved": func(d *device, a identity.AccountID) error { return d.Approve(t.Context(), a) },
		"declined": func(d *device, a identity.AccountID) error { return d.Remove(t.Context(), a) },
		"blocked":  func(d *device, a identity.AccountID) error { return d.Block(t.Context(), a) },
	} {
		for _, how := range []string{"in person", "by relay"} {
			t.Run(name+", "+how, func(t *testing.T) {
				a, b := newDevice(t, "ann"), newDevice(t, "bob")
				r := newShelf(1)
				r.host(a)
				for i := range byte(3) {
					home := newShelf(i + 2)
					home.host(b)
					long := bytes.Repeat([]byte{i}, relayset.MaxAddr)
					b.must(b.AddRelay(t.Context(), home.key, [][]byte{long, long, long}, nil))
				}
				inv, link := a.invited(engine.InviteOptions{Uses: 1, NeedsApproval: true})
				b.must(b.Join(t.Context(), inv, link, "", text, false))
				b.restart()
				if how == "by relay" {
					b.leaves(inv, r)
					a.collect(r)
				} else {
					b.offered(a, inv)
					b.offers(a)
				}
				a.restart()
				if c := a.Contact(b.Account()); c == nil || c.Greeting != text {
					t.Fatalf("the greeting is not there: %v", c)
				}
				a.must(decide(a, b.Account()))
				a.restart()
				if c := a.Contact(b.Account()); c != nil && c.Greeting != "" {
					t.Error("the greeting is still there")
				}
				if c := b.Contact(a.Account()); c == nil || c.Greeting != "" {
					t.Errorf("who asks is greeted: %v", c)
				}
			})
		}
	}
}

// Who is blocked instead of approved asks again once unblocked.
func TestBlockedUndecided(t *testing.T) {
	a, b := newDevice(t, "ann"), newDevice(t, "bob")
	_, link := a.invited(engine.InviteOptions{Uses: 1, NeedsApproval: true})
	accept(t, a, b, link)
	b.offers(a)
	a.must(a.Block(t.Context(), b.Account()))
	a.restart()
	a.must(a.Unblock(t.Context(), b.Account()))
	if asks, err := a.Asks(a.Contact(b.Account())); err != nil || !asks {
		t.Error("unblocking has approved", err)
	}
	if err := b.Block(t.Context(), a.Account()); err != nil {
		t.Error("control:", err)
	}
}

// Who was declined, or removed, doesn't come back by another copy of the same
// request, nor in person by another use of the invite. Others do.
func TestTurnedAway(t *testing.T) {
	for name, needs := range map[string]bool{"declined": true, "removed": false} {
		t.Run(name, func(t *testing.T) {
			a, b, c := newDevice(t, "ann"), newDevice(t, "bob"), newDevice(t, "joe")
			r1, r2 := newShelf(1), newShelf(2)
			r1.host(a)
			r2.host(a)
			r1.lanes, r2.lanes = a, a
			inv, link := a.invited(engine.InviteOptions{Uses: 3, NeedsApproval: needs})
			b.must(b.Join(t.Context(), inv, link, "", "", false))
			b.leaves(inv, r1, r2)
			if a.collect(r1) != 1 || a.Contact(b.Account()) == nil {
				t.Fatal("control: the request didn't come")
			}
			a.must(a.Remove(t.Context(), b.Account()))
			a.restart()
			a.collect(r2)
			if a.Contact(b.Account()) != nil {
				t.Error("the second copy let them in")
			}
			b.offered(a, inv)
			b.offers(a)
			if a.Contact(b.Account()) != nil {
				t.Error("another use let them in")
			}
			accept(t, a, c, link)
			c.offers(a)
			if a.Contact(c.Account()) == nil {
				t.Error("control: nobody else is let in")
			}
		})
	}
}

// An invite that is accepted after another one from the same person has a
// request of its own.
func TestAsksByAnotherInvite(t *testing.T) {
	a, b := newDevice(t, "ann"), newDevice(t, "bob")
	r1, r2 := newShelf(1), newShelf(2)
	r1.host(a)
	first, link := a.invited(engine.InviteOptions{Uses: 1})
	b.asks(first, link, r1)
	a.must(a.RemoveRelay(t.Context(), r1.key))
	r2.host(a)
	second, link := a.invited(engine.InviteOptions{Uses: 1})
	b.asks(second, link, r2)
	if a.collect(r2) != 1 || a.Contact(b.Account()) == nil {
		t.Error("the second request didn't come")
	}
}
