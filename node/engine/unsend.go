package engine

import (
	"context"
	"errors"
	"fmt"

	"rushlight/protocol/history"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

// Unsend takes a message of one's own back from everybody: its body is
// destroyed here, and there as soon as this arrives. Errors:
// [ErrUnknownMessage], [ErrNotYours], [ErrNoChange] for a change of the timer.
func (e *Engine) Unsend(ctx context.Context, id message.ID) error {
	return e.do(ctx, 16384, func(t *txn) error {
		rec, _, m, err := t.shown(id)
		switch {
		case err != nil:
			return err
		case !rec.Mine:
			return ErrNotYours
		case rec.Erased:
			return nil
		case m.Type == message.TypeTimer:
			return ErrNoChange // it counts for what was sent since
		}
		life, err := message.LifetimeOf(m.Body)
		if err != nil {
			return err
		}
		_, a, err := t.with(m, rec)
		if err != nil {
			return err
		}
		if err := t.unsend(id, rec, m, a); err != nil {
			return err
		}
		return t.tell(a, &message.Erased{Reason: message.Unsent, Expiry: life.Expiry, Message: m.Erase()})
	})
}

// tell queues a control packet.
func (t *txn) tell(a identity.AccountID, p message.Packet) error {
	b, err := message.MarshalPacket(p)
	if err != nil {
		return err
	}
	_, err = t.enqueue(a, b, message.ID{}, 0, storage.Leaf{})
	return err
}

// unsend destroys the body of a message and leaves a mark in its place, for as
// long as the message would have been there.
func (t *txn) unsend(id message.ID, rec *record.Message, m *message.Message, with identity.AccountID) error {
	x, err := t.index(id)
	if err != nil {
		return err
	}
	leaf, ok, err := t.LeafOf(x.Key)
	if err != nil {
		return err
	}
	if ok {
		t.Forget(leaf)
	}
	if rec.Mine {
		if _, err := t.withdraw(id); err != nil {
			return err
		}
	}
	if err := t.strip(id, x, with); err != nil {
		return err
	}
	if !x.Mine && x.State < record.StateRead {
		conv, err := t.conversation(m.Conversation)
		if err != nil {
			return err
		}
		if conv.Unread -= min(conv.Unread, 1); conv.Unread == 0 {
			conv.FirstNew = nil
		}
		conv.dirty = true
		x.State = record.StateRead
	}
	content, err := m.MarshalErased()
	if err != nil {
		return err
	}
	mark := &record.Message{
		Account: rec.Account, Mine: rec.Mine, Received: rec.Received, Expires: rec.Expires, Burn: rec.Burn, Erased: true, Content: content,
	}
	if leaf, err = t.leafFor(m.Conversation, mark); err != nil {
		return err
	}
	if err := t.putErasable(x.Key, mark.Marshal(), mark.Expires, leaf); err != nil {
		return err
	}
	if err := t.put(record.IndexKey(id), x.Marshal()); err != nil {
		return err
	}
	return t.event(record.Event{Type: record.EventDelete, Message: id, State: x.State, Account: rec.Account})
}

// strip takes away what hangs on a message: its newer text, the reactions to it,
// and what of all that is still on its way.
func (t *txn) strip(id message.ID, x *record.Index, with identity.AccountID) error {
	if x.Edited {
		if err := t.del(record.EditKey(id)); err != nil {
			return err
		}
	}
	if x.Reacted {
		if err := t.del(record.ReactionsKey(id)); err != nil {
			return err
		}
	}
	if x.Files {
		if err := t.del(record.FilesKey(id)); err != nil {
			return err
		}
	}
	if x.Outbox != 0 {
		if err := t.leave(with, x.Outbox); err != nil {
			return err
		}
	}
	if x.Edited || x.Reacted {
		if err := t.lose(id, with); err != nil {
			return err
		}
	}
	x.Edited, x.Reacted, x.Files, x.Outbox = false, false, false, 0
	return nil
}

// lose takes back the edits of and reactions to a message that are on their way.
func (t *txn) lose(id message.ID, with identity.AccountID) error {
	type entry struct {
		key    storage.Key
		header []byte
	}
	var all []entry
	if err := t.Scan(record.AboutPrefix(id), nil, false, func(k storage.Key, v []byte) (bool, error) {
		all = append(all, entry{k, v})
		return true, nil
	}); err != nil {
		return err
	}
	for _, one := range all {
		m, err := message.ParseErased(one.header)
		if err != nil {
			return fmt.Errorf("reading what is on its way: %w", err)
		}
		x, err := t.index(m.ID())
		if err != nil {
			return err
		}
		if _, err := t.withdraw(m.ID()); err != nil {
			return err
		}
		if err := t.del(one.key); err != nil {
			return err
		}
		if x == nil || x.Outbox == 0 {
			continue
		}
		if err := t.leave(with, x.Outbox); err != nil {
			return err
		}
		x.Outbox = 0
		if err := t.put(record.IndexKey(m.ID()), x.Marshal()); err != nil {
			return err
		}
		if err := t.tell(with, &message.Erased{Reason: message.Lost, Message: m}); err != nil {
			return err
		}
	}
	return nil
}

// arrived forgets that an edit or a reaction is on its way.
func (t *txn) arrived(o *record.Outbox) error {
	if o.Message == (message.ID{}) || len(o.Packet) == 0 {
		return nil
	}
	p, err := message.ParsePacket(o.Packet)
	if err != nil {
		return fmt.Errorf("reading the outbox: %w", err)
	}
	m, ok := p.(*message.Message)
	if !ok {
		return nil
	}
	b, err := about(m)
	if err != nil || b == nil {
		return err
	}
	return t.del(record.AboutKey(b.Target, o.Message))
}

// takeErased takes what a contact sends in place of a message whose body is
// gone (spec §9.8).
func (t *txn) takeErased(s *session, p *message.Erased) error {
	m := p.Message
	if m.Author != s.Device || m.Conversation != t.e.direct(s.Account) {
		return fmt.Errorf("%w: message of another author or conversation", ErrRefused)
	}
	id := m.ID()
	rec, x, _, err := t.message(id)
	if err != nil {
		return err
	}
	if x != nil {
		if rec == nil || isHidden(x) || rec.Erased || p.Reason != message.Unsent {
			return nil
		}
		return t.unsend(id, rec, m, s.Account)
	}
	conv, err := t.conversation(m.Conversation)
	if err != nil {
		return err
	}
	out, next, err := t.enter(conv, m)
	if err != nil || out.Verdict == history.Duplicate {
		return err
	}
	content, err := m.MarshalErased()
	if err != nil {
		return err
	}
	rec = &record.Message{Account: s.Account, Received: t.now.UnixMilli(), Erased: true, Content: content}
	if rec.Expires, err = t.deadline(m, message.Lifetime{Expiry: p.Expiry}); err != nil {
		return err
	}
	if p.Reason != message.Unsent {
		return t.takeHidden(conv, m, nil, rec, out)
	}
	return t.takeShown(conv, m, rec, out, record.StateRead, next)
}

// enter takes a contact's message into the history of its conversation.
func (t *txn) enter(conv *conversation, m *message.Message) (out history.Outcome, next bool, err error) {
	l, known := conv.history.Log(m.Author)
	next = !known || m.Seq > l.Held.Last()
	out, err = t.insert(conv, m)
	if errors.Is(err, history.ErrTooManyGaps) {
		return out, next, fmt.Errorf("%w: %w", errTooEarly, err)
	}
	if err != nil {
		return out, next, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if out.Verdict != history.Duplicate {
		conv.dirty, t.wrote = true, true
	}
	return out, next, nil
}
