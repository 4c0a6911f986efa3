package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"rushlight/node/delivery/parcel"
	"rushlight/protocol/handshake"
	"rushlight/protocol/identity"
	"rushlight/storage"
	"rushlight/storage/record"
)

// rekeyEvery is how often a new session with one contact is started at most,
// and nudgeEvery how often it is looked whether one is due.
const (
	rekeyEvery = 30 * time.Second
	nudgeEvery = 10 * time.Second
)

// Personal bundles: how many one contact may hold, and how long each lives.
const (
	prekeysEach = 3 + record.MaxSpares
	prekeyLife  = 7 * 24 * time.Hour
)

// rekeying remembers which contacts need a new session, and when one was last
// started.
type rekeying struct {
	mu     sync.Mutex
	wanted map[identity.AccountID]bool
	last   map[identity.AccountID]time.Time
}

// want asks for a new session, as soon as the last one is old enough.
func (k *rekeying) want(a identity.AccountID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.wanted == nil {
		k.wanted, k.last = map[identity.AccountID]bool{}, map[identity.AccountID]time.Time{}
	}
	k.wanted[a] = true
}

// wants reports whether a new session is due.
func (k *rekeying) wants(a identity.AccountID, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.wanted[a] && now.Sub(k.last[a]) >= rekeyEvery
}

// all lists whom a new session is wanted with.
func (k *rekeying) all() []identity.AccountID {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Collect(maps.Keys(k.wanted))
}

// started notes that a new session is there.
func (k *rekeying) started(a identity.AccountID, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.wanted != nil {
		delete(k.wanted, a)
		k.last[a] = now
	}
}

// WantsBundle reports whether the sessions with an account need new keys.
func (e *Engine) WantsBundle(a identity.AccountID) bool { return e.rekey.wants(a, e.store.Now()) }

// Waits reports whether there is anything to say to an account: something is
// pending, or waits to be sealed until the other side's counters were compared,
// or new keys are needed.
func (e *Engine) Waits(a identity.AccountID) (waits bool) {
	if c := e.Contact(a); c == nil || c.State == record.ContactBlocked {
		return false
	}
	if e.WantsBundle(a) {
		return true
	}
	err := e.store.View(func(tx *storage.Tx) error {
		c, err := e.viewTxn(tx).chain(a)
		if err != nil || len(c.Sessions) == 0 {
			return err
		}
		return tx.ScanKeys(record.OutboxPrefix(tx, a), record.OutboxKey(tx, a, c.Pending), false, func(storage.Key) (bool, error) {
			waits = true
			return false, nil
		})
	})
	if err != nil {
		e.log.Error("reading the outbox", "err", err)
	}
	return waits
}

// nudge tells the courier of new sessions that are due.
func (e *Engine) nudge() {
	c := e.courier.Load()
	for _, a := range e.rekey.all() {
		if c != nil && e.WantsBundle(a) {
			(*c).Wake(a)
		}
	}
}

// PersonalBundle makes a one-time bundle for a contact's device, which has
// proved itself on the stream that asks. Empty when it can't have one now.
func (e *Engine) PersonalBundle(ctx context.Context, d identity.DeviceID) (out []byte, err error) {
	err = e.do(ctx, 32<<10, func(t *txn) error {
		a, ok := t.e.people.Load().devices[d]
		if c := t.contact(a); !ok || c == nil || c.State != record.ContactApproved {
			return nil
		}
		if err := t.trimPrekeys(a); err != nil {
			return err
		}
		if n, err := t.openUses(); err != nil || n >= maxOpeners {
			return err
		}
		b, s, err := handshake.NewOneTimeBundle(e.self.device, e.self.manifest, t.now, prekeyLife)
		if err != nil {
			return err
		}
		hash := b.Hash()
		p := &record.Prekey{Account: a, Bundle: b.Marshal(), Secret: s.Marshal(), Made: t.now.Unix()}
		t.after = append(t.after, func() { e.addOpener(opener{key: handshake.OpenerFor(nil, hash), hash: hash}) })
		out = p.Bundle
		return t.put(record.PrekeyKey(hash), p.Marshal())
	})
	return out, err
}

// trimPrekeys forgets the oldest bundles of a contact that holds as many as it
// may.
func (t *txn) trimPrekeys(a identity.AccountID) error {
	var oldest storage.Key
	made, n := int64(0), 0
	g, err := t.given(a)
	if err != nil {
		return err
	}
	if err := t.Scan(record.PrekeyPrefix(), nil, false, func(k storage.Key, v []byte) (bool, error) {
		p, err := record.ParsePrekey(v)
		if err != nil {
			return false, fmt.Errorf("reading a prekey: %w", err)
		}
		if p.Account == a && !standing(p) {
			n++
			if !slices.Contains(g.Spares, [32]byte(k[1:])) && (oldest == nil || p.Made < made) {
				oldest, made = k, p.Made
			}
		}
		return true, nil
	}); err != nil || n < prekeysEach || oldest == nil {
		return err
	}
	t.dropOpener([32]byte(oldest[1:]))
	return t.del(oldest)
}

// dropPrekeysOf forgets all bundles that an account was given: with one of them
// it would be a contact again.
func (t *txn) dropPrekeysOf(a identity.AccountID) error {
	var all []storage.Key
	if err := t.Scan(record.PrekeyPrefix(), nil, false, func(k storage.Key, v []byte) (bool, error) {
		p, err := record.ParsePrekey(v)
		if err != nil {
			return false, fmt.Errorf("reading a prekey: %w", err)
		}
		if p.Account == a {
			all = append(all, k)
		}
		return true, nil
	}); err != nil {
		return err
	}
	for _, k := range all {
		t.dropOpener([32]byte(k[1:]))
		if err := t.del(k); err != nil {
			return err
		}
	}
	return nil
}

// dropOpener stops answering flights to a bundle once this transaction is
// through.
func (t *txn) dropOpener(hash [32]byte) {
	t.after = append(t.after, func() {
		maps.DeleteFunc(t.e.openers, func(_ [16]byte, o opener) bool { return o.hash == hash })
	})
}

// AcceptBundle starts a new session with a contact's device from the bundle it
// gave: what waits for it is sealed anew behind the first flight.
func (e *Engine) AcceptBundle(ctx context.Context, a identity.AccountID, d identity.DeviceID, raw []byte) error {
	b, err := handshake.ParseBundle(raw)
	if err != nil {
		return err
	}
	return e.do(ctx, 64<<10, func(t *txn) error {
		c := t.contact(a)
		if c == nil || c.State == record.ContactBlocked || b.Device != d || b.Account != a {
			return ErrRefused
		}
		if !e.rekey.wants(a, e.store.Now()) {
			return nil
		}
		card, err := identity.ParseCard(c.Card)
		if err != nil {
			return fmt.Errorf("reading a contact's card: %w", err)
		}
		g, err := t.generation(a)
		if err != nil {
			return err
		}
		f, keys, err := handshake.Renew(t.now, e.self.device, e.self.manifest, b, card.Manifest, handshake.NextGeneration(g))
		if err != nil {
			return err
		}
		r, err := initiatorSession(keys)
		if err != nil {
			return err
		}
		t.after = append(t.after, func() { e.rekey.started(a, t.now) })
		return t.launch(a, b, f, r, handshake.OpenerFor(nil, b.Hash()), "")
	})
}

// PeerCounters compares what the other side of a stream counted in its
// sessions with this device, before anything new is sealed in them in this run.
// Who has seen more than this device remembers to have sent proves that this
// device was put back to an older state: what it would send next might use keys
// and numbers again, so nothing more is sent in that session. Nor in one that
// the other side no longer has, or hasn't got and will not get since its first
// flight was given up. A new session takes their place.
func (e *Engine) PeerCounters(ctx context.Context, d identity.DeviceID, counters []parcel.Counter) error {
	a, ok := e.people.Load().devices[d]
	if !ok {
		return nil
	}
	theirs := map[[16]byte]parcel.Counter{}
	for _, c := range counters {
		theirs[c.Session] = c
	}
	return e.do(ctx, refileChunk*8192, func(t *txn) error { return t.compare(a, d, theirs) })
}

func (t *txn) compare(a identity.AccountID, d identity.DeviceID, theirs map[[16]byte]parcel.Counter) error {
	all, err := t.sessionsWith(a)
	if err != nil {
		return err
	}
	older := uint64(0) // how much the other side has seen that is not remembered here
	for _, s := range all {
		if s.Device != d || s.Dead || s.ratchet == nil {
			continue
		}
		their, has := theirs[s.ID]
		switch {
		case has && their.Seen > s.ratchet.Sent():
			older += their.Seen - s.ratchet.Sent()
		case has:
			t.e.compared[s.ID] = true
		default:
			flies, err := t.flies(a, s)
			if err != nil {
				return err
			}
			if !flies {
				s.Dead = true
				t.touch(s)
			}
		}
	}
	if older > 0 {
		t.e.log.Warn("this profile is older than it was; starting a new session with a contact")
		if err := t.disown(a, older); err != nil {
			return err
		}
		t.e.gaps.wholly(a, t.now)
	}
	best, err := t.current(a)
	if err != nil {
		return err
	}
	if len(all) > 0 && best == nil {
		t.after = append(t.after, func() { t.e.rekey.want(a) })
		t.wake[a] = struct{}{}
		return nil
	}
	return t.refile(a, nil)
}

// flies reports whether the first flight of a session still waits for an answer.
func (t *txn) flies(a identity.AccountID, s *session) (flies bool, err error) {
	if s.Proved {
		return false, nil
	}
	c, err := t.chain(a)
	if err != nil {
		return false, err
	}
	err = t.Scan(record.OutboxPrefix(t, a), record.OutboxKey(t, a, c.Pending), false, func(_ storage.Key, v []byte) (bool, error) {
		o, err := record.ParseOutbox(v)
		if err != nil {
			return false, fmt.Errorf("reading the outbox: %w", err)
		}
		flies = o.Kind == record.OutboxFirst && o.Session == s.ID
		return !flies, nil
	})
	return flies, err
}

// disown gives up all sessions with an account after one was found to be older
// than it was: the delivery chain, whose numbers would be used twice, may come
// from any of them.
func (t *txn) disown(a identity.AccountID, used uint64) error {
	all, err := t.sessionsWith(a)
	if err != nil {
		return err
	}
	for _, s := range all {
		s.Dead = true
		t.touch(s)
	}
	return t.skipNumbers(a, used)
}

// skipMargin is how many numbers are left out beyond those that are known to
// have been used in a life that this profile does not remember.
const skipMargin = 1000

// skipNumbers makes this device's next message in a conversation leave out
// numbers that it may have used.
func (t *txn) skipNumbers(a identity.AccountID, used uint64) error {
	conv, err := t.conversation(t.e.direct(a))
	if err != nil {
		return err
	}
	conv.Skip += used + skipMargin
	conv.dirty, t.wrote = true, true
	return nil
}

// housekeeping drops what time has made useless: invites and bundles that are
// over, and sessions that lost to another long ago.
func (e *Engine) housekeeping() []*step {
	steps := []*step{e.chore(64<<10, func(t *txn) error {
		return errors.Join(t.dropInvites(), t.dropPrekeys(), t.keepCounter())
	})}
	for a := range e.people.Load().contacts {
		steps = append(steps, e.chore(128<<10, func(t *txn) error {
			return errors.Join(t.settle(a), t.provision(a, false), t.findGap(a), t.endDraft(a))
		}))
	}
	return steps
}

// keepCounter saves the number of the next event, long before the events that
// it follows have expired.
func (t *txn) keepCounter() error {
	n := record.Counter{NextEvent: t.nextEvent}
	return t.put(record.CounterKey(), n.Marshal())
}

// houseEvery is how often housekeeping runs.
const houseEvery = time.Hour

func (t *txn) dropInvites() error {
	var over []*record.Invite
	if err := t.Scan(record.InvitePrefix(), nil, false, func(_ storage.Key, v []byte) (bool, error) {
		inv, err := record.ParseInvite(v)
		if err != nil {
			return false, fmt.Errorf("reading an invite: %w", err)
		}
		if t.now.Sub(time.Unix(inv.Expires, 0)) > handshake.Grace {
			over = append(over, inv)
		}
		return true, nil
	}); err != nil {
		return err
	}
	for _, inv := range over {
		for _, u := range inv.Uses {
			t.dropOpener(u.Hash)
		}
		t.dropAsks(inv.ID)
		if err := t.del(record.InviteKey(inv.ID)); err != nil {
			return err
		}
	}
	return nil
}

func (t *txn) dropPrekeys() error {
	var over []storage.Key
	if err := t.Scan(record.PrekeyPrefix(), nil, false, func(k storage.Key, v []byte) (bool, error) {
		p, err := record.ParsePrekey(v)
		if err != nil {
			return false, fmt.Errorf("reading a prekey: %w", err)
		}
		b, err := handshake.ParseBundle(p.Bundle)
		if err != nil {
			return false, fmt.Errorf("reading a prekey: %w", err)
		}
		if t.now.Sub(time.Unix(int64(b.PQ.NotAfter), 0)) > handshake.Grace || p.Replaced != 0 && t.now.Sub(time.Unix(p.Replaced, 0)) > standingAfter {
			over = append(over, k)
		}
		return true, nil
	}); err != nil {
		return err
	}
	for _, k := range over {
		t.dropOpener([32]byte(k[1:]))
		if err := t.del(k); err != nil {
			return err
		}
	}
	return nil
}
