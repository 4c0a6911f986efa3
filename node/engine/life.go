package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/keyfile/wheel"
	"rushlight/storage/record"
)

// leafFor hands out the key that a message is sealed under: in the bucket of
// what expires with it or, when it never does, of what was stored in the same
// month.
func (t *txn) leafFor(conv message.ConversationID, rec *record.Message) (storage.Leaf, error) {
	bucket := wheel.BucketSent(t.now)
	if rec.Expires != 0 {
		at := time.UnixMilli(rec.Expires)
		bucket = wheel.BucketFor(at, at.Sub(t.now))
	}
	return t.NewLeaf(bucket, t.Pseudonym("conversation", conv[:]))
}

// putErasable writes a record that is gone with a leaf, and at a time.
func (t *txn) putErasable(k storage.Key, v []byte, expires int64, l storage.Leaf) error {
	t.wrote = true
	return t.PutUnder(k, v, unixMilli(expires), l)
}

// unixMilli is the time of ms since 1970, zero for 0.
func unixMilli(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// endsAt notes when a message ends; header is the erased form of one's own.
func (t *txn) endsAt(at time.Time, id message.ID, with identity.AccountID, header []byte) error {
	d := &record.Due{Account: with, Header: header}
	if t.due.IsZero() || at.Before(t.due) {
		t.due = at
	}
	return t.put(record.DueKey(at, id), d.Marshal())
}

// seen starts to burn a message of the other side that was shown.
func (t *txn) seen(id message.ID, x *record.Index, with identity.AccountID) error {
	if x.BurnsAt != 0 {
		return nil
	}
	rec, _, k, err := t.message(id)
	if err != nil || rec == nil || rec.Burn == 0 {
		return err
	}
	leaf, _, err := t.LeafOf(k)
	if err != nil {
		return err
	}
	at := t.now.Add(time.Duration(rec.Burn) * time.Second)
	if end := unixMilli(rec.Expires); !end.IsZero() && end.Before(at) {
		at = end
	}
	x.BurnsAt, rec.Expires = at.UnixMilli(), at.UnixMilli()
	if err := t.putErasable(k, rec.Marshal(), rec.Expires, leaf); err != nil {
		return err
	}
	for _, hangs := range []struct {
		there bool
		key   storage.Key
	}{{x.Edited, record.EditKey(id)}, {x.Reacted, record.ReactionsKey(id)}, {x.Files, record.FilesKey(id)}} {
		if !hangs.there {
			continue
		}
		v, err := t.get(hangs.key)
		if err != nil || v == nil {
			return err
		}
		if err := t.putErasable(hangs.key, v, rec.Expires, leaf); err != nil {
			return err
		}
	}
	return t.endsAt(at, id, with, nil)
}

// Delete erases a message from this device, and what is still on its way of
// it.
func (e *Engine) Delete(ctx context.Context, id message.ID) error {
	return e.do(ctx, 16384, func(t *txn) error {
		rec, x, m, err := t.shown(id)
		if err != nil {
			return err
		}
		if m.Type == message.TypeTimer && x.Outbox != 0 {
			return ErrNoChange // the other side doesn't know of it yet
		}
		with := t.partner(m, rec)
		if rec.Burn != 0 && !rec.Mine && !rec.Erased {
			if err := t.notify(with, message.NoticeBurned, []message.ID{id}); err != nil {
				return err
			}
		}
		if rec.Mine && x.State != record.StateStored {
			// What waits at a relay to be fetched is the recipient's.
			if _, err := t.withdraw(id); err != nil {
				return err
			}
		}
		return t.end(id, with, ending{burn: true, header: m.Erase()})
	})
}

// ending is how a message ends.
type ending struct {
	burn   bool             // destroy its key at once, not with all that expire with it
	header *message.Message // of one's own, without its body: to be sent if that was not delivered
	called bool             // it is taken back at relays, though they have stored it
}

// end takes away everything of a message but its place in the history.
func (t *txn) end(id message.ID, with identity.AccountID, how ending) error {
	x, err := t.index(id)
	if err != nil || x == nil || len(x.Key) == 0 {
		return err
	}
	if leaf, ok, err := t.LeafOf(x.Key); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	} else if ok && how.burn {
		t.Forget(leaf)
	}
	undelivered := x.Outbox != 0 && (x.State < record.StateStored || how.called)
	if err := t.strip(id, x, with); err != nil {
		return err
	}
	if undelivered && how.header != nil {
		if err := t.tell(with, &message.Erased{Reason: message.Lost, Message: how.header}); err != nil {
			return err
		}
	}
	conv, err := t.conversation(t.e.direct(with))
	if err != nil {
		return err
	}
	if !x.Mine && x.State < record.StateRead {
		conv.Unread -= min(conv.Unread, 1)
	}
	waited := x.Missing > 0 || isHidden(x)
	if waited {
		conv.Waiting -= min(conv.Waiting, 1)
	}
	if isHidden(x) && x.Missing == 0 {
		conv.Early -= min(conv.Early, 1)
	}
	if conv.Unread == 0 {
		conv.FirstNew = nil
	}
	conv.dirty = true
	if err := t.del(x.Key); err != nil {
		return err
	}
	x.Key, x.Missing = nil, 0
	if err := t.put(record.IndexKey(id), x.Marshal()); err != nil {
		return err
	}
	if err := t.bury(conv, with, id); err != nil {
		return err
	}
	if !isHidden(x) {
		if err := t.event(record.Event{Type: record.EventExpired, Message: id, Account: with}); err != nil {
			return err
		}
	}
	if waited {
		return t.placeWaiting(conv, id)
	}
	return nil
}

// bury remembers which messages of a conversation ended last: only so many stay
// known by their ids, as parents of what comes later.
func (t *txn) bury(conv *conversation, with identity.AccountID, id message.ID) error {
	k := record.GraveKey(t, t.e.direct(with), uint16(conv.Ended%graves))
	old, err := t.get(k)
	if err != nil {
		return err
	}
	if len(old) == len(id) {
		if x, err := t.index(message.ID(old)); err != nil {
			return err
		} else if x != nil && len(x.Key) == 0 {
			if err := t.del(record.IndexKey(message.ID(old))); err != nil {
				return err
			}
		}
	}
	conv.Ended++
	return t.put(k, id[:])
}

// graves is how many ended messages of a conversation stay known by their ids.
const graves = 512

// sweep takes away what a crash left without its key: the key was destroyed,
// and what else belongs to it wasn't committed.
func (t *txn) sweep(from storage.Key) error {
	const few = 512
	names := map[[16]byte]identity.AccountID{}
	for a := range t.e.people.Load().contacts {
		conv := t.e.direct(a)
		names[t.Pseudonym("conversation", conv[:])] = a
		names[t.Pseudonym("account", a[:])] = a
	}
	next, err := t.EachErased(from, few, func(k storage.Key) error {
		if len(k) < 1+16+8 { // no message or outbox entry
			return t.del(k)
		}
		with, known := names[[16]byte(k[1:17])]
		switch {
		case known && k[0] == record.FamilyMessage:
			return t.end(message.ID(k[len(k)-16:]), with, ending{})
		case known && k[0] == record.FamilyOutbox:
			return t.leave(with, record.OutboxSeq(k))
		}
		return t.del(k)
	})
	if err != nil {
		return err
	}
	t.after = append(t.after, func() {
		if t.e.sweepAt = next; next == nil {
			t.e.store.Cleaned()
		}
	})
	return nil
}

// tend ends what is due, as far as one transaction goes, and destroys the keys
// of what has expired.
func (t *txn) tend() error {
	const chunk = 64
	if !t.e.life.trusted() {
		return nil // it is hidden, and destroyed once the time is certain
	}
	type entry struct {
		key storage.Key
		id  message.ID
		due *record.Due
	}
	var all []entry
	var next time.Time
	if err := t.Scan(record.DuePrefix(), nil, false, func(k storage.Key, v []byte) (bool, error) {
		at, id, err := record.ParseDueKey(k)
		if err != nil {
			return false, err
		}
		if next = at; at.After(t.now) || len(all) == chunk {
			return false, nil
		}
		d, err := record.ParseDue(v)
		all = append(all, entry{k, id, d})
		next = time.Time{}
		return true, err
	}); err != nil {
		return err
	}
	burned := map[identity.AccountID][]message.ID{}
	for _, m := range all {
		x, err := t.index(m.id)
		if err != nil {
			return err
		}
		how := ending{burn: x != nil && x.BurnsAt != 0}
		if how.burn && len(x.Key) > 0 && !x.Mine {
			burned[m.due.Account] = append(burned[m.due.Account], m.id)
		}
		if len(m.due.Header) > 0 {
			if how.header, err = message.ParseErased(m.due.Header); err != nil {
				return fmt.Errorf("reading what ends: %w", err)
			}
		}
		if how.called, err = t.withdraw(m.id); err != nil {
			return err
		}
		deleted := x != nil && len(x.Key) == 0
		if err := t.end(m.id, m.due.Account, how); err != nil {
			return err
		}
		if deleted && how.called && how.header != nil && t.contact(m.due.Account) != nil {
			// Deleted here before, and on its way: nobody waits for it any more.
			if err := t.tell(m.due.Account, &message.Erased{Reason: message.Lost, Message: how.header}); err != nil {
				return err
			}
		}
		if err := t.del(m.key); err != nil {
			return err
		}
	}
	for a, ids := range burned {
		if t.contact(a) == nil {
			continue
		}
		if err := t.notify(a, message.NoticeBurned, ids); err != nil {
			return err
		}
	}
	ended, bucket := t.e.store.Ended(t.now)
	t.ForgetBuckets(ended...)
	if next.IsZero() || !bucket.IsZero() && bucket.Before(next) {
		next = bucket
	}
	t.after = append(t.after, func() { t.e.life.until(next) })
	return nil
}

// Erased has a token when keys were destroyed since it was last received from.
// What was read under them may still lie in memory that nothing uses any more;
// whoever owns the process has it collected.
func (e *Engine) Erased() <-chan struct{} { return e.erased }
