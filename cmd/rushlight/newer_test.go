package main

import (
	"bytes"
	"errors"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/keyfile"
	"rushlight/storage/record"
)

// newer DIR ACCOUNT TEXT makes of a message for an account that hasn't left the
// profile yet, whose daemon is stopped, one of a kind that only a newer version
// knows.
func newer(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	root, err := keyfile.Open(keyDir(dir), []byte("correct horse"))
	ts.Check(err)
	s, err := storage.Open(storage.Options{Dir: storeDir(dir), Root: root})
	ts.Check(err)
	defer func() { ts.Check(s.Close()) }()
	ts.Check(s.Update(func(tx *storage.Tx) error {
		var key storage.Key
		var rec *record.Message
		if err := tx.Scan(record.MessageFamily(), nil, false, func(k storage.Key, v []byte) (bool, error) {
			r, err := record.ParseMessage(v)
			if err == nil && bytes.Contains(r.Content, []byte(args[2])) {
				key, rec = k, r
			}
			return true, err
		}); err != nil {
			return err
		}
		if rec == nil {
			return errors.New("no such message")
		}
		old, err := message.Parse(rec.Content)
		if err != nil {
			return err
		}
		m := *old
		m.Type = 900
		if rec.Content, err = m.Marshal(); err != nil {
			return err
		}
		return rename(tx, key, old, &m, rec)
	}))
}

// rename puts a message in another's place.
func rename(tx *storage.Tx, key storage.Key, old, m *message.Message, rec *record.Message) error {
	leaf, _, err := tx.LeafOf(key)
	if err != nil {
		return err
	}
	b, err := tx.Get(record.IndexKey(old.ID()))
	if err != nil {
		return err
	}
	x, err := record.ParseIndex(b)
	if err != nil {
		return err
	}
	x.Key = record.MessageKey(tx, m.Conversation, x.Order, m.ID())
	n := &record.Number{ID: m.ID(), Prev: m.Prev}
	if err := errors.Join(
		tx.Delete(key), tx.PutUnder(x.Key, rec.Marshal(), time.Time{}, leaf),
		tx.Delete(record.IndexKey(old.ID())), tx.Put(record.IndexKey(m.ID()), x.Marshal()),
		tx.Put(record.NumberKey(tx, m.Conversation, m.Author, m.Seq), n.Marshal()),
	); err != nil {
		return err
	}
	// The outbox, the conversation and the events name it.
	for _, family := range []byte{record.FamilyOutbox, record.FamilyConversation, record.FamilyEvent} {
		type entry struct{ k, v []byte }
		var all []entry
		if err := tx.Scan(storage.Key{family}, nil, false, func(k storage.Key, v []byte) (bool, error) {
			all = append(all, entry{k, v})
			return true, nil
		}); err != nil {
			return err
		}
		before, after := old.Hash(), m.Hash()
		was, is := old.ID(), m.ID()
		for _, e := range all {
			v := bytes.ReplaceAll(bytes.ReplaceAll(e.v, before[:], after[:]), was[:], is[:])
			if bytes.Equal(v, e.v) {
				continue
			}
			l, under, err := tx.LeafOf(e.k)
			if err != nil {
				return err
			}
			if under {
				err = tx.PutUnder(e.k, v, time.Time{}, l)
			} else {
				err = tx.Put(e.k, v)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
