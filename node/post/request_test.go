package post_test

import (
	"testing"
	"time"

	"rushlight/node/engine"
	"rushlight/protocol/identity"
	"rushlight/storage/record"
)

// invited makes an invite of somebody who goes away then.
func (p *person) invited(r *relay, uses int) (*identity.Invite, string) {
	p.t.Helper()
	offline := p.online()
	p.at(r)
	p.until("there are stamps", func() bool {
		short, err := p.Short(r.key)
		if err != nil {
			p.t.Fatal(err)
		}
		return short == [3]int{}
	})
	link, _, err := p.CreateInvite(p.t.Context(), engine.InviteOptions{Uses: uses, Life: time.Hour})
	if err != nil {
		p.t.Fatal(err)
	}
	inv, err := identity.ParseInvite(link)
	if err != nil || len(inv.Relays) != 1 {
		p.t.Fatal("the invite names no relay", err)
	}
	offline()
	return inv, link
}

// asks accepts an invite and leaves the request until done.
func (p *person) asks(inv *identity.Invite, link string, what string, done func() bool) {
	p.t.Helper()
	if err := p.Join(p.t.Context(), inv, link, "", "", false); err != nil {
		p.t.Fatal(err)
	}
	p.until(what, func() bool {
		if err := p.post.Ask(p.t.Context(), inv); err != nil {
			p.t.Fatal(err)
		}
		return done()
	})
}

// TestMoreThanOneAsks: the first who accepts an invite uses its stamp, others
// leave their requests with work.
func TestMoreThanOneAsks(t *testing.T) {
	r := newRelayAsking(t, 1)
	a := newPerson(t, "ann")
	inv, link := a.invited(r, 3)
	for n, name := range []string{"bob", "eve", "joe"} {
		b := newPerson(t, name)
		b.cfg.Effort = 1
		b.online()
		b.asks(inv, link, "the request is stored", func() bool { return r.Status().Envelopes == int64(n+1) })
		if got := r.Status().Requests; got != int64(n) {
			t.Errorf("%d requests with work after %d people", got, n+1)
		}
	}
	a.online()
	a.until("all are contacts", func() bool { return len(a.Contacts()) == 3 })
}

// TestLaneOutOfReach: where requests to somebody take too much work, mail to
// others goes by way of the same relay all the same.
func TestLaneOutOfReach(t *testing.T) {
	r := newRelayAsking(t, 1<<20)
	a, b := pair(t, r)
	b.away()
	a.cfg.Effort = 1
	c := newPerson(t, "joe")
	inv, link := c.invited(r, 2)
	first := newPerson(t, "eve")
	first.online()
	first.asks(inv, link, "the stamp is used", func() bool { return r.Status().Envelopes == 1 })
	a.online()
	refused := r.Status().Refused
	a.asks(inv, link, "the stamp and the work are refused", func() bool { return r.Status().Refused >= refused+2 })
	a.say(b, "meanwhile")
	a.until("it is stored", func() bool { return a.state(b, "meanwhile") == record.StateStored })
}
