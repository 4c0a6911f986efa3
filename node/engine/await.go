package engine

import (
	"errors"
	"fmt"

	"rushlight/protocol/identity"
	"rushlight/storage"
	"rushlight/storage/record"
)

// Who made an invite that needs approval answers the first flight at once, and
// decides later. Nothing tells the other side what was decided, but what is
// written to it is taken only from contacts that were approved: the first proof
// that anything was taken shows it, and so does the first message, or set of
// relays, from there. Who was declined sees what somebody sees whom nobody has
// decided about yet.

// Awaits reports whether nothing has shown yet that a contact approves.
func (e *Engine) Awaits(a identity.AccountID) (waits bool, err error) {
	err = e.store.View(func(tx *storage.Tx) error {
		waits, err = tx.Has(record.AwaitingKey(tx, a))
		return err
	})
	return waits, err
}

// loadAwaiting finds whose approval is waited for.
func (e *Engine) loadAwaiting(tx *storage.Tx) error {
	e.awaiting = map[identity.AccountID]bool{}
	return tx.Scan(record.AwaitingPrefix(), nil, false, func(_ storage.Key, v []byte) (bool, error) {
		w, err := record.ParseAwaiting(v)
		if err != nil {
			return false, fmt.Errorf("reading who decides first: %w", err)
		}
		e.awaiting[w.Account] = true
		return true, nil
	})
}

// mayWait notes that a contact decides first, if the invite says so.
func (t *txn) mayWait(j *record.Join) error {
	inv, err := identity.ParseInvite(j.Link)
	if err != nil || inv.Flags&identity.NeedsApproval == 0 {
		return err
	}
	t.e.awaiting[j.Account] = true
	w := &record.Awaiting{Account: j.Account, Since: t.now.Unix()}
	return t.put(record.AwaitingKey(t, j.Account), w.Marshal())
}

// waits reports whether a contact's approval is waited for.
func (t *txn) waits(a identity.AccountID) (bool, error) {
	if !t.e.awaiting[a] {
		return false, nil
	}
	return t.Has(record.AwaitingKey(t, a))
}

// knock sends a contact that decides first something that it takes only once
// it has approved.
func (t *txn) knock(a identity.AccountID) error {
	if waits, err := t.waits(a); err != nil || !waits {
		return err
	}
	return t.introduce(a)
}

// approved notes that a contact has shown its approval.
func (t *txn) approved(a identity.AccountID) error {
	if waits, err := t.waits(a); err != nil || !waits {
		return err
	}
	return errors.Join(t.del(record.AwaitingKey(t, a)), t.event(record.Event{Type: record.EventContact, Account: a}))
}
