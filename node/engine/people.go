package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"rushlight/protocol/identity"
	"rushlight/storage"
	"rushlight/storage/record"
)

// What changing a contact is refused for.
var (
	ErrNoKey      = errors.New("engine: the contact's key is not known yet")
	ErrNotAsked   = errors.New("engine: the contact has not asked for approval")
	ErrWrongDigit = errors.New("engine: the safety number does not match")
)

// change edits one contact.
func (e *Engine) change(ctx context.Context, a identity.AccountID, f func(t *txn, rec *record.Contact) error) error {
	return e.do(ctx, 16<<10, func(t *txn) error {
		c := t.contact(a)
		if c == nil {
			return ErrUnknownContact
		}
		rec := c.Contact
		if err := f(t, &rec); err != nil {
			return err
		}
		return t.putContact(&rec)
	})
}

// Rename gives a contact a petname; an empty one removes it.
func (e *Engine) Rename(ctx context.Context, a identity.AccountID, petname string) error {
	return e.change(ctx, a, func(t *txn, rec *record.Contact) error {
		for _, c := range t.everybody() {
			if petname != "" && c.Petname == petname && c.Account != a {
				return ErrNameTaken
			}
		}
		rec.Petname = petname
		return nil
	})
}

// Approve makes a contact of somebody who asked. Approving twice is no mistake.
func (e *Engine) Approve(ctx context.Context, a identity.AccountID) error {
	return e.change(ctx, a, func(t *txn, rec *record.Contact) error {
		if rec.State == record.ContactBlocked {
			return ErrBlocked
		}
		if j, err := t.join(a); err != nil || j != nil {
			return orRefuse(err, ErrNotAsked)
		}
		rec.State, rec.Undecided = record.ContactApproved, false
		t.wake[a] = struct{}{}
		t.after = append(t.after, func() { t.e.provisionSoon(a) })
		return nil
	})
}

// Asks reports whether a contact waits for this person's approval, and not
// this person for theirs.
func (e *Engine) Asks(c *Contact) (asks bool, err error) {
	if c.State != record.ContactPending || len(c.Card) == 0 { // without a card: an invite of theirs was of no use
		return false, nil
	}
	err = e.store.View(func(tx *storage.Tx) error {
		has, err := tx.Has(record.JoinKey(tx, c.Account))
		asks = !has
		return err
	})
	return asks, err
}

// Block takes nothing more from a contact and sends it nothing. Its stamps are
// taken back, which looks to it as if they had run out (spec §11.3).
func (e *Engine) Block(ctx context.Context, a identity.AccountID) error {
	return e.change(ctx, a, func(t *txn, rec *record.Contact) error {
		if rec.State == record.ContactPending {
			if j, err := t.join(a); err != nil || j != nil || len(rec.Card) == 0 {
				return orRefuse(err, ErrNotApproved)
			}
			rec.Undecided = true
		}
		rec.State = record.ContactBlocked
		return t.revoke(a)
	})
}

// Unblock undoes [Engine.Block]. What waited meanwhile goes out. Who was blocked
// while they asked to be a contact asks again.
func (e *Engine) Unblock(ctx context.Context, a identity.AccountID) error {
	return e.change(ctx, a, func(t *txn, rec *record.Contact) error {
		if rec.State == record.ContactBlocked && rec.Undecided {
			rec.State, rec.Undecided = record.ContactPending, false
		} else if rec.State == record.ContactBlocked {
			rec.State = record.ContactApproved
			t.wake[a] = struct{}{}
			t.after = append(t.after, func() { t.e.provisionSoon(a) })
		}
		return nil
	})
}

// SafetyNumber is the number that both sides compare.
func (e *Engine) SafetyNumber(a identity.AccountID) (string, error) {
	c := e.Contact(a)
	if c == nil {
		return "", ErrUnknownContact
	}
	key, ok := c.Key()
	if !ok {
		return "", ErrNoKey
	}
	return identity.SafetyNumber(e.self.manifest.Account, key), nil
}

// Key is the contact's account key, once a card came.
func (c *Contact) Key() (key [32]byte, ok bool) {
	card, err := identity.ParseCard(c.Card)
	if err != nil {
		return key, false
	}
	return card.Manifest.Account, true
}

// Verify marks a contact as verified if the number is the safety number of
// both accounts, as identity.ParseSafetyNumber returns it.
func (e *Engine) Verify(ctx context.Context, a identity.AccountID, number string) error {
	want, err := e.SafetyNumber(a)
	if err != nil {
		return err
	}
	if number != want {
		return ErrWrongDigit
	}
	return e.change(ctx, a, func(_ *txn, rec *record.Contact) error {
		rec.Verified, rec.KeyChanged = true, false
		return nil
	})
}

// Remove forgets a contact, its sessions and the conversation. The invite that
// it used, if there was one, lets it in no more.
func (e *Engine) Remove(ctx context.Context, a identity.AccountID) error {
	for {
		var more bool
		err := e.do(ctx, 64<<10, func(t *txn) (err error) {
			c := t.contact(a)
			if c == nil {
				return ErrUnknownContact
			}
			if more, err = t.dropMessages(a); err != nil || more {
				return err
			}
			if _, more, err = t.failOutbox(a); err != nil || more {
				return err
			}
			if err := t.dropSessions(a); err != nil {
				return err
			}
			if err := errors.Join(t.del(record.JoinKey(t, a)), t.del(record.AskedKey(t, a)), t.turnAway(c)); err != nil {
				return err
			}
			return t.dropContact(a)
		})
		if err != nil || !more {
			return err
		}
	}
}

// turnAway lets a contact in no more by the invite of this device that it used.
// Copies of its request may still lie at relays (spec §4.2).
func (t *txn) turnAway(c *Contact) error {
	b, err := t.get(record.InviteKey(c.Invite))
	if err != nil || b == nil {
		return err
	}
	inv, err := record.ParseInvite(b)
	if err != nil {
		return fmt.Errorf("reading an invite: %w", err)
	}
	if len(inv.TurnedAway) == record.MaxTurnedAway || slices.Contains(inv.TurnedAway, c.Account) {
		return nil
	}
	inv.TurnedAway = append(inv.TurnedAway, c.Account)
	return t.put(record.InviteKey(inv.ID), inv.Marshal())
}

// refusals remembers for a while why joins were refused, for whoever waits.
type refusals struct {
	mu    sync.Mutex
	codes map[identity.AccountID]uint8
}

// maxRefusals bounds how many are remembered.
const maxRefusals = 1024

func (r *refusals) put(a identity.AccountID, code uint8) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.codes == nil || len(r.codes) >= maxRefusals {
		r.codes = map[identity.AccountID]uint8{}
	}
	r.codes[a] = code
}

// Refusal returns and forgets why the join with an account was refused, 0 if
// it was not.
func (e *Engine) Refusal(a identity.AccountID) uint8 {
	r := &e.refusals
	r.mu.Lock()
	defer r.mu.Unlock()
	code := r.codes[a]
	delete(r.codes, a)
	return code
}
