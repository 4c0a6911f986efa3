package engine_test

import (
	"testing"
	"time"

	"rushlight/node/engine"
	"rushlight/protocol/envelope"
	"rushlight/protocol/identity"
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
	ctx := d.t.Context()
	d.must(d.Join(ctx, inv, link, "", false))
	for range 2 {
		letters, err := d.Ask(ctx, inv)
		d.must(err)
		for _, l := range letters {
			if len(l.Envelope) != envelope.M.Size() {
				d.t.Fatal("the request has", len(l.Envelope), "bytes")
			}
			code := r.take(l)
			d.must(d.Asked(ctx, inv.Account, []engine.Answer{{Relay: l.Relay, Code: code}}))
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
