package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"rushlight/node/delivery/parcel"
	"rushlight/protocol/handshake"
	"rushlight/protocol/identity"
	"rushlight/protocol/wire"
	"rushlight/storage"
	"rushlight/storage/record"
)

// Limits of invites.
const (
	MaxInviteUses = 8
	MaxInviteLife = 365 * 24 * time.Hour
)

// ErrTooManyInvites is returned when too many invites are open at once.
var ErrTooManyInvites = errors.New("engine: too many open invites")

// InviteOptions say who may use an invite.
type InviteOptions struct {
	Uses          int
	Life          time.Duration
	NeedsApproval bool
	Note          string
}

// CreateInvite makes a link. For each use there is a one-time bundle of its
// own, whose secrets this device keeps until it is used or the invite ends.
func (e *Engine) CreateInvite(ctx context.Context, o InviteOptions) (link string, expires time.Time, err error) {
	if o.Uses < 1 || o.Uses > MaxInviteUses || o.Life <= 0 || o.Life > MaxInviteLife {
		return "", time.Time{}, fmt.Errorf("engine: invite with %d uses for %v is out of range", o.Uses, o.Life)
	}
	now := e.store.Wall()
	inv := identity.NewInvite(e.self.account, now.Add(o.Life))
	if o.NeedsApproval {
		inv.Flags |= identity.NeedsApproval
	}
	if inv.Hints = e.hints(); len(inv.Hints) > maxHints {
		inv.Hints = inv.Hints[:maxHints]
	}
	rec := &record.Invite{ID: inv.ID, Secret: inv.Secret, Expires: int64(inv.Expires), NeedsApproval: o.NeedsApproval, Note: o.Note}
	for range o.Uses {
		b, s, err := handshake.NewOneTimeBundle(e.self.device, e.self.manifest, now, o.Life)
		if err != nil {
			return "", time.Time{}, err
		}
		hash := b.Hash()
		inv.Uses = append(inv.Uses, hash)
		rec.Uses = append(rec.Uses, record.InviteUse{Bundle: b.Marshal(), Hash: hash, Secret: s.Marshal()})
	}
	if inv.Relays, err = e.inviteRelays(ctx); err != nil {
		return "", time.Time{}, err
	}
	if link, err = inv.Link(); err != nil {
		return "", time.Time{}, fmt.Errorf("making an invite: %w", err)
	}
	err = e.do(ctx, 32<<10, func(t *txn) error {
		if n, err := t.openUses(); err != nil || n+len(rec.Uses) > maxOpeners {
			return errors.Join(err, ErrTooManyInvites)
		}
		if err := t.put(record.InviteKey(rec.ID), rec.Marshal()); err != nil {
			return err
		}
		t.after = append(t.after, func() {
			e.addOpener(askOpener(rec.ID, rec.Secret))
			for _, u := range rec.Uses {
				e.addOpener(opener{key: handshake.OpenerFor(&rec.Secret, u.Hash), invite: rec.ID, hash: u.Hash})
			}
		})
		return nil
	})
	return link, time.Unix(int64(inv.Expires), 0), err
}

// openUses counts the first flights that would still be answered.
func (t *txn) openUses() (n int, err error) {
	if err := t.Scan(record.InvitePrefix(), nil, false, func(_ storage.Key, v []byte) (bool, error) {
		inv, err := record.ParseInvite(v)
		if err != nil {
			return false, fmt.Errorf("reading an invite: %w", err)
		}
		for _, u := range inv.Uses {
			if !u.Used && t.now.Unix() < inv.Expires {
				n++
			}
		}
		return true, nil
	}); err != nil {
		return 0, err
	}
	err = t.ScanKeys(record.PrekeyPrefix(), nil, false, func(storage.Key) (bool, error) { n++; return true, nil })
	return n, err
}

// offers remembers which bundle of an invite was shown to somebody lately, so
// that two who come at once get different ones.
type offers struct {
	mu    sync.Mutex
	shown map[[32]byte]time.Time
}

// offerFor is how long a bundle is kept for whoever asked for it.
const offerFor = time.Minute

// pick returns the bundle that was shown longest ago.
func (o *offers) pick(uses []record.InviteUse, now time.Time) *record.InviteUse {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.shown == nil {
		o.shown = map[[32]byte]time.Time{}
	}
	for h, at := range o.shown {
		if now.Sub(at) > offerFor {
			delete(o.shown, h)
		}
	}
	var best *record.InviteUse
	for i := range uses {
		u := &uses[i]
		if !u.Used && (best == nil || o.shown[u.Hash].Before(o.shown[best.Hash])) {
			best = u
		}
	}
	if best != nil {
		o.shown[best.Hash] = now
	}
	return best
}

// ServeInvite answers somebody who holds an invite of this device: with this
// device's card and a bundle, or with a code of package parcel. proof says
// whether they know its secret; who does not learns nothing.
func (e *Engine) ServeInvite(_ context.Context, id [16]byte, proof func(secret [32]byte) bool) (secret [32]byte, reply []byte, code uint8) {
	var inv *record.Invite
	now := e.store.Wall()
	err := e.store.View(func(tx *storage.Tx) error {
		b, err := tx.Get(record.InviteKey(id))
		if errors.Is(err, storage.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		inv, err = record.ParseInvite(b)
		return err
	})
	switch {
	case err != nil:
		e.log.Error("reading an invite", "err", err)
		return secret, nil, parcel.CodeBusy
	case inv == nil || !proof(inv.Secret):
		return secret, nil, parcel.CodeUnknown
	case now.Unix() >= inv.Expires:
		return inv.Secret, nil, parcel.CodeExpired
	}
	use := e.offers.pick(inv.Uses, now)
	if use == nil {
		return inv.Secret, nil, parcel.CodeUsed
	}
	card, err := e.card(now)
	if err != nil {
		e.log.Error("signing a card", "err", err)
		return secret, nil, parcel.CodeBusy
	}
	return inv.Secret, wire.NewWriter(nil).Vec16(card.Marshal()).Vec16(use.Bundle).Out(), 0
}

// parseOffer reverses the reply of [Engine.ServeInvite].
func parseOffer(reply []byte) (card *identity.Card, rawCard []byte, b *handshake.Bundle, err error) {
	r := wire.NewReader(reply)
	rawCard = r.Vec16(identity.MaxCard)
	rawBundle := r.Vec16(16 << 10)
	if err = r.Close(); err == nil {
		if card, err = identity.ParseCard(rawCard); err == nil {
			b, err = handshake.ParseBundle(rawBundle)
		}
	}
	if err != nil {
		return nil, nil, nil, fmt.Errorf("reading the answer to an invite: %w", err)
	}
	return card, rawCard, b, nil
}
