package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"rushlight/node/delivery/parcel"
	"rushlight/protocol/envelope"
	"rushlight/protocol/handshake"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/suite"
	"rushlight/storage/record"
)

// askOpener finds requests to the maker of an invite (spec §12.10).
func askOpener(id [16]byte, secret [32]byte) opener {
	return opener{key: suite.MAC(secret[:], labelAsk, id[:]), invite: id, asks: true}
}

func (t *txn) dropAsks(id [16]byte) {
	t.after = append(t.after, func() {
		maps.DeleteFunc(t.e.openers, func(_ [16]byte, o opener) bool { return o.asks && o.invite == id })
	})
}

// Ask says what is to be deposited at the relays of an invite that was accepted
// and whose maker is away: a request with a bundle, from which the maker starts
// the session. Nothing is left when it is stored.
func (e *Engine) Ask(ctx context.Context, inv *identity.Invite) (out []Letter, err error) {
	err = e.do(ctx, 256<<10, func(t *txn) error {
		out = nil
		worked := false
		j, err := t.join(inv.Account)
		if err != nil || j == nil || j.Sent || len(inv.Relays) == 0 {
			return err
		}
		q, err := t.asked(inv, j)
		if err != nil {
			return err
		}
		class, err := envelope.ClassFor(1 + 16 + len(q.Content))
		if err != nil {
			return err
		}
		class = max(class, envelope.M) // what the stamp of an invite is for
		opener := askOpener(inv.ID, inv.Secret)
		for i, c := range q.Deposits {
			if c.Stored {
				continue
			}
			env, err := record.SealFirst(opener.key, c.Relay, envelope.CureAt(q.Cure, c.Relay), class, q.Content)
			if err != nil {
				return err
			}
			l := Letter{Relay: c.Relay, Addrs: [][]byte{inv.Relays[i].Addr}, Stamp: c.Stamp, Envelope: env}
			if c.Lane {
				if t.now.Sub(t.e.stampless.asks[inv.Account]) < laneEvery {
					continue
				}
				l.Lane, worked = inv.Relays[i].Request, true
			}
			out = append(out, l)
		}
		if worked {
			t.after = append(t.after, func() { t.e.stampless.asks[inv.Account] = t.now })
		}
		return nil
	})
	return out, err
}

// requestStamps are the stamps in a request: with those of three relays, two
// bundles have room in an envelope of class M.
var requestStamps = [3]uint16{32, 8, 1}

// A long greeting takes the room of half of them.
const longGreeting = 1000 // bytes

var greetedStamps = [3]uint16{16, 4, 1}

// asked returns the request to the maker of an invite, which is made once.
func (t *txn) asked(inv *identity.Invite, j *record.Join) (*record.Asked, error) {
	b, err := t.get(record.AskedKey(t, inv.Account))
	if err != nil {
		return nil, err
	}
	if b != nil {
		q, err := record.ParseAsked(b)
		if err != nil {
			return nil, fmt.Errorf("reading a request: %w", err)
		}
		return q, nil
	}
	card, err := t.e.card(t.now)
	if err != nil {
		return nil, err
	}
	bundle, _, err := t.newPrekey(inv.Account, spareLife, handshake.NewOneTimeBundle)
	if err != nil {
		return nil, err
	}
	if bundle == nil {
		return nil, ErrTooManyInvites
	}
	var packet, standing []byte
	g, err := t.given(inv.Account)
	if err != nil {
		return nil, err
	}
	stamps := requestStamps
	if len(j.Greeting) > longGreeting {
		stamps = greetedStamps
	}
	if p, _, err := t.relaysPacket(g, stamps); err != nil {
		return nil, err
	} else if p != nil && len(p.Stamps) > 0 {
		if packet, err = message.MarshalPacket(p); err != nil {
			return nil, err
		}
		// The maker may start again before it approves.
		if standing, err = t.standingBundle(inv.Account, g); err != nil {
			return nil, err
		}
		if err := t.put(record.GivenKey(t, inv.Account), g.Marshal()); err != nil {
			return nil, err
		}
	}
	req := request{card: card.Marshal(), bundle: bundle, relays: packet, standing: standing, greeting: j.Greeting}
	if j.Greeting != "" {
		req.sign(t.e.self.device.Signing, inv.ID)
	}
	q := &record.Asked{Account: inv.Account, Cure: envelope.NewCure(), Content: req.marshal()}
	for _, r := range inv.Relays {
		q.Deposits = append(q.Deposits, record.Copy{Relay: r.Key, Stamp: r.Stamp})
	}
	return q, t.put(record.AskedKey(t, inv.Account), q.Marshal())
}

// Asked takes what relays answered to the request to the maker of an invite. The
// one stamp that an invite has for a relay may have been used by somebody else
// who has the link: from then on the request pays with work there.
func (e *Engine) Asked(ctx context.Context, a identity.AccountID, answers []Answer) error {
	return e.do(ctx, 32<<10, func(t *txn) error {
		b, err := t.get(record.AskedKey(t, a))
		if err != nil || b == nil {
			return err
		}
		q, err := record.ParseAsked(b)
		if err != nil {
			return fmt.Errorf("reading a request: %w", err)
		}
		for _, x := range answers {
			i := slices.IndexFunc(q.Deposits, func(c record.Copy) bool { return c.Relay == x.Relay })
			switch {
			case i < 0:
			case x.Code == 0:
				q.Deposits[i].Stored = true
			case x.Code == parcel.CodeSpent, x.Code == parcel.CodeExpired:
				q.Deposits[i].Lane = true
			}
		}
		return t.put(record.AskedKey(t, a), q.Marshal())
	})
}

// takeAsked answers somebody who accepted an invite while this device was away
// (spec §12.10): the session starts from the bundle in the request, and uses up
// one use of the invite.
func (t *txn) takeAsked(o opener, content []byte) error {
	refuse := func(err error) error { return fmt.Errorf("%w: %w", ErrRefused, err) }
	q, err := parseRequest(content)
	if err != nil {
		return refuse(err)
	}
	card, b, relays, err := q.open(o.invite)
	if err != nil {
		return refuse(err)
	}
	a := card.ID()
	if a == t.e.self.account {
		return refuse(errors.New("it is this account's own"))
	}
	if s, err := t.current(a); err != nil || s != nil {
		return err // the two have come together otherwise
	}
	if c := t.contact(a); c != nil && c.State == record.ContactBlocked {
		return ErrUnknownTag
	}
	raw, err := t.get(record.InviteKey(o.invite))
	if err != nil || raw == nil {
		return orRefuse(err, ErrUnknownTag)
	}
	inv, err := record.ParseInvite(raw)
	if err != nil {
		return fmt.Errorf("reading an invite: %w", err)
	}
	if t.now.Unix() >= inv.Expires {
		return ErrInviteExpired
	}
	if slices.Contains(inv.TurnedAway, a) {
		return nil // another copy of what was decided
	}
	use := slices.IndexFunc(inv.Uses, func(u record.InviteUse) bool { return !u.Used })
	if use < 0 {
		return ErrInviteUsed
	}
	f, keys, err := handshake.Initiate(t.now, t.e.self.device, t.e.self.manifest, b, card.Manifest)
	if err != nil {
		return refuse(err)
	}
	session, err := initiatorSession(keys)
	if err != nil {
		return err
	}
	t.dropOpener(inv.Uses[use].Hash)
	inv.Uses[use] = record.InviteUse{Hash: inv.Uses[use].Hash, Used: true}
	if err := t.put(record.InviteKey(inv.ID), inv.Marshal()); err != nil {
		return err
	}
	rec := record.Contact{Account: a, State: record.ContactApproved, Added: t.now.Unix()}
	if c := t.contact(a); c != nil {
		rec = c.Contact
	} else if inv.NeedsApproval {
		rec.State = record.ContactPending
	}
	rec.Card, rec.Presence, rec.Invite, rec.Greeting = q.card, presence(session), inv.ID, q.greeting
	if err := t.putContact(&rec); err != nil {
		return err
	}
	if relays != nil {
		if err := t.learnRelays(a, card.Device, relays); err != nil {
			return err
		}
	}
	if len(q.standing) > 0 {
		if err := t.keepSpares(a, card.Device, &message.Bundles{Bundles: [][]byte{q.standing}}); err != nil {
			return err
		}
	}
	if err := t.launch(a, b, f, session, handshake.OpenerFor(nil, b.Hash()), ""); err != nil {
		return err
	}
	return t.provision(a, false)
}

// usedByOwn reports whether a maker's word that an invite was used is of this
// device's own making: its request has used it, and the answer is on its way.
func (t *txn) usedByOwn(a identity.AccountID, code uint8) (bool, error) {
	if code != parcel.CodeUsed {
		return false, nil
	}
	b, err := t.get(record.AskedKey(t, a))
	if err != nil || b == nil {
		return false, err
	}
	q, err := record.ParseAsked(b)
	if err != nil {
		return false, fmt.Errorf("reading a request: %w", err)
	}
	return slices.ContainsFunc(q.Deposits, func(c record.Copy) bool { return c.Stored }), nil
}
