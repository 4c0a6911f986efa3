package engine

import (
	"fmt"
	"slices"

	"rushlight/protocol/envelope"
	"rushlight/protocol/history"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/ratchet"
	"rushlight/storage"
	"rushlight/storage/record"
)

// objects are records as the steps of a transaction work on them: read once, and
// saved by flush. One transaction hands them on to the next, which finds most of
// what it needs: messages come after each other in one conversation.
type objects struct {
	sessions map[sessionID]*session
	peers    map[identity.AccountID][]*session // all sessions with an account
	chains   map[identity.AccountID]*chain
	windows  map[identity.DeviceID]*window
	convs    map[message.ConversationID]*conversation
	names    map[name][16]byte // pseudonyms
}

func newObjects() objects {
	return objects{
		sessions: map[sessionID]*session{},
		peers:    map[identity.AccountID][]*session{},
		chains:   map[identity.AccountID]*chain{},
		windows:  map[identity.DeviceID]*window{},
		convs:    map[message.ConversationID]*conversation{},
		names:    map[name][16]byte{},
	}
}

// maxObjects is how many of a kind are handed on.
const maxObjects = 32

// takeObjects returns what the transaction before has handed on. It belongs to
// who has the turn, and gives it once: when the transaction fails, the next one
// reads from the store what this one has changed.
func (e *Engine) takeObjects() objects {
	o := e.objects
	e.objects = objects{}
	if o.sessions == nil {
		return newObjects()
	}
	return o
}

// handOn gives the objects of a transaction that was committed to the next one,
// unless a step has failed, records of theirs were written past them or keys were
// destroyed: then what the store has may be something else, or nothing.
func (t *txn) handOn() {
	if t.stale || t.Forgets() ||
		max(len(t.sessions), len(t.peers), len(t.chains), len(t.windows), len(t.convs)) > maxObjects {
		return
	}
	if len(t.names) > 8*maxObjects {
		clear(t.names)
	}
	t.e.objects = t.objects
}

// handled tells whether records of this kind are objects.
func handled(k storage.Key) bool {
	switch k[0] {
	case record.FamilySession, record.FamilyChain, record.FamilyWindow, record.FamilyConversation:
		return true
	}
	return false
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

type conversation struct {
	record.Conversation
	history *history.State
	dirty   bool
}

// Pseudonym is that of the store, worked out once.
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
