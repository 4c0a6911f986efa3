package engine

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"rushlight/protocol/envelope"
	"rushlight/protocol/history"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/ratchet"
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

	sessions map[sessionID]*session
	peers    map[identity.AccountID][]*session // all sessions with an account
	chains   map[identity.AccountID]*chain
	windows  map[identity.DeviceID]*window
	convs    map[message.ConversationID]*conversation
	mailing  map[identity.AccountID]*mailing
	contacts map[identity.AccountID]*Contact // changed in this transaction
	known    map[identity.DeviceID][]identity.Hint
	ownNow   []record.Relay // changed in this transaction

	indexes   map[message.ID]*record.Index // read ahead by a View
	names     map[name][16]byte
	nextEvent uint64
	events    []Event
	queued    int64
	left      []outboxEntry // what left the outbox
	due       time.Time     // when the first of its messages ends; zero is never
	fresh     map[identity.AccountID]*freshBatch
	wake      map[identity.AccountID]struct{}
	after     []func()
}

// name is an id that stands in keys as a pseudonym.
type name struct {
	label string
	id    [32]byte
}

type sessionID struct {
	device identity.DeviceID
	id     [16]byte
}

type session struct {
	record.Session
	ratchet *ratchet.Session
	dirty   bool
}

type chain struct {
	record.Chain
	chain   *envelope.Chain
	dirty   bool
	advance bool // the first entry has left: Pending may be moved on
}

type window struct {
	record.Window
	chains []*envelope.Window
	dirty  bool
}

type mailing struct {
	*record.Places
	dirty bool
}

type conversation struct {
	record.Conversation
	history *history.State
	dirty   bool
}

// reset empties t for a transaction of the store.
func (t *txn) reset(tx *storage.Tx) {
	*t = txn{
		Tx: tx, e: t.e, now: tx.Now(),
		sessions: map[sessionID]*session{},
		peers:    map[identity.AccountID][]*session{},
		chains:   map[identity.AccountID]*chain{},
		windows:  map[identity.DeviceID]*window{},
		convs:    map[message.ConversationID]*conversation{},
		mailing:  map[identity.AccountID]*mailing{},
		contacts: map[identity.AccountID]*Contact{},
		known:    map[identity.DeviceID][]identity.Hint{},
		wake:     map[identity.AccountID]struct{}{},
		names:    map[name][16]byte{},
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

// Pseudonym is that of the store, worked out once a transaction.
func (t *txn) Pseudonym(label string, id []byte) [16]byte {
	n := name{label: label}
	if copy(n.id[:], id) < len(id) {
		return t.Tx.Pseudonym(label, id)
	}
	p, ok := t.names[n]
	if !ok {
		p = t.Tx.Pseudonym(label, id)
		t.names[n] = p
	}
	return p
}

// begin starts a step.
func (t *txn) begin() { t.wrote, t.aged = false, 0 }

// put writes one record.
func (t *txn) put(k storage.Key, v []byte) error {
	t.wrote = true
	return t.Put(k, v)
}

func (t *txn) putExpiring(k storage.Key, v []byte, life time.Duration) error {
	t.wrote = true
	return t.PutExpiring(k, v, t.now.Add(life))
}

// putEnding writes what is shown for so long and then deleted by this engine.
func (t *txn) putEnding(k storage.Key, v []byte, life time.Duration) error {
	t.wrote = true
	return t.PutEnding(k, v, t.now.Add(life))
}

func (t *txn) del(k storage.Key) error {
	t.wrote = true
	return t.Delete(k)
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
		if err := t.put(record.SessionKey(t, s.Account, s.Device, s.ID), s.Marshal()); err != nil {
			return err
		}
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
		if err := t.put(record.ChainKey(t, a), c.Marshal()); err != nil {
			return err
		}
	}
	for d, w := range t.windows {
		if !w.dirty {
			continue
		}
		for i, c := range w.chains {
			w.Chains[i].State = c.Marshal()
		}
		if err := t.put(record.WindowKey(t, d), w.Marshal()); err != nil {
			return err
		}
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
		if err := t.put(record.ConversationKey(t, id), c.Marshal()); err != nil {
			return err
		}
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

func (t *txn) chain(a identity.AccountID) (*chain, error) {
	if c, ok := t.chains[a]; ok {
		return c, nil
	}
	c := &chain{}
	b, err := t.get(record.ChainKey(t, a))
	if err != nil {
		return nil, err
	}
	if b != nil {
		rec, err := record.ParseChain(b)
		if err != nil {
			return nil, fmt.Errorf("reading a delivery chain: %w", err)
		}
		c.Chain = *rec
		if len(rec.State) > 0 {
			if c.chain, err = envelope.ParseChain(rec.State); err != nil {
				return nil, err
			}
		}
	}
	t.chains[a] = c
	return c, nil
}

// raise records that a session must never be seen below a version again.
func (c *chain) raise(d identity.DeviceID, id [16]byte, version uint64) {
	c.dirty = true
	for i := range c.Sessions {
		if c.Sessions[i].Session == id {
			c.Sessions[i].Floor = version
			return
		}
	}
	c.Sessions = append(c.Sessions, record.SessionRef{Device: d, Session: id, Floor: version})
}

// forget takes a session off the list.
func (c *chain) forget(id [16]byte) {
	c.dirty = true
	c.Sessions = slices.DeleteFunc(c.Sessions, func(s record.SessionRef) bool { return s.Session == id })
}

func (t *txn) window(d identity.DeviceID) (*window, error) {
	if w, ok := t.windows[d]; ok {
		return w, nil
	}
	b, err := t.get(record.WindowKey(t, d))
	if err != nil || b == nil {
		return nil, err
	}
	rec, err := record.ParseWindow(b)
	if err != nil {
		return nil, fmt.Errorf("reading a delivery window: %w", err)
	}
	w := &window{Window: *rec}
	for _, c := range rec.Chains {
		x, err := envelope.ParseWindow(c.State)
		if err != nil {
			return nil, err
		}
		w.chains = append(w.chains, x)
	}
	t.windows[d] = w
	return w, nil
}

func (t *txn) conversation(id message.ConversationID) (*conversation, error) {
	if c, ok := t.convs[id]; ok {
		return c, nil
	}
	c := &conversation{}
	b, err := t.get(record.ConversationKey(t, id))
	if err != nil {
		return nil, err
	}
	if b == nil {
		c.history = history.NewState(id)
	} else {
		rec, err := record.ParseConversation(b)
		if err != nil {
			return nil, fmt.Errorf("reading a conversation: %w", err)
		}
		c.Conversation = *rec
		if c.history, err = history.ParseState(rec.History); err != nil {
			return nil, err
		}
	}
	t.convs[id] = c
	return c, nil
}
