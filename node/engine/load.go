package engine

import (
	"fmt"

	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

// load fills what the engine keeps in memory.
func (e *Engine) load(tx *storage.Tx) (err error) {
	if err := e.life.load(tx, e.store.Away()); err != nil {
		return err
	}
	if e.self, err = loadSelf(tx); err != nil {
		return err
	}
	d := newDirectory()
	contacts := map[identity.AccountID]*Contact{}
	if err := tx.Scan(record.ContactPrefix(), nil, false, func(_ storage.Key, v []byte) (bool, error) {
		rec, err := record.ParseContact(v)
		if err != nil {
			return false, fmt.Errorf("reading a contact: %w", err)
		}
		contacts[rec.Account], err = newContact(rec)
		return true, err
	}); err != nil {
		return err
	}
	peers := map[identity.DeviceID][]identity.Hint{}
	if err := tx.Scan(record.PeerPrefix(), nil, false, func(_ storage.Key, v []byte) (bool, error) {
		p, err := record.ParsePeer(v)
		if err != nil {
			return false, fmt.Errorf("reading remembered addresses: %w", err)
		}
		peers[p.Device] = p.Addresses
		return true, nil
	}); err != nil {
		return err
	}
	e.people.Store(d.with(contacts, peers))
	if err := e.loadAwaiting(tx); err != nil {
		return err
	}
	if err := e.loadTags(tx); err != nil {
		return err
	}
	if err := e.loadOpeners(tx); err != nil {
		return err
	}
	return e.loadCounters(tx)
}

// loadCounters finds the next event number and the size of the outbox.
func (e *Engine) loadCounters(tx *storage.Tx) error {
	e.nextEvent = 1
	if err := tx.ScanKeys(record.EventPrefix(), nil, true, func(k storage.Key) (bool, error) {
		e.nextEvent = record.EventSeq(k) + 1
		return false, nil
	}); err != nil {
		return err
	}
	b, err := tx.Get(record.CounterKey())
	if err == nil {
		c, err := record.ParseCounter(b)
		if err != nil {
			return fmt.Errorf("reading the counters: %w", err)
		}
		e.nextEvent = max(e.nextEvent, c.NextEvent)
	}
	e.events.last = e.nextEvent - 1
	n := int64(0)
	t := e.viewTxn(tx)
	for a := range e.people.Load().contacts {
		c, err := t.chain(a)
		if err != nil {
			return err
		}
		if err := tx.ScanHeld(record.OutboxPrefix(tx, a), record.OutboxKey(tx, a, c.Pending), false, func(storage.Key) (bool, error) {
			n++
			return true, nil
		}); err != nil {
			return err
		}
	}
	e.queued.Store(n)
	return nil
}

// direct is the conversation with one account.
func (e *Engine) direct(a identity.AccountID) message.ConversationID {
	return message.DirectConversation(e.self.account, a)
}
