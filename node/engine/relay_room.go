package engine

import (
	"context"

	"rushlight/node/delivery/parcel"
	"rushlight/protocol/identity"
	"rushlight/storage/record"
)

// What a relay had no room for is said on both sides: the recipient learns how
// much from the relay (spec §12.5), the sender from its refusals (spec §12.3).

// MailboxRefused notes how many deposits a relay says it had no room for, and
// how many requests others took the place of.
func (e *Engine) MailboxRefused(ctx context.Context, key [32]byte, refused, crowded uint32) error {
	return e.do(ctx, 4096, func(t *txn) error {
		r := t.relay(key)
		if r == nil || r.Refused == refused && r.Crowded == crowded {
			return nil
		}
		if refused > r.Refused || crowded > r.Crowded {
			r.Full = t.now.Unix()
			t.e.log.Warn("a relay had no room for mail", "refused", refused-min(refused, r.Refused), "requests", crowded-min(crowded, r.Crowded))
		}
		r.Refused, r.Crowded = refused, crowded
		return t.putRelay(key, r)
	})
}

// noteRoom notes whether a relay of a contact has room for its mail.
func (t *txn) noteRoom(p *record.Places, x Answer) {
	full := x.Code == parcel.CodeFull
	if x.Code != 0 && !full {
		return
	}
	for i := range p.Relays {
		r := &p.Relays[i]
		if r.Key != x.Relay || full == (r.Full != 0) {
			continue
		}
		if r.Full = 0; full {
			r.Full = t.now.Unix()
			t.e.log.Warn("a relay has no room for a contact's mail; it waits here")
		}
		t.putPlaces(p)
		return
	}
}

// NoRoom reports whether none of a contact's relays has room for its mail.
func (e *Engine) NoRoom(a identity.AccountID) (full bool, err error) {
	err = e.view(func(t *txn) error {
		p, err := t.places(a)
		if err != nil {
			return err
		}
		full = len(p.Relays) > 0
		for _, r := range p.Relays {
			full = full && r.Full != 0
		}
		return nil
	})
	return full, err
}
