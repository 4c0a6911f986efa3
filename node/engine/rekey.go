package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"rushlight/node/delivery/parcel"
	"rushlight/protocol/handshake"
	"rushlight/protocol/identity"
	"rushlight/storage"
	"rushlight/storage/record"
)

// rekeyEvery is how often a new session with one contact is started at most.
const rekeyEvery = 30 * time.Second

// Personal bundles: how many one contact may hold, and how long each lives.
const (
	prekeysEach = 3
	prekeyLife  = 7 * 24 * time.Hour
)

// rekeying remembers which contacts need a new session, and when one was last
// started.
type rekeying struct {
	mu     sync.Mutex
	wanted map[identity.AccountID]bool
	last   map[identity.AccountID]time.Time
}

// want asks for a new session, unless one was started just now.
func (k *rekeying) want(a identity.AccountID, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.wanted == nil {
		k.wanted, k.last = map[identity.AccountID]bool{}, map[identity.AccountID]time.Time{}
	}
	if now.Sub(k.last[a]) >= rekeyEvery {
		k.wanted[a] = true
	}
}

func (k *rekeying) wants(a identity.AccountID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.wanted[a]
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
func (e *Engine) WantsBundle(a identity.AccountID) bool { return e.rekey.wants(a) }

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
		if len(e.openers) >= maxOpeners {
			return nil
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
	if err := t.Scan(record.PrekeyPrefix(), nil, false, func(k storage.Key, v []byte) (bool, error) {
		p, err := record.ParsePrekey(v)
		if err != nil {
			return false, fmt.Errorf("reading a prekey: %w", err)
		}
		if p.Account == a {
			n++
			if oldest == nil || p.Made < made {
				oldest, made = k, p.Made
			}
		}
		return true, nil
	}); err != nil || n < prekeysEach {
		return err
	}
	t.dropOpener([32]byte(oldest[1:]))
	return t.del(oldest)
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
		if !e.rekey.wants(a) {
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
		return t.launch(a, b, f, r, handshake.OpenerFor(nil, b.Hash()))
	})
}

// PeerCounters compares what the other side of a stream counted in its
// sessions with this device. Who has seen more than this device remembers to
// have sent proves that this device was put back to an older state: what it
// would send next might use keys again, so nothing more is sent in that
// session. A session that the other side no longer has is replaced too.
func (e *Engine) PeerCounters(ctx context.Context, d identity.DeviceID, counters []parcel.Counter) error {
	a, ok := e.people.Load().devices[d]
	if !ok {
		return nil
	}
	theirs := map[[16]byte]parcel.Counter{}
	for _, c := range counters {
		theirs[c.Session] = c
	}
	return e.do(ctx, 64<<10, func(t *txn) error {
		all, err := t.sessionsWith(a)
		if err != nil {
			return err
		}
		best, err := t.current(a)
		if err != nil {
			return err
		}
		need := len(all) > 0 && best == nil
		for _, s := range all {
			if s.Device != d || s.Dead || s.ratchet == nil {
				continue
			}
			their, has := theirs[s.ID]
			if has && their.Seen > s.ratchet.Sent() {
				s.Dead, need = true, true
				t.touch(s)
				e.log.Warn("this profile is older than it was; starting a new session with a contact")
			}
			if !has && s == best && s.Proved {
				need = true
			}
		}
		if need {
			t.after = append(t.after, func() { e.rekey.want(a, t.now) })
			t.wake[a] = struct{}{}
		}
		return nil
	})
}

// housekeeping drops what time has made useless: invites and bundles that are
// over, and sessions that lost to another long ago.
func (e *Engine) housekeeping() []*step {
	steps := []*step{e.chore(64<<10, func(t *txn) error { return errors.Join(t.dropInvites(), t.dropPrekeys()) })}
	for a := range e.people.Load().contacts {
		steps = append(steps, e.chore(64<<10, func(t *txn) error { return t.settle(a) }))
	}
	return steps
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
		if t.now.Sub(time.Unix(p.Made, 0)) > prekeyLife+handshake.Grace {
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
