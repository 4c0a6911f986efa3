package engine

import (
	"errors"
	"unicode/utf8"

	"rushlight/protocol/message"
	"rushlight/storage/record"
)

// maxQuote is how much of a message an answer to it shows, in bytes.
const maxQuote = 200

// content fills in what a message says and what others have put to it.
func (t *txn) content(v *View, m *message.Message, x *record.Index) error {
	if m.Erased != nil {
		v.Deleted = true
		return nil
	}
	if x.Reacted {
		all, err := t.reactions(v.ID)
		if err != nil {
			return err
		}
		for _, r := range all.All {
			if r.Emoji != "" {
				v.Reactions = append(v.Reactions, Reaction{r.Account, r.Emoji})
			}
		}
	}
	b, err := t.newest(v.ID, m, x)
	if err != nil {
		return err
	}
	if b == nil {
		v.Newer = true
		return nil
	}
	v.Text, v.Styles, v.Mentions, v.ReplyTo, v.Forwarded, v.Edited = b.Text, b.Styles, b.Mentions, b.ReplyTo, b.Forwarded, x.Edited
	v.Files, v.Preview = b.Files, b.Preview
	if b.Type == message.TypeTimer {
		v.Timer = &b.Timer
	}
	if v.ReplyTo != (message.ID{}) {
		v.Quote, err = t.quote(v.ReplyTo, m.Conversation)
	}
	return err
}

// newest is what a message says now, after edits; nil when this version doesn't
// know.
func (t *txn) newest(id message.ID, m *message.Message, x *record.Index) (*message.Body, error) {
	b, err := message.ParseBody(m.Type, m.Body)
	if err != nil {
		return nil, nil //nolint:nilerr // of a kind that a newer version knows
	}
	if !x.Edited {
		return b, nil
	}
	e, err := t.edit(id)
	if err != nil || e == nil {
		return b, err
	}
	n, err := message.ParseBody(message.TypeEdit, e.Body)
	if err != nil {
		return nil, err
	}
	b.Text, b.Styles, b.Mentions, b.Preview = n.Text, n.Styles, n.Mentions, n.Preview
	return b, nil
}

// quote is the beginning of a message of a conversation, as it is now; nil when
// it isn't there, or has to be opened first.
func (t *txn) quote(id message.ID, conv message.ConversationID) (*Quote, error) {
	rec, x, m, err := t.shown(id)
	if errors.Is(err, ErrUnknownMessage) {
		return nil, nil
	}
	if err != nil || rec.Erased || m.Conversation != conv || !rec.Mine && rec.Burn != 0 && x.State != record.StateRead {
		return nil, err
	}
	b, err := t.newest(id, m, x)
	if err != nil || b == nil {
		return nil, err
	}
	q := &Quote{From: rec.Account, Text: b.Text}
	if q.Text == "" && len(b.Files) > 0 {
		q.Text = b.Files[0].Name
	}
	if len(q.Text) > maxQuote {
		n := maxQuote
		for !utf8.RuneStart(q.Text[n]) {
			n--
		}
		q.Text = q.Text[:n] + "…"
	}
	return q, nil
}

// dropHung deletes what hangs on a message that is deleted with its
// conversation.
func (t *txn) dropHung(id message.ID) error {
	x, err := t.index(id)
	if err != nil || x == nil {
		return err
	}
	if x.Edited {
		err = errors.Join(err, t.del(record.EditKey(id)))
	}
	if x.Reacted {
		err = errors.Join(err, t.del(record.ReactionsKey(id)))
	}
	if x.Files {
		err = errors.Join(err, t.del(record.FilesKey(id)))
	}
	return err
}
