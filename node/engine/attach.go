package engine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"rushlight/protocol/history"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

// What changing a message is refused for.
var (
	// ErrNotYours: only its author may change a message.
	ErrNotYours = errors.New("engine: somebody else wrote the message")
	// ErrNoChange: a message of this kind can't be changed like that.
	ErrNoChange = errors.New("engine: this message can't be changed")
	// ErrTooMany: many changes of the message wait for delivery.
	ErrTooMany = errors.New("engine: too many changes of one message wait for delivery")
)

// maxAbout is how many edits of and reactions to one message may wait for
// delivery.
const maxAbout = 32

// apply lets an edit or a reaction by an account change what it is about (spec
// §9.8). It reports whether that message is known; what has ended, or may not be
// changed so, stays as it is.
func (t *txn) apply(m *message.Message, b *message.Body, by identity.AccountID) (known bool, err error) {
	x, err := t.index(b.Target)
	if err != nil || x == nil {
		return false, err
	}
	if len(x.Key) == 0 || isHidden(x) {
		return true, nil
	}
	rec, _, k, err := t.message(b.Target)
	if err != nil || rec == nil || rec.Erased {
		return true, err
	}
	target, err := parse(rec)
	if err != nil {
		return true, err
	}
	leaf, _, err := t.LeafOf(k)
	if err != nil || target.Conversation != m.Conversation {
		return true, err
	}
	if b.Type == message.TypeEdit {
		if !hasText(target.Type) || rec.Account != by {
			return true, nil
		}
		return true, t.applyEdit(m, b, rec, x, leaf)
	}
	return true, t.applyReaction(m, b, by, rec, x, leaf)
}

// hasText reports whether messages of a type have a text that can be edited.
func hasText(t message.Type) bool { return t == message.TypeText || t == message.TypeFiles }

// newer orders what claims to have happened: by time, then by id, the same
// everywhere.
func newer(time uint64, id message.ID, than uint64, other message.ID) bool {
	return cmp.Or(cmp.Compare(time, than), bytes.Compare(id[:], other[:])) > 0
}

func (t *txn) applyEdit(m *message.Message, b *message.Body, rec *record.Message, x *record.Index, leaf storage.Leaf) error {
	old, err := t.edit(b.Target)
	if err != nil {
		return err
	}
	e := &record.Edit{Time: m.HLC, ID: m.ID(), Body: m.Body}
	if old != nil && !newer(e.Time, e.ID, old.Time, old.ID) {
		return nil
	}
	if err := t.putErasable(record.EditKey(b.Target), e.Marshal(), rec.Expires, leaf); err != nil {
		return err
	}
	if !x.Edited {
		x.Edited = true
		if err := t.put(record.IndexKey(b.Target), x.Marshal()); err != nil {
			return err
		}
	}
	return t.event(record.Event{Type: record.EventEdit, Message: b.Target, State: x.State, Account: rec.Account})
}

// edit loads the newest text of a message; nil when it was not edited.
func (t *txn) edit(target message.ID) (*record.Edit, error) {
	b, err := t.get(record.EditKey(target))
	if err != nil || b == nil {
		return nil, err
	}
	e, err := record.ParseEdit(b)
	if err != nil {
		return nil, fmt.Errorf("reading an edit: %w", err)
	}
	return e, nil
}

func (t *txn) applyReaction(m *message.Message, b *message.Body, by identity.AccountID, rec *record.Message, x *record.Index, leaf storage.Leaf) error {
	all, err := t.reactions(b.Target)
	if err != nil {
		return err
	}
	r := record.Reaction{Account: by, Time: m.HLC, ID: m.ID(), Emoji: b.Emoji}
	i := slices.IndexFunc(all.All, func(o record.Reaction) bool { return o.Account == by })
	switch {
	case i >= 0 && !newer(r.Time, r.ID, all.All[i].Time, all.All[i].ID):
		return nil
	case i >= 0:
		all.All[i] = r
	case len(all.All) == record.MaxReactions:
		return nil
	default:
		all.All = append(all.All, r)
	}
	if err := t.putErasable(record.ReactionsKey(b.Target), all.Marshal(), rec.Expires, leaf); err != nil {
		return err
	}
	if !x.Reacted {
		x.Reacted = true
		if err := t.put(record.IndexKey(b.Target), x.Marshal()); err != nil {
			return err
		}
	}
	return t.event(record.Event{Type: record.EventReact, Message: b.Target, State: x.State, Account: by})
}

func (t *txn) reactions(target message.ID) (*record.Reactions, error) {
	b, err := t.get(record.ReactionsKey(target))
	if err != nil || b == nil {
		return &record.Reactions{}, err
	}
	r, err := record.ParseReactions(b)
	if err != nil {
		return nil, fmt.Errorf("reading reactions: %w", err)
	}
	return r, nil
}

// Edit gives a message of one's own another text, here and for its recipient.
// Errors: [ErrUnknownMessage], [ErrNotYours], [ErrNoChange], [ErrTooMany], and
// those of [Engine.Send].
func (e *Engine) Edit(ctx context.Context, id message.ID, text string, styles []message.Style, mentions []message.Mention) error {
	return e.Amend(ctx, id, Amended{Text: text, Styles: styles, Mentions: mentions})
}

// Amended is what a message says after an edit.
type Amended struct {
	Text     string
	Styles   []message.Style
	Mentions []message.Mention
	Preview  *message.Preview // of a link in Text; nil is none
}

// Amend is [Engine.Edit] with all that a text may have with it.
func (e *Engine) Amend(ctx context.Context, id message.ID, to Amended) error {
	b := &message.Body{Type: message.TypeEdit, Target: id, Text: to.Text, Styles: to.Styles, Mentions: to.Mentions, Preview: to.Preview}
	enc, err := b.Marshal()
	if err != nil {
		return err
	}
	return e.do(ctx, 5*len(enc)+16384, func(t *txn) error { return t.sendAbout(b) })
}

// React puts an emoji under a message, in place of the one before; an empty one
// takes that back. Errors as of [Engine.Edit].
func (e *Engine) React(ctx context.Context, id message.ID, emoji string) error {
	b := &message.Body{Type: message.TypeReaction, Target: id, Emoji: emoji}
	if _, err := b.Marshal(); err != nil {
		return err
	}
	return e.do(ctx, 16384, func(t *txn) error { return t.sendAbout(b) })
}

// sendAbout sends an edit or a reaction. Everything of it lives and dies with
// the message it is about.
func (t *txn) sendAbout(b *message.Body) error {
	rec, _, target, err := t.shown(b.Target)
	if err != nil {
		return err
	}
	conv, a, err := t.with(target, rec)
	if err != nil {
		return err
	}
	switch {
	case b.Type == message.TypeEdit && !rec.Mine:
		return ErrNotYours
	case rec.Erased, b.Type == message.TypeEdit && !hasText(target.Type):
		return ErrNoChange
	}
	if err := t.maySend(a); err != nil {
		return err
	}
	waiting := 0
	if err := t.ScanKeys(record.AboutPrefix(b.Target), nil, false, func(storage.Key) (bool, error) { waiting++; return true, nil }); err != nil {
		return err
	}
	if waiting >= maxAbout {
		return ErrTooMany
	}
	if rec.Expires != 0 {
		// Where it waits for its target it has to end by itself.
		left := unixMilli(rec.Expires).Sub(t.now)
		b.Expiry = min(max((left+time.Second-1).Truncate(time.Second), message.MinExpiry), message.MaxExpiry)
	}
	body, err := b.Salted().Marshal()
	if err != nil {
		return err
	}
	m := t.compose(conv, b.Type, body)
	content, err := m.Marshal()
	if err != nil {
		return err
	}
	header, err := m.MarshalErased()
	if err != nil {
		return err
	}
	_, x, k, err := t.message(b.Target)
	if err != nil || x == nil {
		return err
	}
	leaf, _, err := t.LeafOf(k)
	if err != nil {
		return err
	}
	t.wrote, conv.dirty = true, true
	out, err := t.insert(conv, m)
	if err != nil {
		return err
	}
	if out.Verdict != history.New {
		return fmt.Errorf("engine: own message was not new")
	}
	id := out.Position.ID
	o := &record.Outbox{Message: id, Packet: append([]byte{byte(message.KindMessage)}, content...)}
	seq, err := t.enqueueEntry(a, o, o.Packet, rec.Expires, leaf)
	if err != nil {
		return err
	}
	if err := t.put(record.AboutKey(b.Target, id), header); err != nil {
		return err
	}
	own := &record.Index{State: record.StateHidden, Order: out.Position.Order, Changed: t.now.UnixMilli(), Mine: true, Outbox: seq}
	if err := t.put(record.IndexKey(id), own.Marshal()); err != nil {
		return err
	}
	if err := t.number(m, id); err != nil {
		return err
	}
	_, err = t.apply(m, b, t.e.self.account)
	return err
}
