package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rushlight/protocol/history"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/suite"
	"rushlight/storage"
	"rushlight/storage/record"
)

const labelIdempotency suite.Label = "rushlight/engine/idempotency/1"

// idempotencyLife is how long a repeated call with the same key of the caller
// returns the first call's message.
const idempotencyLife = 48 * time.Hour

// What sending is refused for.
var (
	ErrUnknownContact = errors.New("engine: no such contact")
	ErrBlocked        = errors.New("engine: the contact is blocked")
	ErrNotApproved    = errors.New("engine: the contact waits for approval")
	ErrKeyChanged     = errors.New("engine: the contact's key changed since it was verified")
)

// Send is one text to one contact.
type Send struct {
	To   identity.AccountID
	Text string
	Life message.Lifetime // see [Never]
	Key  string           // the caller's idempotency key, or empty

	ReplyTo   message.ID // the message it answers; zero is none
	Forwarded bool       // somebody else wrote it
	Styles    []message.Style
	Mentions  []message.Mention
	Files     []message.File // with them, the text may be empty
	Preview   *message.Preview

	// Entered, if set, is called once the message's place among all messages
	// is fixed.
	Entered func()
}

// body encodes what is sent.
func (s *Send) body(life message.Lifetime) ([]byte, error) {
	return (&message.Body{
		Type: s.kind(), Text: s.Text, Lifetime: life, ReplyTo: s.ReplyTo, Forwarded: s.Forwarded, Styles: s.Styles, Mentions: s.Mentions,
		Files: s.Files, Preview: s.Preview,
	}).Salted().Marshal()
}

// kind is the type of what is sent.
func (s *Send) kind() message.Type {
	if len(s.Files) > 0 {
		return message.TypeFiles
	}
	return message.TypeText
}

// Sent is a message that will not be lost.
type Sent struct {
	ID    message.ID
	State record.MessageState
	At    time.Time
}

// Send commits a message and its envelope, and returns. Delivery goes on by
// itself. Errors: those of message.NewBody, [ErrUnknownContact],
// [ErrBlocked], [ErrKeyChanged], storage.ErrNoSpace.
func (e *Engine) Send(ctx context.Context, s Send) (Sent, error) {
	body, err := s.body(chosen(s.Life))
	if err != nil {
		if s.Entered != nil {
			s.Entered()
		}
		return Sent{}, err
	}
	var out Sent
	st := &step{cost: 5*len(body) + 8192, run: func(t *txn) (err error) {
		out, err = t.sendText(s, body)
		return err
	}}
	if err := e.hand(ctx, []*step{st}, s.Entered); err != nil {
		return Sent{}, err
	}
	return out, st.err
}

// maySend returns why nothing may be sent to an account.
func (t *txn) maySend(a identity.AccountID) error {
	c := t.contact(a)
	switch {
	case c == nil:
		return ErrUnknownContact
	case c.State == record.ContactBlocked:
		return ErrBlocked
	case c.KeyChanged:
		return ErrKeyChanged
	case c.State == record.ContactPending:
		if j, err := t.join(a); err != nil || j == nil {
			return orRefuse(err, ErrNotApproved)
		}
	}
	return nil
}

func (t *txn) sendText(s Send, body []byte) (Sent, error) {
	if err := t.maySend(s.To); err != nil {
		return Sent{}, err
	}
	var idem storage.Key
	if s.Key != "" {
		h := suite.Hash(labelIdempotency, s.To[:], []byte(s.Key))
		idem = record.IdempotencyKey([16]byte(h[:16]))
		b, err := t.get(idem)
		if err != nil {
			return Sent{}, err
		}
		if len(b) == 16 {
			return t.sentBefore(message.ID(b))
		}
	}
	conv, err := t.conversation(message.DirectConversation(t.e.self.account, s.To))
	if err != nil {
		return Sent{}, err
	}
	if life := conv.effective(s.Life); life != chosen(s.Life) {
		if body, err = s.body(life); err != nil {
			return Sent{}, err
		}
		s.Life = life
	}
	m := t.compose(conv, s.kind(), body)
	id, err := t.insertOwn(s.To, chosen(s.Life), conv, m)
	if err != nil {
		return Sent{}, err
	}
	if idem != nil {
		if err := t.putExpiring(idem, id[:], idempotencyLife); err != nil {
			return Sent{}, err
		}
	}
	return Sent{ID: id, State: record.StateQueued, At: message.ClockTime(m.HLC)}, nil
}

func (t *txn) sentBefore(id message.ID) (Sent, error) {
	m, x, _, err := t.message(id)
	if err != nil {
		return Sent{}, err
	}
	if m == nil {
		return Sent{ID: id, State: record.StateFailed}, nil
	}
	p, err := parse(m)
	if err != nil {
		return Sent{}, err
	}
	return Sent{ID: id, State: x.State, At: message.ClockTime(p.HLC)}, nil
}

// compose makes the next message of this device in a conversation. It must be
// inserted.
func (t *txn) compose(conv *conversation, typ message.Type, body []byte) *message.Message {
	m := &message.Message{Header: conv.history.Next(t.e.self.id, t.now), Type: typ, Body: body}
	t.stamp(m)
	if l, ok := conv.history.Log(t.e.self.id); ok && conv.Skip > 0 && l.Held.Last() > 0 {
		m.Seq += conv.Skip
	}
	conv.Skip = 0
	return m
}

// maxLead is how far the times of messages may run ahead of the clock when more
// are sent than there are milliseconds.
const maxLead = 10 * time.Second

// stamp gives a message a millisecond of its own, by which programs name it.
func (t *txn) stamp(m *message.Message) {
	next := t.e.stamped.Add(time.Millisecond)
	if at := message.ClockTime(m.HLC); at.Before(next) && next.Sub(at) < maxLead && next.Sub(t.now) < maxLead {
		m.HLC = message.ClockOf(next)
	}
	if at := message.ClockTime(m.HLC); at.After(t.e.stamped) {
		t.e.stamped = at
	}
}

// insertOwn places a message of this device in its conversation and the outbox.
func (t *txn) insertOwn(to identity.AccountID, life message.Lifetime, conv *conversation, m *message.Message) (message.ID, error) {
	content, err := m.Marshal()
	if err != nil {
		return message.ID{}, err
	}
	t.wrote, conv.dirty = true, true
	out, err := t.insert(conv, m)
	if err != nil {
		return message.ID{}, err
	}
	if out.Verdict != history.New {
		return message.ID{}, fmt.Errorf("engine: own message was not new")
	}
	rec := &record.Message{Account: t.e.self.account, Mine: true, Received: t.now.UnixMilli(), Content: content}
	rec.Burn = uint32(life.Burn / time.Second)
	if life.Expiry != 0 {
		rec.Expires = life.Expires(t.now).UnixMilli()
	}
	leaf, err := t.leafFor(m.Conversation, rec)
	if err != nil {
		return message.ID{}, err
	}
	id := out.Position.ID
	x := &record.Index{State: record.StateQueued}
	packet := append(append(t.e.scratch.packet[:0], byte(message.KindMessage)), content...)
	t.e.scratch.packet = packet
	if x.Outbox, err = t.enqueue(to, packet, id, rec.Expires, leaf); err != nil {
		return message.ID{}, err
	}
	return id, t.putMessage(m, rec, out, x, leaf, true)
}

// insert asks the conversation's history what becomes of a message.
func (t *txn) insert(conv *conversation, m *message.Message) (history.Outcome, error) {
	sh := &shelf{t: t, conv: conv.history, id: m.Conversation}
	out, err := conv.history.Insert(m, sh, t.now)
	return out, errors.Join(err, sh.err)
}

// putMessage writes a message and everything that finds it, and announces it.
// next says that its number is above all that its author used before.
func (t *txn) putMessage(m *message.Message, rec *record.Message, out history.Outcome, x *record.Index, leaf storage.Leaf, next bool) error {
	id := out.Position.ID
	k := record.MessageKey(t, m.Conversation, out.Position.Order, id)
	t.e.scratch.record = rec.Append(t.e.scratch.record[:0])
	if err := t.putErasable(k, t.e.scratch.record, rec.Expires, leaf); err != nil {
		return err
	}
	if m.Type == message.TypeFiles {
		var err error
		if x.Files, err = t.putFiles(id, m, rec.Expires, leaf); err != nil {
			return err
		}
	}
	if rec.Expires != 0 {
		var header []byte
		if rec.Mine {
			var err error
			if header, err = m.MarshalErased(); err != nil {
				return err
			}
		}
		if err := t.endsAt(unixMilli(rec.Expires), id, t.partner(m, rec), header); err != nil {
			return err
		}
	}
	x.Mine, x.Key, x.Order, x.Changed, x.Missing = rec.Mine, k, out.Position.Order, t.now.UnixMilli(), uint8(len(out.Missing))
	if err := t.put(record.IndexKey(id), x.Marshal()); err != nil {
		return err
	}
	// A number belongs to the first message that came under it.
	number := record.NumberKey(t, m.Conversation, m.Author, m.Seq)
	taken := false
	if !next {
		var err error
		if taken, err = t.Has(number); err != nil {
			return err
		}
	}
	if !taken {
		n := &record.Number{ID: id, Prev: m.Prev}
		if err := t.put(number, n.Marshal()); err != nil {
			return err
		}
	}
	return t.log(Event{
		Event: record.Event{Type: record.EventMessage, Message: id, State: x.State, Account: rec.Account}, Plain: !x.Files,
	})
}

// message loads a message by its id; all nil when there is none.
func (t *txn) message(id message.ID) (*record.Message, *record.Index, storage.Key, error) {
	x, err := t.index(id)
	if err != nil || x == nil {
		return nil, nil, nil, err
	}
	if len(x.Key) == 0 {
		return nil, x, nil, nil
	}
	b, err := t.get(x.Key)
	if err != nil || b == nil {
		return nil, x, x.Key, err
	}
	m, err := record.ParseMessage(b)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("reading a message: %w", err)
	}
	return m, x, x.Key, nil
}

func (t *txn) index(id message.ID) (*record.Index, error) {
	if x := t.indexes[id]; x != nil {
		return x, nil
	}
	b, err := t.get(record.IndexKey(id))
	if err != nil || b == nil {
		return nil, err
	}
	x, err := record.ParseIndex(b)
	if err != nil {
		return nil, fmt.Errorf("reading the message index: %w", err)
	}
	return x, nil
}

// shelf answers history's questions about one conversation out of the store.
type shelf struct {
	t    *txn
	conv *history.State
	id   message.ConversationID
	err  error
}

// At implements history.Store. The newest message of an author is in the state
// itself, which is what nearly every question is about.
func (s *shelf) At(author identity.DeviceID, seq uint64) (history.Entry, bool) {
	l, ok := s.conv.Log(author)
	if !ok || seq == 0 || seq > l.Held.Last() {
		return history.Entry{}, false
	}
	b, err := s.t.get(record.NumberKey(s.t, s.id, author, seq))
	if err != nil || b == nil {
		s.err = errors.Join(s.err, err)
		return history.Entry{}, false
	}
	n, err := record.ParseNumber(b)
	if err != nil {
		s.err = errors.Join(s.err, err)
		return history.Entry{}, false
	}
	return history.Entry{ID: n.ID, Prev: n.Prev}, true
}

// Has implements history.Store.
func (s *shelf) Has(id message.ID) bool {
	x, err := s.t.index(id)
	s.err = errors.Join(s.err, err)
	return err == nil && x != nil && x.Missing == 0
}

// Order implements history.Store.
func (s *shelf) Order(id message.ID) uint64 {
	x, err := s.t.index(id)
	s.err = errors.Join(s.err, err)
	if err != nil || x == nil {
		return 0
	}
	return x.Order
}
