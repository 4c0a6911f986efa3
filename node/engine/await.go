package engine

import (
	"errors"

	"rushlight/protocol/identity"
	"rushlight/storage"
	"rushlight/storage/record"
)

// Who made an invite that needs approval answers the first flight at once, and
// decides later. Nothing tells the other side what was decided, but what is
// written to it is taken only from contacts that were approved: the first proof
// that anything was taken shows it, and so does the first message from there.
// Who was declined sees what somebody sees whom nobody has decided about yet.

// Awaits reports whether nothing has shown yet that a contact approves.
func (e *Engine) Awaits(a identity.AccountID) (waits bool, err error) {
	err = e.store.View(func(tx *storage.Tx) error {
		waits, err = tx.Has(record.AwaitingKey(tx, a))
		return err
	})
	return waits, err
}

// mayWait notes that a contact decides first, if the invite says so.
func (t *txn) mayWait(j *record.Join) error {
	inv, err := identity.ParseInvite(j.Link)
	if err != nil || inv.Flags&identity.NeedsApproval == 0 {
		return err
	}
	w := &record.Awaiting{Account: j.Account, Since: t.now.Unix()}
	return t.put(record.AwaitingKey(t, j.Account), w.Marshal())
}

// knock sends a contact that decides first something that it takes only once
// it has approved.
func (t *txn) knock(a identity.AccountID) error {
	waits, err := t.Has(record.AwaitingKey(t, a))
	if err != nil || !waits {
		return err
	}
	return t.introduce(a)
}

// approved notes that a contact has shown its approval.
func (t *txn) approved(a identity.AccountID) error {
	k := record.AwaitingKey(t, a)
	waits, err := t.Has(k)
	if err != nil || !waits {
		return err
	}
	return errors.Join(t.del(k), t.event(record.Event{Type: record.EventContact, Account: a}))
}
