// Package backup writes what a person would miss into one encrypted file, and
// makes a profile of it on a new device.
//
// It is not a copy of the store: keys of sessions, of invites and of the wheel,
// what waits to be sent, and addresses stay behind, so a backup can't be used to
// read or send as the old device, and who restores it is a new device of the
// account. Messages with a timer are left out unless asked for; their ids are
// there, because later messages name them. It promises that a file that was
// altered or cut short is refused before anything is written.
package backup

import (
	"errors"
	"fmt"
	"io"

	"rushlight/protocol/history"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

// Write writes a backup of a store, encrypted under the key in slot; expiring
// says whether messages with a timer are in it. It sees the store as it is when
// it begins.
func Write(w io.Writer, slot []byte, key [32]byte, store *storage.Store, expiring bool) (s Summary, err error) {
	out, err := newWriter(w, slot, key)
	if err != nil {
		return s, fmt.Errorf("backup: writing: %w", err)
	}
	err = store.View(func(tx *storage.Tx) error {
		x := &export{tx: tx, w: out, expiring: expiring}
		err := x.all()
		s = x.sum
		return err
	})
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return Summary{}, fmt.Errorf("backup: writing: %w", err)
	}
	return s, nil
}

type export struct {
	tx       *storage.Tx
	w        io.Writer
	expiring bool
	sum      Summary
}

func (x *export) all() error {
	raw, err := x.tx.Get(record.SelfKey())
	if err != nil {
		return err
	}
	self, err := record.ParseSelf(raw)
	if err != nil {
		return err
	}
	m := &me{accountKey: self.AccountKey, name: self.Name}
	if m.manifest, err = identity.ParseManifest(self.Manifest); err != nil {
		return err
	}
	if err := writeItem(x.w, itemSelf, m.marshal()); err != nil {
		return err
	}
	err = x.tx.Scan(record.ContactPrefix(), nil, false, func(_ storage.Key, v []byte) (bool, error) {
		c, err := record.ParseContact(v)
		if err == nil {
			err = x.contact(m.manifest.ID(), c)
		}
		return true, err
	})
	if err != nil {
		return err
	}
	return writeItem(x.w, itemEnd, x.sum.marshal())
}

func (x *export) contact(own identity.AccountID, c *record.Contact) error {
	c.Presence = [32]byte{} // it comes with a new session
	if err := writeItem(x.w, itemContact, c.Marshal()); err != nil {
		return err
	}
	x.sum.Contacts++
	conv := message.DirectConversation(own, c.Account)
	raw, err := x.tx.Get(record.ConversationKey(x.tx, conv))
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	rec, err := record.ParseConversation(raw)
	if err != nil {
		return err
	}
	p := &past{history: rec.History, skip: rec.Skip, waiting: rec.Waiting}
	if err := writeItem(x.w, itemHistory, p.marshal()); err != nil {
		return err
	}
	if err := x.messages(conv); err != nil {
		return err
	}
	if err := x.graves(conv); err != nil {
		return err
	}
	h, err := history.ParseState(rec.History)
	if err != nil {
		return err
	}
	return x.numbers(conv, h)
}

func (x *export) messages(conv message.ConversationID) error {
	return x.tx.Scan(record.MessagePrefix(x.tx, conv), nil, false, func(k storage.Key, v []byte) (bool, error) {
		rec, err := record.ParseMessage(v)
		if err != nil {
			return false, err
		}
		id := message.ID(k[len(k)-16:])
		ix, err := x.index(id)
		if err != nil || ix == nil {
			return true, err
		}
		if (rec.Expires != 0 || rec.Burn != 0) && (!x.expiring || ix.BurnsAt != 0) {
			t := &tomb{id: id, order: ix.Order, state: settled(ix.State), mine: ix.Mine}
			return true, writeItem(x.w, itemTomb, t.marshal())
		}
		s := &said{order: ix.Order, state: settled(ix.State), changed: ix.Changed, missing: ix.Missing, rec: rec}
		if err := writeItem(x.w, itemMessage, s.marshal()); err != nil {
			return false, err
		}
		x.sum.Messages++
		return true, x.waits(id)
	})
}

// settled is the state of a message whose delivery nobody goes on with.
func settled(s record.MessageState) record.MessageState {
	if s == record.StateQueued {
		return record.StateFailed
	}
	return s
}

func (x *export) index(id message.ID) (*record.Index, error) {
	raw, err := x.tx.Get(record.IndexKey(id))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return record.ParseIndex(raw)
}

// waits writes which messages wait for one that is there.
func (x *export) waits(parent message.ID) error {
	return x.tx.ScanKeys(record.WaitingPrefix(parent), nil, false, func(k storage.Key) (bool, error) {
		return true, writeItem(x.w, itemWait, k[1:])
	})
}

func (x *export) graves(conv message.ConversationID) error {
	return x.tx.Scan(record.GravePrefix(x.tx, conv), nil, false, func(_ storage.Key, v []byte) (bool, error) {
		if len(v) != 16 {
			return true, nil
		}
		ix, err := x.index(message.ID(v))
		if err != nil || ix == nil || len(ix.Key) != 0 {
			return true, err
		}
		t := &tomb{id: message.ID(v), order: ix.Order, state: settled(ix.State), mine: ix.Mine}
		return true, writeItem(x.w, itemTomb, t.marshal())
	})
}

func (x *export) numbers(conv message.ConversationID, h *history.State) error {
	for _, l := range h.Logs() {
		for _, r := range l.Held.Ranges() {
			for seq := r.First; seq <= r.Last; seq++ {
				raw, err := x.tx.Get(record.NumberKey(x.tx, conv, l.Author, seq))
				if errors.Is(err, storage.ErrNotFound) {
					continue
				}
				if err != nil {
					return err
				}
				n := &number{device: l.Author, seq: seq}
				if n.rec, err = record.ParseNumber(raw); err != nil {
					return err
				}
				if err := writeItem(x.w, itemNumber, n.marshal()); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
