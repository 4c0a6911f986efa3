package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

// ErrUnknownMessage is returned for an id that no message has.
var ErrUnknownMessage = errors.New("engine: no such message")

// View is a message as a person sees it.
type View struct {
	ID       message.ID
	With     identity.AccountID // the other side of the conversation
	From     identity.AccountID
	Mine     bool
	Sent     time.Time
	Received time.Time
	Text     string
	Files    []message.File
	Preview  *message.Preview // of a link in Text; nil is none
	Styles   []message.Style
	Mentions []message.Mention
	Newer    bool              // of a kind that this version does not know
	Timer    *message.Lifetime // it changed how long later messages live
	Waiting  bool              // messages that come before it have not arrived
	State    record.MessageState
	Expires  time.Time     // zero is never
	Burn     time.Duration // after it was seen; zero is not at all
	BurnsAt  time.Time     // zero is not seen yet

	ReplyTo   message.ID // the message it answers; zero is none
	Quote     *Quote     // of that message, as long as it is there
	Forwarded bool
	Edited    bool
	Deleted   bool // its author took it back; there is no text
	Reactions []Reaction
}

// Unopened reports whether a message burns once it was shown, and wasn't yet: a
// glance at it would be a reading that nobody is told of.
func (v *View) Unopened() bool {
	return !v.Mine && v.Burn != 0 && v.State != record.StateRead && !v.Deleted
}

// Quote is the beginning of a message that another one answers.
type Quote struct {
	From identity.AccountID
	Text string
}

// Reaction is what somebody put under a message.
type Reaction struct {
	From  identity.AccountID
	Emoji string
}

// Read says which messages of a conversation to return.
type Read struct {
	With   identity.AccountID
	Limit  int        // the newest so many; 0 is all
	Before message.ID // only older ones; zero is from the newest
	After  message.ID // instead: only newer ones, the oldest of them
	Around message.ID // instead: this one, and those before and after it
	Unread bool       // only what was not shown yet
	Peek   bool       // leave what is returned unread
}

// maxUnlimited bounds a reading without a limit.
const maxUnlimited = 100_000

// Read returns messages, oldest first, and marks those of the other side as
// read.
func (e *Engine) Read(ctx context.Context, r Read) ([]View, error) {
	if r.Limit <= 0 || r.Limit > maxUnlimited {
		r.Limit = maxUnlimited
	}
	var out []View
	var fresh []message.ID
	err := e.store.View(func(tx *storage.Tx) (err error) {
		t := e.viewTxn(tx)
		switch {
		case r.Around != message.ID{}:
			out, fresh, err = t.around(r)
		case r.After != message.ID{}:
			out, fresh, err = t.later(r)
		default:
			out, fresh, err = t.page(r)
		}
		return err
	})
	if err != nil || r.Peek || len(fresh) == 0 {
		return out, err
	}
	for chunk := range slices.Chunk(fresh, 256) {
		var burns map[message.ID]time.Time
		if err := e.do(ctx, len(chunk)*256, func(t *txn) (err error) { burns, err = t.markRead(r.With, chunk); return err }); err != nil {
			return nil, err
		}
		for i := range out {
			if at, ok := burns[out[i].ID]; ok {
				out[i].BurnsAt = at
			}
		}
	}
	return out, nil
}

// view runs f on a snapshot.
func (e *Engine) view(f func(t *txn) error) error {
	return e.store.View(func(tx *storage.Tx) error { return f(e.viewTxn(tx)) })
}

// viewTxn makes the read methods of txn work on a snapshot.
func (e *Engine) viewTxn(tx *storage.Tx) *txn {
	t := &txn{e: e}
	t.reset(tx, newObjects())
	return t
}

// page collects messages from the newest back.
func (t *txn) page(r Read) (out []View, fresh []message.ID, err error) {
	id := t.e.direct(r.With)
	var from storage.Key
	if r.Before != (message.ID{}) {
		x, err := t.index(r.Before)
		if err != nil {
			return nil, nil, err
		}
		if x == nil {
			return nil, nil, ErrUnknownMessage
		}
		from = x.Key
	}
	conv, err := t.conversation(id)
	if err != nil {
		return nil, nil, err
	}
	if r.Unread && conv.Unread == 0 {
		return nil, nil, nil
	}
	var run []found
	// show makes views of the run, as many as are wanted.
	show := func() error {
		if err := t.fetch(run); err != nil {
			return err
		}
		for _, f := range run {
			if len(out) == r.Limit {
				break
			}
			view, err := t.view(r.With, f.value)
			if err != nil {
				return err
			}
			isNew := !view.Mine && view.State != record.StateRead
			if r.Unread && !isNew {
				continue
			}
			if isNew {
				fresh = append(fresh, view.ID)
			}
			out = append(out, *view)
		}
		run = run[:0]
		return nil
	}
	err = t.Scan(record.MessagePrefix(t, id), from, true, func(k storage.Key, v []byte) (bool, error) {
		if string(k) == string(from) {
			return true, nil
		}
		if r.Unread && string(k) < string(conv.FirstNew) {
			return false, nil
		}
		run = append(run, found{message.ID(k[len(k)-16:]), v})
		if len(run) == min(maxRun, r.Limit-len(out)) {
			if err := show(); err != nil {
				return false, err
			}
		}
		return len(out) < r.Limit, nil
	})
	err = errors.Join(err, show())
	slices.Reverse(out)
	return out, fresh, err
}

// found is a message in a scan.
type found struct {
	id    message.ID
	value []byte
}

// maxRun is of how many messages the index entries are read together.
const maxRun = 64

// fetch reads the index entries of a run, in the order of their keys and from
// two ends at once: they lie far apart.
func (t *txn) fetch(run []found) error {
	ids := make([]message.ID, len(run))
	for i, f := range run {
		ids[i] = f.id
	}
	slices.SortFunc(ids, func(a, b message.ID) int { return bytes.Compare(a[:], b[:]) })
	entries, errs := make([]*record.Index, len(ids)), [2]error{}
	clear(t.indexes)
	half := len(ids) / 2
	get := func(from, to int, err *error) {
		for i := from; i < to && *err == nil; i++ {
			entries[i], *err = t.index(ids[i])
		}
	}
	var other sync.WaitGroup
	other.Go(func() { get(half, len(ids), &errs[1]) })
	get(0, half, &errs[0])
	other.Wait()
	if t.indexes == nil {
		t.indexes = make(map[message.ID]*record.Index, len(ids))
	}
	for i, x := range entries {
		t.indexes[ids[i]] = x
	}
	return errors.Join(errs[:]...)
}

// view decodes one message and what changes about it.
func (t *txn) view(with identity.AccountID, b []byte) (*View, error) {
	rec, err := record.ParseMessage(b)
	if err != nil {
		return nil, fmt.Errorf("reading a message: %w", err)
	}
	m, err := parse(rec)
	if err != nil {
		return nil, err
	}
	v := &View{
		ID: m.ID(), With: with, From: rec.Account, Mine: rec.Mine,
		Sent: message.ClockTime(m.HLC), Received: time.UnixMilli(rec.Received).UTC(),
	}
	x, err := t.index(v.ID)
	if err != nil {
		return nil, err
	}
	if x == nil {
		return nil, fmt.Errorf("%w: a message without an index entry", storage.ErrCorrupt)
	}
	v.State, v.Waiting = x.State, x.Missing > 0
	v.Expires, v.Burn, v.BurnsAt = unixMilli(rec.Expires), time.Duration(rec.Burn)*time.Second, unixMilli(x.BurnsAt)
	return v, t.content(v, m, x)
}

// Message returns one message.
func (e *Engine) Message(id message.ID) (v *View, err error) {
	err = e.store.View(func(tx *storage.Tx) error {
		t := e.viewTxn(tx)
		rec, x, _, err := t.message(id)
		if err != nil {
			return err
		}
		if rec == nil || x == nil || isHidden(x) {
			return ErrUnknownMessage
		}
		m, err := parse(rec)
		if err != nil {
			return err
		}
		v, err = t.view(t.partner(m, rec), rec.Marshal())
		return err
	})
	return v, err
}

// partner is the other side of the direct conversation a message stands in.
func (t *txn) partner(m *message.Message, rec *record.Message) identity.AccountID {
	if !rec.Mine {
		return rec.Account
	}
	for a := range t.e.people.Load().contacts {
		if t.e.direct(a) == m.Conversation {
			return a
		}
	}
	return identity.AccountID{}
}

// State returns how far a message has come.
func (e *Engine) State(id message.ID) (state record.MessageState, err error) {
	err = e.store.View(func(tx *storage.Tx) error {
		x, err := e.viewTxn(tx).index(id)
		if err == nil && x == nil {
			err = ErrUnknownMessage
		}
		if err == nil {
			state = x.State
		}
		return err
	})
	return state, err
}

// markRead marks messages of the other side as shown.
// It returns when those that burn do.
func (t *txn) markRead(with identity.AccountID, ids []message.ID) (map[message.ID]time.Time, error) {
	burns := map[message.ID]time.Time{}
	chat, err := t.chat(with)
	if err != nil {
		return nil, err
	}
	if chat.Receipts && t.contact(with) != nil {
		if err := t.notify(with, message.NoticeRead, slices.Clone(ids)); err != nil {
			return nil, err
		}
	}
	conv, err := t.conversation(t.e.direct(with))
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		x, err := t.index(id)
		if err != nil {
			return nil, err
		}
		if x == nil || x.State == record.StateRead {
			continue
		}
		if err := t.setState(id, record.StateRead); err != nil {
			return nil, err
		}
		if x, err = t.index(id); err != nil {
			return nil, err
		}
		if err := t.seen(id, x, with); err != nil {
			return nil, err
		}
		if x.BurnsAt != 0 {
			burns[id] = unixMilli(x.BurnsAt).UTC()
			if err := t.put(record.IndexKey(id), x.Marshal()); err != nil {
				return nil, err
			}
		}
		conv.dirty = true
		conv.Unread -= min(conv.Unread, 1)
	}
	if conv.Unread == 0 {
		conv.FirstNew = nil
	}
	return burns, nil
}

// Unread is how many messages were not shown yet, in all conversations.
func (e *Engine) Unread() (n int, err error) {
	err = e.store.View(func(tx *storage.Tx) error {
		return tx.Scan(record.ConversationPrefix(), nil, false, func(_ storage.Key, v []byte) (bool, error) {
			c, err := record.ParseConversation(v)
			if err != nil {
				return false, fmt.Errorf("reading a conversation: %w", err)
			}
			n += int(c.Unread)
			return true, nil
		})
	})
	return n, err
}

// tombstones is how many of the newest messages of a deleted conversation stay
// known by their ids, so that what the other side writes next finds its place.
const tombstones = 32

// dropMessages deletes messages of a conversation, a bounded number a call.
func (t *txn) dropMessages(a identity.AccountID) (more bool, err error) {
	const chunk = 200
	id := t.e.direct(a)
	type entry struct {
		key, number storage.Key
		id          message.ID
	}
	var all []entry
	if err := t.Scan(record.MessagePrefix(t, id), nil, false, func(k storage.Key, v []byte) (bool, error) {
		rec, err := record.ParseMessage(v)
		if err != nil {
			return false, fmt.Errorf("reading a message: %w", err)
		}
		m, err := parse(rec)
		if err != nil {
			return false, err
		}
		all = append(all, entry{k, record.NumberKey(t, id, m.Author, m.Seq), m.ID()})
		return len(all) < chunk+tombstones, nil
	}); err != nil {
		return false, err
	}
	more = len(all) == chunk+tombstones
	for i, m := range all {
		if more && i >= chunk {
			break // they may be the newest
		}
		if err := errors.Join(t.del(m.key), t.dropHung(m.id)); err != nil {
			return false, err
		}
		if !more && i >= len(all)-tombstones {
			err = t.entomb(m.id)
		} else {
			err = errors.Join(t.del(record.IndexKey(m.id)), t.del(m.number))
		}
		if err != nil {
			return false, err
		}
	}
	if more {
		return true, nil
	}
	// The numbering goes on: a number used twice would look like a copied
	// device to the other side.
	conv, err := t.conversation(id)
	if err != nil {
		return false, err
	}
	if err := t.dropChat(a); err != nil {
		return false, err
	}
	conv.Unread, conv.FirstNew, conv.Waiting = 0, nil, 0
	conv.dirty, t.wrote = true, true
	t.ForgetConversation(t.Pseudonym("conversation", id[:]))
	return false, nil
}

// entomb leaves of a message's index entry that it was there.
func (t *txn) entomb(id message.ID) error {
	x, err := t.index(id)
	if err != nil || x == nil {
		return err
	}
	x.Key, x.Missing = nil, 0
	return t.put(record.IndexKey(id), x.Marshal())
}
