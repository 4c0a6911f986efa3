package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"rushlight/node/delivery/parcel"
	"rushlight/protocol/envelope"
	"rushlight/protocol/handshake"
	"rushlight/protocol/identity"
	"rushlight/protocol/ratchet"
	"rushlight/protocol/suite"
	"rushlight/storage"
	"rushlight/storage/record"
)

const (
	labelChain    suite.Label = "rushlight/engine/chain/1"
	labelReceipts suite.Label = "rushlight/engine/receipts/1"
	labelPresence suite.Label = "rushlight/engine/presence/1"
)

// sessionsWith loads every session with an account, once a transaction.
func (t *txn) sessionsWith(a identity.AccountID) ([]*session, error) {
	if l, ok := t.peers[a]; ok {
		return l, nil
	}
	c, err := t.chain(a)
	if err != nil {
		return nil, err
	}
	var out []*session
	for _, ref := range c.Sessions {
		s, err := t.loadSession(a, ref)
		if err != nil {
			return nil, err
		}
		if s != nil {
			out = append(out, s)
		}
	}
	for _, s := range out {
		t.sessions[sessionID{s.Device, s.ID}] = s
	}
	t.peers[a] = out
	return out, nil
}

// loadSession loads one session; nil when there is none.
func (t *txn) loadSession(a identity.AccountID, ref record.SessionRef) (*session, error) {
	b, err := t.get(record.SessionKey(t, a, ref.Device, ref.Session))
	if err != nil || b == nil {
		return nil, err
	}
	rec, err := record.ParseSession(b)
	if err != nil {
		return nil, fmt.Errorf("reading a session: %w", err)
	}
	s := &session{Session: *rec}
	s.ratchet, err = ratchet.Load(rec.State, ref.Floor)
	if errors.Is(err, ratchet.ErrRolledBack) {
		s.Dead, s.ratchet = true, nil // its keys may have been used
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("loading a session: %w", err)
	}
	return s, nil
}

// current is the session that messages to an account go out in, which both
// sides agree on however the sessions came about (spec §5.7). Nil when there
// is none.
func (t *txn) current(a identity.AccountID) (*session, error) {
	all, err := t.sessionsWith(a)
	if err != nil {
		return nil, err
	}
	var best *session
	for _, s := range all {
		if !s.Dead && (best == nil || s.rank().Compare(best.rank()) < 0) {
			best = s
		}
	}
	return best, nil
}

func (s *session) rank() handshake.Rank { return handshake.Rank{Generation: s.Generation, ID: s.ID} }

// generation is the highest generation of all sessions with an account, 0 when
// there is none.
func (t *txn) generation(a identity.AccountID) (g uint32, err error) {
	all, err := t.sessionsWith(a)
	for _, s := range all {
		g = max(g, s.Generation)
	}
	return g, err
}

// touch marks a session as changed by this step.
func (t *txn) touch(s *session) {
	if !s.dirty {
		t.touched++
	}
	s.dirty, t.wrote = true, true
}

// addSession starts to use a session that a handshake made: delivery chains in
// both directions come from it, so that a new session never depends on an
// older one.
func (t *txn) addSession(a identity.AccountID, peer identity.DeviceID, generation uint32, r *ratchet.Session) (*session, error) {
	all, err := t.sessionsWith(a)
	if err != nil {
		return nil, err
	}
	s := &session{ratchet: r, Session: record.Session{
		Account: a, Device: peer, ID: r.ID(), Generation: generation, Created: t.now.Unix(),
	}}
	t.touch(s)
	t.e.compared[s.ID] = true // nothing is older than a session made now
	t.sessions[sessionID{peer, s.ID}] = s
	t.peers[a] = append(all, s)

	own := t.e.self.id
	receipts := r.Export(labelReceipts)
	c, err := t.chain(a)
	if err != nil {
		return nil, err
	}
	// One that came late doesn't take the place of the one that is sent on.
	if best, err := t.current(a); err != nil {
		return nil, err
	} else if c.chain == nil || best == s {
		c.chain, c.Session, c.Receipts = envelope.NewChain(chainSeed(r, own), own), s.ID, receipts
	}
	c.dirty = true

	w, err := t.window(peer)
	if err != nil {
		return nil, err
	}
	if w == nil {
		w = &window{Window: record.Window{Account: a, Device: peer}}
		t.windows[peer] = w
	}
	fresh := envelope.NewWindow(chainSeed(r, peer), peer)
	w.chains = slices.Insert(w.chains, 0, fresh)
	w.Chains = slices.Insert(w.Chains, 0, record.WindowChain{
		Session: s.ID, Receipts: receipts, Behind: envelope.NewChain(chainSeed(r, peer), peer).Marshal(),
	})
	if len(w.chains) > record.MaxSessions {
		w.chains, w.Chains = w.chains[:record.MaxSessions], w.Chains[:record.MaxSessions]
	}
	w.dirty = true
	t.e.tags.addWindow(peer, s.ID, fresh)
	return s, nil
}

// chainSeed derives the seed of a device's delivery chain from a session.
func chainSeed(r *ratchet.Session, dev identity.DeviceID) [32]byte {
	root := r.Export(labelChain)
	return suite.MAC(root[:], labelChain, dev[:])
}

// presence is the secret two contacts announce themselves with on a local
// network.
func presence(r *ratchet.Session) [32]byte { return r.Export(labelPresence) }

// settle notes which sessions with an account lost to the current one, and
// drops those that lost so long ago that nothing comes in them any more.
func (t *txn) settle(a identity.AccountID) error {
	best, err := t.current(a)
	if err != nil {
		return err
	}
	kept := t.peers[a][:0:0]
	// Of too many the oldest go: what comes late may be of a low rank.
	newest := slices.SortedFunc(slices.Values(t.peers[a]), func(x, y *session) int {
		return cmp.Or(cmp.Compare(y.Created, x.Created), x.rank().Compare(y.rank()))
	})
	for i, s := range newest {
		switch {
		case s == best:
			if s.Lost != 0 {
				s.Lost = 0
				t.touch(s)
			}
		case s.Lost == 0:
			s.Lost = t.now.Unix()
			t.touch(s)
		}
		if s != best && (i >= record.MaxSessions || !handshake.Receives(time.Unix(s.Lost, 0), t.now)) {
			delete(t.sessions, sessionID{s.Device, s.ID})
			c, err := t.chain(a)
			if err != nil {
				return err
			}
			c.forget(s.ID)
			if err := t.del(record.SessionKey(t, s.Account, s.Device, s.ID)); err != nil {
				return err
			}
			continue
		}
		kept = append(kept, s)
	}
	t.peers[a] = kept
	return nil
}

// Counters lists the sessions with a device in which this side may send.
func (e *Engine) Counters(d identity.DeviceID) []parcel.Counter {
	var out []parcel.Counter
	a, ok := e.people.Load().devices[d]
	if !ok {
		return nil
	}
	err := e.store.View(func(tx *storage.Tx) error {
		t := e.viewTxn(tx)
		all, err := t.sessionsWith(a)
		if err != nil {
			return err
		}
		for _, s := range all {
			if s.Device == d && !s.Dead {
				out = append(out, parcel.Counter{Session: s.ID, Sent: s.ratchet.Sent(), Seen: s.ratchet.SeenFromPeer()})
			}
		}
		return nil
	})
	if err != nil {
		e.log.Error("reading session counters", "err", err)
		return nil
	}
	return out
}

// handshakeKeys makes the two ends of a ratchet out of a handshake.
func initiatorSession(k handshake.Keys) (*ratchet.Session, error) {
	return ratchet.NewInitiator(ratchet.Keys{Root: k.Root, Transcript: k.Transcript}, k.PeerRatchet)
}

func responderSession(k handshake.Keys) *ratchet.Session {
	return ratchet.NewResponder(ratchet.Keys{Root: k.Root, Transcript: k.Transcript}, k.Ratchet)
}
