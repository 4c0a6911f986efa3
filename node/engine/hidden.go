package engine

import (
	"errors"
	"fmt"
	"time"

	"rushlight/protocol/history"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage/record"
)

const (
	// earlyLife is how long a message waits for what it is about.
	earlyLife = 30 * 24 * time.Hour
	// maxEarly is how many do so in one conversation.
	maxEarly = 256
)

// parse reads the content of a record: a message, or one without its body.
func parse(rec *record.Message) (m *message.Message, err error) {
	if rec.Erased {
		m, err = message.ParseErased(rec.Content)
	} else {
		m, err = message.Parse(rec.Content)
	}
	if err != nil {
		return nil, fmt.Errorf("reading a message: %w", err)
	}
	return m, nil
}

// about reads the body of a message that isn't shown but changes another one;
// nil for every other message.
func about(m *message.Message) (*message.Body, error) {
	if m.Erased != nil || m.Type != message.TypeEdit && m.Type != message.TypeReaction {
		return nil, nil
	}
	return message.ParseBody(m.Type, m.Body)
}

// takeHidden takes a message into the log that isn't shown: b is what it says
// about another one, nil when it was lost. It waits, out of sight, for its
// parents and for the message it is about.
func (t *txn) takeHidden(conv *conversation, m *message.Message, b *message.Body, rec *record.Message, out history.Outcome) error {
	id := out.Position.ID
	x := &record.Index{
		State: record.StateHidden, Order: out.Position.Order, Changed: t.now.UnixMilli(), Mine: rec.Mine, Missing: uint8(len(out.Missing)),
	}
	if err := t.number(m, id); err != nil {
		return err
	}
	missing := out.Missing
	if out.Verdict == history.New && b != nil {
		known, err := t.apply(m, b, rec.Account)
		if err != nil {
			return err
		}
		if !known && conv.Early < maxEarly {
			conv.Early++
			missing = []message.ID{b.Target}
		}
	}
	if len(missing) > 0 {
		if err := t.hide(conv, m, id, x, rec, missing); err != nil {
			return err
		}
	}
	if err := t.put(record.IndexKey(id), x.Marshal()); err != nil {
		return err
	}
	if out.Verdict != history.New {
		return nil
	}
	return t.placeWaiting(conv, id)
}

// number notes under which number of its author a message came, unless another
// one did before.
func (t *txn) number(m *message.Message, id message.ID) error {
	k := record.NumberKey(t, m.Conversation, m.Author, m.Seq)
	taken, err := t.Has(k)
	if err != nil || taken {
		return err
	}
	n := &record.Number{ID: id, Prev: m.Prev}
	return t.put(k, n.Marshal())
}

// hide keeps a message that waits for others.
func (t *txn) hide(conv *conversation, m *message.Message, id message.ID, x *record.Index, rec *record.Message, missing []message.ID) error {
	if end := t.now.Add(earlyLife).UnixMilli(); rec.Expires == 0 || rec.Expires > end {
		rec.Expires = end
	}
	leaf, err := t.leafFor(m.Conversation, rec)
	if err != nil {
		return err
	}
	x.Key = record.HiddenKey(id)
	if err := t.putErasable(x.Key, rec.Marshal(), rec.Expires, leaf); err != nil {
		return err
	}
	if err := t.endsAt(unixMilli(rec.Expires), id, t.partner(m, rec), nil); err != nil {
		return err
	}
	conv.Waiting++
	return t.waitFor(missing, id)
}

// waitFor notes which messages another one waits for.
func (t *txn) waitFor(missing []message.ID, id message.ID) error {
	for _, parent := range missing {
		if err := t.put(record.WaitingKey(parent, id), id[:]); err != nil {
			return err
		}
	}
	return nil
}

// settleHidden goes on with a hidden message of which something that it waited for has
// come. It reports whether that gave the message its place.
func (t *txn) settleHidden(conv *conversation, rec *record.Message, x *record.Index, m *message.Message, id message.ID) (placed bool, err error) {
	b, err := about(m)
	if err != nil {
		return false, fmt.Errorf("reading a waiting message: %w", err)
	}
	early := x.Missing == 0 // it waited for its target
	if !early {
		out, err := t.place(conv, m, rec)
		if err != nil {
			return false, err
		}
		x.Missing, x.Order = uint8(len(out.Missing)), out.Position.Order
		if out.Verdict != history.New {
			return false, t.put(record.IndexKey(id), x.Marshal())
		}
		placed = true
	}
	if b != nil {
		known, err := t.apply(m, b, rec.Account)
		if err != nil {
			return false, err
		}
		if !known && (early || conv.Early < maxEarly) {
			if !early {
				conv.Early++
			}
			return placed, errors.Join(t.waitFor([]message.ID{b.Target}, id), t.put(record.IndexKey(id), x.Marshal()))
		}
	}
	if early {
		conv.Early -= min(conv.Early, 1)
	}
	conv.Waiting -= min(conv.Waiting, 1)
	if err := t.del(x.Key); err != nil {
		return false, err
	}
	x.Key = nil
	return placed, t.put(record.IndexKey(id), x.Marshal())
}

// place asks the conversation's history again where a waiting message stands.
func (t *txn) place(conv *conversation, m *message.Message, rec *record.Message) (history.Outcome, error) {
	sh := &shelf{t: t, conv: conv.history, id: m.Conversation}
	out := conv.history.Place(m, sh, message.ClockTime(uint64(rec.Received)<<16))
	conv.dirty, t.wrote = true, true
	return out, sh.err
}

// isHidden reports whether an index entry is of a message that isn't shown.
func isHidden(x *record.Index) bool { return x.State == record.StateHidden }

// shown loads a message that people see; an error when there is none.
func (t *txn) shown(id message.ID) (*record.Message, *record.Index, *message.Message, error) {
	rec, x, _, err := t.message(id)
	if err != nil {
		return nil, nil, nil, err
	}
	if rec == nil || isHidden(x) {
		return nil, nil, nil, ErrUnknownMessage
	}
	m, err := parse(rec)
	return rec, x, m, err
}

// with is the other side of the conversation a message stands in.
func (t *txn) with(m *message.Message, rec *record.Message) (*conversation, identity.AccountID, error) {
	a := t.partner(m, rec)
	conv, err := t.conversation(t.e.direct(a))
	return conv, a, err
}
