package engine

import (
	"bytes"
	"fmt"
	"slices"

	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage/record"
)

// notify tells an account something about messages, in as many notices as it
// takes.
func (t *txn) notify(a identity.AccountID, kind message.NoticeKind, ids []message.ID) error {
	slices.SortFunc(ids, func(a, b message.ID) int { return bytes.Compare(a[:], b[:]) })
	for chunk := range slices.Chunk(slices.Compact(ids), message.MaxNotice) {
		n := &message.Notice{Conversation: t.e.direct(a), Kind: kind, At: message.ClockOf(t.now), IDs: chunk}
		if err := t.tell(a, n); err != nil {
			return err
		}
	}
	return nil
}

// takeNotice takes what a contact says about messages of this account (spec
// §9.9).
func (t *txn) takeNotice(s *session, n *message.Notice) error {
	if n.Conversation != t.e.direct(s.Account) {
		return fmt.Errorf("%w: notice of another conversation", ErrRefused)
	}
	if n.Kind == message.NoticeTyping {
		return t.takeTyping(s, n.At)
	}
	for _, id := range n.IDs {
		rec, x, _, err := t.message(id)
		if err != nil {
			return err
		}
		if rec == nil || !rec.Mine || isHidden(x) || rec.Erased && n.Kind != message.NoticeBurned {
			continue
		}
		m, err := parse(rec)
		if err != nil {
			return err
		}
		if m.Conversation != n.Conversation {
			continue
		}
		switch n.Kind {
		case message.NoticeBurned:
			if rec.Burn == 0 {
				continue
			}
			if err := t.wasRead(id, x, s.Account); err != nil {
				return err
			}
			if _, err = t.withdraw(id); err == nil {
				err = t.end(id, s.Account, ending{burn: true})
			}
		case message.NoticeRead:
			err = t.wasRead(id, x, s.Account)
		case message.NoticeTyping:
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// wasRead notes that its recipient has seen a message, which has therefore
// arrived.
func (t *txn) wasRead(id message.ID, x *record.Index, with identity.AccountID) error {
	if x.State >= record.StateRead {
		return nil
	}
	if x.Outbox != 0 {
		if err := t.leave(with, x.Outbox); err != nil {
			return err
		}
	}
	return t.setState(id, record.StateRead)
}
