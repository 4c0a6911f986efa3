package engine

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"rushlight/protocol/identity"
	"rushlight/protocol/mailbox"
	"rushlight/protocol/relayset"
	"rushlight/protocol/suite"
	"rushlight/storage"
	"rushlight/storage/record"
)

// Why a relay is not added or removed.
var (
	ErrTooManyRelays = fmt.Errorf("engine: mail waits at %d relays at most", relayset.MaxRelays)
	ErrUnknownRelay  = errors.New("engine: there is no mailbox at this relay")
)

// own is what others than the loop see of this device's mailboxes.
type own struct {
	all     atomic.Pointer[[]record.Relay]
	changed chan struct{} // has a token when all has changed
}

// Mailboxes are the relays at which this device has, or wants, a mailbox.
func (e *Engine) Mailboxes() []record.Relay { return *e.own.all.Load() }

// MailboxesChanged has a token after a mailbox was added or removed.
func (e *Engine) MailboxesChanged() <-chan struct{} { return e.own.changed }

// loadRelays fills what the engine keeps in memory about relays.
func (e *Engine) loadRelays(tx *storage.Tx) error {
	e.own.changed = make(chan struct{}, 1)
	e.withdrawals = make(bell, 1)
	e.withdrawals.ring()
	e.posted = map[outboxEntry]bool{}
	e.gaps.init()
	e.unheard = map[identity.AccountID]time.Time{}
	e.stampless = stampless{asked: since{}, given: since{}, files: since{}, asks: since{}}
	all, err := relaysIn(tx)
	if err != nil {
		return err
	}
	e.own.all.Store(&all)
	for _, r := range all {
		e.tags.relays = append(e.tags.relays, r.Key)
	}
	return tx.Scan(record.PostedPrefix(), nil, false, func(_ storage.Key, v []byte) (bool, error) {
		p, err := record.ParsePosted(v)
		if err != nil {
			return false, fmt.Errorf("reading a deposit: %w", err)
		}
		e.posted[outboxEntry{p.Account, p.Seq}] = true
		return true, nil
	})
}

func relaysIn(tx *storage.Tx) (all []record.Relay, err error) {
	err = tx.Scan(record.RelayPrefix(), nil, false, func(_ storage.Key, v []byte) (bool, error) {
		r, err := record.ParseRelay(v)
		if err != nil {
			return false, fmt.Errorf("reading a mailbox: %w", err)
		}
		all = append(all, *r)
		return true, nil
	})
	slices.SortFunc(all, func(a, b record.Relay) int {
		return cmp.Or(cmp.Compare(a.Added, b.Added), slices.Compare(a.Key[:], b.Key[:]))
	})
	return all, err
}

// putRelay saves a mailbox, or with a nil record forgets it, and lets everybody
// know.
func (t *txn) putRelay(key [32]byte, r *record.Relay) error {
	if r == nil {
		if err := t.del(record.RelayKey(t, key)); err != nil {
			return err
		}
	} else if err := t.put(record.RelayKey(t, key), r.Marshal()); err != nil {
		return err
	}
	all := slices.DeleteFunc(slices.Clone(t.relays()), func(o record.Relay) bool { return o.Key == key })
	if r != nil {
		all = append(all, *r)
	}
	slices.SortFunc(all, func(a, b record.Relay) int {
		return cmp.Or(cmp.Compare(a.Added, b.Added), slices.Compare(a.Key[:], b.Key[:]))
	})
	t.ownNow = append([]record.Relay{}, all...)
	t.after = append(t.after, func() {
		t.e.own.all.Store(&all)
		select {
		case t.e.own.changed <- struct{}{}:
		default:
		}
	})
	return nil
}

// relays are the mailboxes as this transaction sees them.
func (t *txn) relays() []record.Relay {
	if t.ownNow != nil {
		return t.ownNow
	}
	return t.e.Mailboxes()
}

func (t *txn) relay(key [32]byte) *record.Relay {
	for _, r := range t.relays() {
		if r.Key == key {
			return &r
		}
	}
	return nil
}

// AddRelay wants a mailbox at a relay, named by its key and addresses. Adding
// it again changes the addresses. The error is [ErrTooManyRelays]. A relay that
// is found to be [Bad] keeps no other out: it is still read, and named again
// when it is good and there is room for it.
func (e *Engine) AddRelay(ctx context.Context, key [32]byte, addrs [][]byte, token []byte) error {
	return e.do(ctx, 1<<20, func(t *txn) error {
		r := t.relay(key)
		if r == nil {
			if t.staying() >= relayset.MaxRelays || len(t.relays()) >= 2*relayset.MaxRelays {
				return ErrTooManyRelays
			}
			r = &record.Relay{Key: key, Added: t.now.Unix()}
			suite.Random(r.Seed[:])
			suite.Random(r.Nonce[:])
			if err := t.await(key); err != nil {
				return err
			}
		}
		if r.Leaving != 0 {
			if t.staying() >= relayset.MaxRelays {
				return ErrTooManyRelays
			}
			r.Leaving = 0
		}
		r.Addrs = addrs[:min(len(addrs), relayset.MaxAddrs)]
		if len(token) > 0 {
			r.Token = token
		}
		if err := t.putRelay(key, r); err != nil || !r.Ready {
			return err
		}
		return t.issue()
	})
}

// await makes the index of tags and openers know a relay. It does no harm if
// the transaction comes to nothing.
func (t *txn) await(relay [32]byte) error {
	x := &t.e.tags
	if slices.Contains(x.relays, relay) {
		return nil
	}
	x.relays = append(x.relays, relay)
	for _, o := range t.e.openers {
		t.e.addOpener(o)
	}
	return t.e.awaitAll(t.Tx)
}

// staying is how many good mailboxes are not being given up.
func (t *txn) staying() (n int) {
	for _, r := range t.relays() {
		if r.Leaving == 0 && !Bad(&r) {
			n++
		}
	}
	return n
}

// RemoveRelay gives a mailbox up: contacts are told. It is emptied and deleted
// at the relay before it is forgotten; see [Engine.MailboxClosed].
func (e *Engine) RemoveRelay(ctx context.Context, key [32]byte) error {
	return e.do(ctx, 1<<20, func(t *txn) error {
		r := t.relay(key)
		if r == nil {
			return ErrUnknownRelay
		}
		if r.Leaving != 0 {
			return nil
		}
		if err := t.dropPools(key); err != nil {
			return err
		}
		r.Leaving = t.now.Unix()
		if err := t.putRelay(key, r); err != nil {
			return err
		}
		return t.issue()
	})
}

// MailboxClosed forgets a mailbox that was given up and is deleted.
func (e *Engine) MailboxClosed(ctx context.Context, key [32]byte) error {
	return e.do(ctx, 4096, func(t *txn) error {
		if r := t.relay(key); r == nil || r.Leaving == 0 {
			return nil
		}
		if err := t.del(record.RevokedKey(t, key)); err != nil {
			return err
		}
		return t.putRelay(key, nil)
	})
}

const resendEvery = 24 * time.Hour

// MailboxMade notes that the relay has the mailbox, and what its log is called.
// lost says that the log is another one, or shorter, than it was: contacts are
// asked to deposit again what isn't acknowledged; for a shorter one of the same
// name once a day, since a relay that gives out an old state is no reason to
// send everything again each time.
func (e *Engine) MailboxMade(ctx context.Context, key [32]byte, log [16]byte, next uint64) (lost bool, err error) {
	err = e.do(ctx, 1<<20, func(t *txn) error {
		r := t.relay(key)
		if r == nil {
			return ErrUnknownRelay
		}
		lost = r.Ready && (log != r.Log || next < r.Next)
		if lost && log == r.Log && t.now.Sub(t.e.resent[key]) < resendEvery {
			lost = false // it says so now and then: mail isn't sent again each time
			return nil
		}
		fresh := !r.Ready
		if r.Leaving != 0 {
			return nil // it is only emptied
		}
		if !fresh && !lost && next == r.Next {
			return nil
		}
		r.Ready, r.Log, r.Next = true, log, next
		if lost {
			r.Faults++
			// What it gave out may be forgotten there, too.
			if err := t.dropPools(key); err != nil {
				return err
			}
		}
		if err := t.putRelay(key, r); err != nil {
			return err
		}
		if lost {
			t.e.resent[key] = t.now
			t.e.log.Warn("a relay has lost mail; contacts are asked to send it again")
			return t.forgetStamps(key)
		}
		return nil
	})
	return lost, err
}

// MailboxRead notes how far a mailbox was read.
func (e *Engine) MailboxRead(ctx context.Context, key [32]byte, next uint64) error {
	return e.do(ctx, 4096, func(t *txn) error {
		r := t.relay(key)
		if r == nil || next <= r.Next {
			return nil
		}
		r.Next = next
		return t.putRelay(key, r)
	})
}

// forgetStamps makes everybody be given new stamps for a relay.
func (t *txn) forgetStamps(key [32]byte) error {
	for a := range t.e.people.Load().contacts {
		g, err := t.given(a)
		if err != nil {
			return err
		}
		n := len(g.Relays)
		g.Relays = slices.DeleteFunc(g.Relays, func(r record.GivenRelay) bool { return r.Key == key })
		if len(g.Relays) < n {
			if err := t.put(record.GivenKey(t, a), g.Marshal()); err != nil {
				return err
			}
		}
	}
	return nil
}

// Announce tells all contacts the newest set of relays; resend asks them also to
// deposit again what isn't acknowledged.
func (e *Engine) Announce(ctx context.Context, resend bool) error {
	if err := e.do(ctx, 4096, (*txn).issue); err != nil {
		return err
	}
	for _, c := range e.Contacts() {
		if err := e.do(ctx, 256<<10, func(t *txn) error { return t.provision(c.Account, resend) }); err != nil {
			return err
		}
	}
	return nil
}

// issue gives this device's set of relays a new number. Contacts are told by
// and by.
func (t *txn) issue() error {
	n, err := t.issued()
	if err != nil {
		return err
	}
	t.after = append(t.after, func() {
		t.e.provisionAll()
		if t.e.hooks.Relays != nil {
			t.e.hooks.Relays()
		}
	})
	return t.put(record.IssueKey(), (&record.Issue{Seq: n + 1}).Marshal())
}

func (t *txn) issued() (uint64, error) {
	b, err := t.get(record.IssueKey())
	if err != nil || b == nil {
		return 0, err
	}
	i, err := record.ParseIssue(b)
	if err != nil {
		return 0, fmt.Errorf("reading the set of relays: %w", err)
	}
	return i.Seq, nil
}

// provisionAll leaves it to the loop to tell every contact what is new.
func (e *Engine) provisionAll() {
	for a := range e.people.Load().contacts {
		e.provisionSoon(a)
	}
}

func (e *Engine) provisionSoon(a identity.AccountID) {
	s := e.chore(256<<10, func(t *txn) error { return t.provision(a, false) })
	if e.inbox.put([]*step{s}) == nil {
		e.inbox.ring()
	}
}

// signedSet is this device's set of relays.
func (t *txn) signedSet() ([]byte, error) {
	n, err := t.issued()
	if err != nil {
		return nil, err
	}
	s := &relayset.Set{Account: t.e.self.account, Device: t.e.self.id, Seq: n, Issued: uint64(t.now.Unix())}
	for _, r := range t.ready() {
		s.Relays = append(s.Relays, relayset.Relay{Key: r.Key, Addrs: r.Addrs, Lane: mailbox.LaneAddr(mailboxKey(&r), r.Nonce)})
	}
	return s.Sign(t.e.self.device.Signing), nil
}

// mailboxKey is the public key of a mailbox.
func mailboxKey(r *record.Relay) [32]byte {
	return [32]byte(ed25519.NewKeyFromSeed(r.Seed[:]).Public().(ed25519.PublicKey))
}

// ready are the mailboxes that contacts are told of: those that were made, and
// aren't given up, as many as a set has room for, the oldest first.
func (t *txn) ready() (out []record.Relay) {
	var bad []record.Relay
	for _, r := range t.relays() {
		switch {
		case !r.Ready || r.Leaving != 0:
		case Bad(&r):
			bad = append(bad, r)
		default:
			out = append(out, r)
		}
	}
	if len(out) == 0 {
		out = bad // better than none
	}
	return out[:min(len(out), relayset.MaxRelays)]
}

// Bad reports whether a relay was found to lie, to lose mail or to be gone:
// contacts aren't told of it while there is another.
func Bad(r *record.Relay) bool { return r.Lied != 0 || r.Missed >= maxMissed || r.Down }

// inviteRelays names up to two relays at which a request to this device can be
// left.
func (e *Engine) inviteRelays(ctx context.Context) (out []identity.InviteRelay, err error) {
	err = e.do(ctx, 256<<10, func(t *txn) error {
		out = nil
		for _, r := range t.ready() {
			if len(out) == identity.MaxRelays || len(r.Addrs) == 0 || len(r.Addrs[0]) > 64 {
				continue
			}
			s, err := t.draw(r.Key, 1, 1)
			if err != nil {
				return err
			}
			if len(s) == 0 {
				continue
			}
			out = append(out, identity.InviteRelay{
				Key: r.Key, Addr: r.Addrs[0], Request: mailbox.LaneAddr(mailboxKey(&r), r.Nonce), Stamp: s[0].Stamp,
			})
		}
		return nil
	})
	return out, err
}

// redeposit is when an entry that is stored and not acknowledged is deposited
// again, after so many rounds.
func redeposit(rounds uint8) time.Duration {
	const day = 24 * time.Hour
	switch rounds {
	case 1:
		return day
	case 2:
		return 2 * day // 72 h after the first
	case 3:
		return 4 * day // 7 d after the first
	}
	return 7 * day
}
