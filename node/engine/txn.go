package engine

import (
	"errors"
	"fmt"
	"time"

	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

// txn is one transaction of the loop: the store's transaction and the objects
// that its steps loaded. The objects are saved by flush and die with it.
type txn struct {
	*storage.Tx
	e     *Engine
	now   time.Time
	wrote bool          // the present step has changed something
	aged  time.Duration // how long ago at least the envelope came to a relay that is being taken

	objects
	touched  int  // how many sessions flush will save
	stale    bool // objects may not be what the store has
	mailing  map[identity.AccountID]*mailing
	contacts map[identity.AccountID]*Contact // changed in this transaction
	known    map[identity.DeviceID][]identity.Hint
	ownNow   []record.Relay // changed in this transaction

	indexes   map[message.ID]*record.Index // read ahead by a View
	nextEvent uint64
	events    []Event
	queued    int64
	left      []outboxEntry // what left the outbox
	due       time.Time     // when the first of its messages ends; zero is never
	fresh     map[identity.AccountID]*freshBatch
	wake      map[identity.AccountID]struct{}
	after     []func()
}

type mailing struct {
	*record.Places
	dirty bool
}

// reset empties t, but for objects, for a transaction of the store.
func (t *txn) reset(tx *storage.Tx, o objects) {
	*t = txn{
		Tx: tx, e: t.e, now: tx.Now(), objects: o,
		mailing:  map[identity.AccountID]*mailing{},
		contacts: map[identity.AccountID]*Contact{},
		known:    map[identity.DeviceID][]identity.Hint{},
		wake:     map[identity.AccountID]struct{}{},
	}
}

// resume takes over what the loop counts. Only the loop may call it.
func (t *txn) resume() { t.nextEvent = t.e.nextEvent }

// light reports whether the next transaction can be made before this one is
// published: it changed nothing that steps find outside the store.
func (t *txn) light() bool { return len(t.contacts)+len(t.known)+len(t.after) == 0 }

// outboxEntry names one entry.
type outboxEntry struct {
	account identity.AccountID
	seq     uint64
}

// begin starts a step.
func (t *txn) begin() { t.wrote, t.aged = false, 0 }

// put writes one record.
func (t *txn) put(k storage.Key, v []byte) error {
	t.changes(k)
	return t.Put(k, v)
}

func (t *txn) putExpiring(k storage.Key, v []byte, life time.Duration) error {
	t.changes(k)
	return t.PutExpiring(k, v, t.now.Add(life))
}

// putEnding writes what is shown for so long and then deleted by this engine.
func (t *txn) putEnding(k storage.Key, v []byte, life time.Duration) error {
	t.changes(k)
	return t.PutEnding(k, v, t.now.Add(life))
}

func (t *txn) del(k storage.Key) error {
	t.changes(k)
	return t.Delete(k)
}

// changes notes that a record is written past the objects.
func (t *txn) changes(k storage.Key) {
	t.wrote = true
	t.stale = t.stale || handled(k)
}

// get reads one record; a missing one is nil.
func (t *txn) get(k storage.Key) ([]byte, error) {
	b, err := t.Get(k)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	return b, err
}

// flush saves every object that a step changed.
func (t *txn) flush() error {
	if err := t.noteDoubt(); err != nil {
		return err
	}
	for _, s := range t.sessions {
		if !s.dirty {
			continue
		}
		if s.ratchet != nil {
			s.State = s.ratchet.Marshal()
		}
		if err := t.Put(record.SessionKey(t, s.Account, s.Device, s.ID), s.Marshal()); err != nil {
			return err
		}
		s.dirty = false
		c, err := t.chain(s.Account)
		if err != nil {
			return err
		}
		if s.ratchet != nil {
			c.raise(s.Device, s.ID, s.ratchet.Version())
		}
	}
	for a, c := range t.chains {
		if c.advance {
			if err := t.advance(a, c); err != nil {
				return err
			}
		}
		if !c.dirty {
			continue
		}
		if c.chain != nil {
			c.State = c.chain.Marshal()
		}
		if err := t.Put(record.ChainKey(t, a), c.Marshal()); err != nil {
			return err
		}
		c.dirty = false
	}
	for d, w := range t.windows {
		if !w.dirty {
			continue
		}
		for i, c := range w.chains {
			w.Chains[i].State = c.Marshal()
		}
		if err := t.Put(record.WindowKey(t, d), w.Marshal()); err != nil {
			return err
		}
		w.dirty = false
	}
	for _, p := range t.mailing {
		if !p.dirty {
			continue
		}
		if err := p.Save(t, t.put, t.del); err != nil {
			return fmt.Errorf("saving a contact's relays: %w", err)
		}
	}
	for id, c := range t.convs {
		if !c.dirty {
			continue
		}
		c.History = c.history.Marshal()
		if err := t.Put(record.ConversationKey(t, id), c.Marshal()); err != nil {
			return err
		}
		c.dirty = false
	}
	return nil
}

// publish makes a committed transaction visible to the rest of the process.
func (t *txn) publish() {
	e := t.e
	if len(t.contacts) > 0 || len(t.known) > 0 {
		e.people.Store(e.people.Load().with(t.contacts, t.known))
	}
	e.queued.Add(t.queued)
	if len(t.events) > 0 {
		e.events.advance(t.events)
	}
	for a, b := range t.fresh {
		e.fresh.add(a, b)
	}
	for _, o := range t.left {
		e.fresh.drop(o.account, o.seq)
	}
	if !t.due.IsZero() {
		e.life.sooner(t.due)
	}
	if c := e.courier.Load(); c != nil {
		for a := range t.wake {
			(*c).Wake(a)
		}
	}
	for _, f := range t.after {
		f()
	}
	if t.Forgets() {
		select {
		case e.erased <- struct{}{}:
		default:
		}
	}
}

// contact returns a contact as this transaction sees it, or nil.
func (t *txn) contact(a identity.AccountID) *Contact {
	if c, ok := t.contacts[a]; ok {
		return c
	}
	return t.e.people.Load().contacts[a]
}

// putContact saves a contact and announces what a person can see of the change.
func (t *txn) putContact(rec *record.Contact) error {
	if rec.State != record.ContactPending {
		rec.Greeting = "" // it was for whoever decides
	}
	c, err := newContact(rec)
	if err != nil {
		return err
	}
	if err := t.put(record.ContactKey(t, rec.Account), rec.Marshal()); err != nil {
		return err
	}
	before := t.contact(rec.Account)
	t.contacts[rec.Account] = c
	if before != nil && before.looksLike(c) {
		return nil
	}
	return t.event(record.Event{Type: record.EventContact, Account: rec.Account})
}
