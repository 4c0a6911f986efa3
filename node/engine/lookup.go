package engine

import (
	"bytes"
	"context"
	"slices"
	"time"

	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

// placed is the key of a message that must stand in a conversation.
func (t *txn) placed(with identity.AccountID, id message.ID) (storage.Key, error) {
	x, err := t.index(id)
	if err != nil {
		return nil, err
	}
	if x == nil || isHidden(x) || !bytes.HasPrefix(x.Key, record.MessagePrefix(t, t.e.direct(with))) {
		return nil, ErrUnknownMessage
	}
	return x.Key, nil
}

// later collects messages that come after one, the oldest so many.
func (t *txn) later(r Read) (out []View, fresh []message.ID, err error) {
	from, err := t.placed(r.With, r.After)
	if err != nil {
		return nil, nil, err
	}
	err = t.Scan(record.MessagePrefix(t, t.e.direct(r.With)), from, false, func(k storage.Key, v []byte) (bool, error) {
		if string(k) == string(from) {
			return true, nil
		}
		view, err := t.view(r.With, v)
		if err != nil {
			return false, err
		}
		isNew := !view.Mine && view.State != record.StateRead
		if r.Unread && !isNew {
			return true, nil
		}
		if isNew {
			fresh = append(fresh, view.ID)
		}
		out = append(out, *view)
		return len(out) < r.Limit, nil
	})
	return out, fresh, err
}

// around collects a message, about as many before it as after it.
func (t *txn) around(r Read) (out []View, fresh []message.ID, err error) {
	if _, err := t.placed(r.With, r.Around); err != nil {
		return nil, nil, err
	}
	rec, x, _, err := t.message(r.Around)
	if err != nil {
		return nil, nil, err
	}
	if rec == nil || x == nil {
		return nil, nil, ErrUnknownMessage
	}
	one, err := t.view(r.With, rec.Marshal())
	if err != nil {
		return nil, nil, err
	}
	rest := r.Limit - 1
	if n := rest / 2; n > 0 {
		if out, fresh, err = t.page(Read{With: r.With, Before: r.Around, Limit: n, Unread: r.Unread}); err != nil {
			return nil, nil, err
		}
	}
	out = append(out, *one)
	if !one.Mine && one.State != record.StateRead {
		fresh = append(fresh, one.ID)
	}
	if n := rest - rest/2; n > 0 {
		after, more, err := t.later(Read{With: r.With, After: r.Around, Limit: n, Unread: r.Unread})
		if err != nil {
			return nil, nil, err
		}
		out, fresh = append(out, after...), append(fresh, more...)
	}
	return out, fresh, nil
}

// MarkRead marks messages of the other side of a conversation as shown. Those
// of other conversations, or that are gone, are left out.
func (e *Engine) MarkRead(ctx context.Context, with identity.AccountID, ids []message.ID) error {
	for chunk := range slices.Chunk(ids, 256) {
		err := e.do(ctx, len(chunk)*256, func(t *txn) error {
			var here []message.ID
			for _, id := range chunk {
				rec, x, key, err := t.message(id)
				if err != nil {
					return err
				}
				if rec != nil && !rec.Mine && !isHidden(x) && x.State != record.StateRead &&
					bytes.HasPrefix(key, record.MessagePrefix(t, e.direct(with))) {
					here = append(here, id)
				}
			}
			if len(here) == 0 {
				return nil
			}
			_, err := t.markRead(with, here)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// near is how many messages around a time are looked at to find one by it.
const near = 1024

// SentAt finds the message of an author in a conversation by the time at which
// it was sent, to the millisecond.
func (e *Engine) SentAt(with, author identity.AccountID, at time.Time) (id message.ID, err error) {
	err = e.view(func(t *txn) error {
		from := record.MessageKey(t, e.direct(with), message.ClockOf(at), message.ID{})
		// It stands at its time or later; or earlier, if its author's clock was
		// ahead.
		for _, back := range []bool{false, true} {
			n, found := 0, false
			err := t.Scan(record.MessagePrefix(t, e.direct(with)), from, back, func(_ storage.Key, v []byte) (bool, error) {
				view, err := t.view(with, v)
				if err != nil {
					return false, err
				}
				if view.From == author && view.Sent.Equal(at) {
					id, found = view.ID, true
				}
				n++
				return !found && n < near, nil
			})
			if err != nil || found {
				return err
			}
		}
		return ErrUnknownMessage
	})
	return id, err
}
