package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

// Chat is one conversation in a list of all.
type Chat struct {
	With identity.AccountID
	record.Chat
	Unread int
	Timer  message.Lifetime
	Draft  record.Draft
	Last   *View // its newest message, without what it says if that has to be opened; nil when there is none
}

// Chats lists the conversations with all contacts, in no order.
func (e *Engine) Chats() (out []Chat, err error) {
	for _, c := range e.Contacts() {
		one, err := e.Chat(c.Account)
		if err != nil {
			return nil, err
		}
		out = append(out, *one)
	}
	return out, nil
}

// Chat returns one conversation.
func (e *Engine) Chat(a identity.AccountID) (out *Chat, err error) {
	err = e.view(func(t *txn) error {
		id := e.direct(a)
		conv, err := t.conversation(id)
		if err != nil {
			return err
		}
		out = &Chat{With: a, Unread: int(conv.Unread), Timer: conv.timer()}
		set, err := t.chat(a)
		if err != nil {
			return err
		}
		out.Chat = *set
		d, _, err := t.draft(a)
		if err != nil {
			return err
		}
		if d != nil {
			out.Draft = *d
		}
		list, _, err := t.page(Read{With: a, Limit: 1})
		if len(list) > 0 {
			out.Last = &list[0]
			if v := out.Last; v.Unopened() {
				v.Text, v.Styles, v.Mentions, v.Files, v.Preview, v.Quote = "", nil, nil, nil, nil, nil
			}
		}
		return err
	})
	return out, err
}

// chat loads how a person wants a conversation to be.
func (t *txn) chat(a identity.AccountID) (*record.Chat, error) {
	b, err := t.get(record.ChatKey(t, t.e.direct(a)))
	if err != nil || b == nil {
		return &record.Chat{}, err
	}
	c, err := record.ParseChat(b)
	if err != nil {
		return nil, fmt.Errorf("reading a conversation's settings: %w", err)
	}
	return c, nil
}

// SetChat changes how a person wants a conversation to be.
func (e *Engine) SetChat(ctx context.Context, a identity.AccountID, change func(*record.Chat)) error {
	return e.do(ctx, 1024, func(t *txn) error {
		if t.contact(a) == nil {
			return ErrUnknownContact
		}
		c, err := t.chat(a)
		if err != nil {
			return err
		}
		before := *c
		if change(c); *c == before {
			return nil
		}
		if err := t.put(record.ChatKey(t, e.direct(a)), c.Marshal()); err != nil {
			return err
		}
		return t.event(record.Event{Type: record.EventContact, Account: a})
	})
}

// draft loads what was begun to be written, and where it stands.
func (t *txn) draft(a identity.AccountID) (*record.Draft, storage.Key, error) {
	k := record.DraftKey(t, t.e.direct(a))
	b, err := t.get(k)
	if err != nil || b == nil {
		return nil, k, err
	}
	d, err := record.ParseDraft(b)
	if err != nil {
		return nil, k, fmt.Errorf("reading a draft: %w", err)
	}
	return d, k, nil
}

// SetDraft keeps what was begun to be written. An empty text deletes it. What it
// was before is destroyed with the next old states.
func (e *Engine) SetDraft(ctx context.Context, a identity.AccountID, d record.Draft) error {
	if len(d.Text) > message.MaxText {
		return message.ErrTooLong
	}
	return e.do(ctx, len(d.Text)+4096, func(t *txn) error {
		if t.contact(a) == nil {
			return ErrUnknownContact
		}
		old, k, err := t.draft(a)
		if err != nil || old != nil && *old == d {
			return err
		}
		if d.Text == "" {
			if old == nil {
				return nil // one that is hidden ends by itself
			}
			return t.del(k)
		}
		conv, err := t.conversation(e.direct(a))
		if err != nil {
			return err
		}
		if x := conv.timer().Expiry; x != 0 {
			return t.putEnding(k, d.Marshal(), x) // no longer than if it were sent now
		}
		return t.put(k, d.Marshal())
	})
}

// endDraft deletes a draft that has expired, and with it what opens it.
func (t *txn) endDraft(a identity.AccountID) error {
	if !t.e.life.trusted() {
		return nil
	}
	k := record.DraftKey(t, t.e.direct(a))
	if has, err := t.Has(k); err != nil || has {
		return err
	}
	_, _, err := t.LeafOf(k)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return errors.Join(err, t.del(k))
}

// dropChat forgets how a conversation was wanted to be.
func (t *txn) dropChat(a identity.AccountID) error {
	id := t.e.direct(a)
	return errors.Join(t.del(record.ChatKey(t, id)), t.del(record.DraftKey(t, id)))
}

// typingFresh is how old a notice that something is being written may be.
const typingFresh = 15 * time.Second

// Typing tells a contact that something is being written, if the person wants
// that. It is sent at most once at a time.
func (e *Engine) Typing(ctx context.Context, a identity.AccountID) error {
	return e.do(ctx, 4096, func(t *txn) error {
		if err := t.maySend(a); err != nil {
			return err
		}
		c, err := t.chat(a)
		if err != nil || !c.Typing {
			return err
		}
		if seq := e.typing.sent[a]; seq != 0 {
			if has, err := t.Has(record.OutboxKey(t, a, seq)); err != nil || has {
				return err
			}
		}
		b, err := message.MarshalPacket(&message.Notice{Conversation: e.direct(a), Kind: message.NoticeTyping, At: message.ClockOf(t.now)})
		if err != nil {
			return err
		}
		seq, err := t.enqueue(a, b, message.ID{}, 0, storage.Leaf{})
		if err != nil {
			return err
		}
		t.after = append(t.after, func() { e.typing.queued(a, seq) })
		return nil
	})
}

// takeTyping announces that a contact is writing.
func (t *txn) takeTyping(s *session, at uint64) error {
	a := s.Account
	ahead, err := t.ahead(s.Device)
	if err != nil {
		return err
	}
	if d := t.now.Sub(message.ClockTime(at)) - ahead; d > typingFresh || d < -typingFresh {
		return nil
	}
	c, err := t.chat(a)
	if err != nil || !c.Typing {
		return err
	}
	t.after = append(t.after, func() { t.e.typing.announce(a) })
	return nil
}
