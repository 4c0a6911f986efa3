package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"rushlight/protocol/envelope"
	"rushlight/protocol/handshake"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/ratchet"
	"rushlight/storage"
	"rushlight/storage/record"
)

// Why an invite is not accepted.
var (
	ErrOwnInvite    = errors.New("engine: the invite is this account's own")
	ErrNameTaken    = errors.New("engine: another contact has this name")
	ErrClock        = errors.New("engine: the invite is not valid at this time; one of the two clocks is wrong")
	ErrInviteDenied = errors.New("engine: whoever answered is not who made the invite")
)

// Join is an invite that was accepted and is not through yet.
type Join struct {
	Account identity.AccountID
	Invite  *identity.Invite
	Sent    bool // the first flight is on its way; nothing is left to fetch
}

// Join begins to accept an invite: the contact is saved as pending, and may be
// written to. greeting is what its maker is told if it decides first, at most
// [message.MaxNote] characters. replace lets the contact take the name of another, whose key
// thereby counts as changed. A contact that is known already is returned as it
// is.
func (e *Engine) Join(ctx context.Context, inv *identity.Invite, link, petname, greeting string, replace bool) error {
	if inv.Account == e.self.account {
		return ErrOwnInvite
	}
	return e.do(ctx, 16<<10, func(t *txn) error {
		if inv.Expired(t.now) {
			return ErrInviteExpired
		}
		if c := t.contact(inv.Account); c != nil && c.State == record.ContactBlocked {
			return ErrBlocked
		} else if c != nil && c.State == record.ContactApproved {
			return nil
		}
		rec := &record.Contact{Account: inv.Account, State: record.ContactPending, Petname: petname, Added: t.now.Unix(), Invite: inv.ID}
		if err := t.claimName(rec, replace); err != nil {
			return err
		}
		if err := t.putContact(rec); err != nil {
			return err
		}
		// What was asked of the maker by another invite, or in other words, is over.
		if old, err := t.join(inv.Account); err != nil || old == nil || old.Link != link || old.Greeting != greeting {
			if err := errors.Join(err, t.del(record.AskedKey(t, inv.Account))); err != nil {
				return err
			}
		}
		j := &record.Join{Account: inv.Account, Link: link, Started: t.now.Unix(), Greeting: greeting}
		return t.put(record.JoinKey(t, inv.Account), j.Marshal())
	})
}

// claimName gives a new contact its petname. With replace, the contact that
// had it so far loses it; if that one was verified, the new one must be
// verified before anything is sent to it.
func (t *txn) claimName(rec *record.Contact, replace bool) error {
	if rec.Petname == "" {
		return nil
	}
	for _, c := range t.everybody() {
		if c.Petname != rec.Petname || c.Account == rec.Account {
			continue
		}
		if !replace {
			return ErrNameTaken
		}
		rec.KeyChanged = c.Verified || c.KeyChanged
		old := c.Contact
		old.Petname = ""
		if err := t.putContact(&old); err != nil {
			return err
		}
	}
	return nil
}

// everybody lists the contacts as this transaction sees them.
func (t *txn) everybody() []*Contact {
	var out []*Contact
	for a, c := range t.e.people.Load().contacts {
		if _, changed := t.contacts[a]; !changed {
			out = append(out, c)
		}
	}
	for _, c := range t.contacts {
		if c != nil {
			out = append(out, c)
		}
	}
	return out
}

// Joins lists the invites that were accepted and are not through.
func (e *Engine) Joins() (out []Join, err error) {
	err = e.store.View(func(tx *storage.Tx) error {
		return tx.Scan(record.JoinPrefix(), nil, false, func(_ storage.Key, v []byte) (bool, error) {
			j, err := record.ParseJoin(v)
			if err != nil {
				return false, fmt.Errorf("reading an accepted invite: %w", err)
			}
			inv, err := identity.ParseInvite(j.Link)
			if err != nil {
				return false, fmt.Errorf("reading an accepted invite: %w", err)
			}
			out = append(out, Join{j.Account, inv, j.Sent})
			return true, nil
		})
	})
	return out, err
}

// Offered takes what the maker of an invite answered: it is checked against
// the invite, and the first flight goes into the outbox. [ErrInviteDenied]
// says that the answer is not what the invite promised.
func (e *Engine) Offered(ctx context.Context, inv *identity.Invite, reply []byte) error {
	card, raw, b, err := parseOffer(reply)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInviteDenied, err)
	}
	hash := b.Hash()
	if err := card.Verify(); err != nil || card.ID() != inv.Account || card.Device != b.Device || !slices.Contains(inv.Uses, hash) {
		return ErrInviteDenied
	}
	return e.do(ctx, 64<<10, func(t *txn) error {
		j, err := t.join(inv.Account)
		if err != nil || j == nil || j.Sent {
			return err
		}
		c := t.contact(inv.Account)
		if c == nil {
			return ErrUnknownContact
		}
		if s, err := t.current(inv.Account); err != nil || s != nil {
			// The other side came first: there is nothing left to do.
			return errors.Join(err, t.del(record.JoinKey(t, inv.Account)))
		}
		f, keys, err := handshake.Initiate(t.now, t.e.self.device, t.e.self.manifest, b, card.Manifest)
		if errors.Is(err, handshake.ErrExpired) {
			return ErrClock
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInviteDenied, err)
		}
		r, err := initiatorSession(keys)
		if err != nil {
			return err
		}
		rec := c.Contact
		rec.Card, rec.Presence = raw, presence(r)
		if err := t.putContact(&rec); err != nil {
			return err
		}
		j.Sent = true
		if err := t.put(record.JoinKey(t, inv.Account), j.Marshal()); err != nil {
			return err
		}
		return t.launch(inv.Account, b, f, r, handshake.OpenerFor(&inv.Secret, hash), j.Greeting)
	})
}

// launch starts a session as its initiator: the first flight, with a greeting or
// none, goes ahead of everything that waits for the account.
func (t *txn) launch(a identity.AccountID, b *handshake.Bundle, f *handshake.Flight, r *ratchet.Session, key [32]byte, greeting string) error {
	s, err := t.addSession(a, b.Device, f.Generation, r)
	if err != nil {
		return err
	}
	packet, err := t.profile(greeting)
	if err != nil {
		return err
	}
	msg, err := r.Encrypt(nil, packet)
	if err != nil {
		return fmt.Errorf("encrypting: %w", err)
	}
	sealed, err := handshake.SealFirst(key, b, handshake.First{Flight: f, Message: msg}.Marshal())
	if err != nil {
		return err
	}
	class, err := envelope.ClassFor(1 + 16 + len(sealed))
	if err != nil {
		return err
	}
	cure := envelope.NewCure()
	payload, err := envelope.PackFirstFlight(class, cure, sealed)
	if err != nil {
		return err
	}
	keys := envelope.FirstKeys(key, handshake.FirstTag(key, envelope.Direct), envelope.Direct, cure)
	env, err := envelope.Seal(nil, keys, class, payload)
	if err != nil {
		return err
	}
	if err := t.settle(a); err != nil {
		return err
	}
	return t.refile(a, &record.Outbox{
		Kind: record.OutboxFirst, Made: t.now.Unix(), Session: s.ID, Device: b.Device, Envelope: env,
		MAC: envelope.AckMAC(r.Export(labelReceipts), keys.Tag, b.Device), Key: key,
	})
}

func (t *txn) join(a identity.AccountID) (*record.Join, error) {
	b, err := t.get(record.JoinKey(t, a))
	if err != nil || b == nil {
		return nil, err
	}
	j, err := record.ParseJoin(b)
	if err != nil {
		return nil, fmt.Errorf("reading an accepted invite: %w", err)
	}
	return j, nil
}

// joined is called when a first flight was acknowledged, fresh when it was not
// answered before.
func (t *txn) joined(a identity.AccountID, id [16]byte, fresh bool) error {
	all, err := t.sessionsWith(a)
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.ID == id && !s.Proved {
			s.Proved = true
			t.touch(s)
		}
	}
	if fresh {
		t.e.compared[id] = true
		if err := t.refile(a, nil); err != nil {
			return err
		}
	}
	return errors.Join(t.approve(a), t.knock(a), t.provision(a, false))
}

// approve ends a join that came through.
func (t *txn) approve(a identity.AccountID) error {
	j, err := t.join(a)
	if err != nil || j == nil {
		return err
	}
	if err := errors.Join(t.del(record.JoinKey(t, a)), t.del(record.AskedKey(t, a))); err != nil {
		return err
	}
	c := t.contact(a)
	if c == nil || c.State != record.ContactPending {
		return nil
	}
	rec := c.Contact
	rec.State = record.ContactApproved
	return errors.Join(t.mayWait(j), t.putContact(&rec))
}

// JoinFailed ends a join that was refused, with a code of package parcel, and
// undoes it: the contact goes, unless something was written to it, which is
// then marked as failed.
func (e *Engine) JoinFailed(ctx context.Context, a identity.AccountID, code uint8) error {
	return e.do(ctx, 64<<10, func(t *txn) error { return t.joinRefused(a, code) })
}

func (t *txn) joinRefused(a identity.AccountID, code uint8) error {
	if own, err := t.usedByOwn(a, code); err != nil || own {
		return err
	}
	c := t.contact(a)
	pending := c != nil && c.State == record.ContactPending
	wrote := false
	if pending {
		messages, more, err := t.failOutbox(a)
		if err != nil {
			return err
		}
		if more {
			// Too much was written for one transaction: the rest follows.
			t.after = append(t.after, func() { t.e.refused[a] = code })
			return nil
		}
		wrote = messages
	}
	if err := errors.Join(t.del(record.JoinKey(t, a)), t.del(record.AskedKey(t, a))); err != nil {
		return err
	}
	t.after = append(t.after, func() { t.e.refusals.put(a, code) })
	if !pending {
		return nil
	}
	if err := t.dropSessions(a); err != nil {
		return err
	}
	if conv, err := t.conversation(t.e.direct(a)); err != nil || wrote || len(conv.history.Logs()) > 0 {
		return err
	}
	return t.dropContact(a)
}

// failOutbox empties the outbox of an account, as far as one transaction goes;
// its messages are marked as failed. It reports whether there were any, and
// whether there are more.
func (t *txn) failOutbox(a identity.AccountID) (messages, more bool, err error) {
	c, err := t.chain(a)
	if err != nil {
		return false, false, err
	}
	var keys []storage.Key
	if err := t.ScanHeld(record.OutboxPrefix(t, a), record.OutboxKey(t, a, c.Pending), false, func(k storage.Key) (bool, error) {
		keys = append(keys, k)
		return len(keys) < refileChunk, nil
	}); err != nil {
		return false, false, err
	}
	for _, k := range keys {
		o, err := t.outbox(k)
		if err != nil {
			return false, false, err
		}
		if err := t.leave(a, record.OutboxSeq(k)); err != nil {
			return false, false, err
		}
		if o == nil || o.Message == (message.ID{}) {
			continue
		}
		messages = true
		if err := t.arrived(o); err != nil {
			return false, false, err
		}
		if err := t.setState(o.Message, record.StateFailed); err != nil {
			return false, false, err
		}
	}
	return messages, len(keys) == refileChunk, nil
}

func (t *txn) dropSessions(a identity.AccountID) error {
	all, err := t.sessionsWith(a)
	if err != nil {
		return err
	}
	for _, s := range all {
		delete(t.sessions, sessionID{s.Device, s.ID})
		if err := t.del(record.SessionKey(t, s.Account, s.Device, s.ID)); err != nil {
			return err
		}
		delete(t.windows, s.Device)
		if err := t.del(record.AheadKey(t, s.Device)); err != nil {
			return err
		}
		if err := t.del(record.WindowKey(t, s.Device)); err != nil {
			return err
		}
	}
	t.peers[a] = nil
	delete(t.chains, a)
	// The numbers of the outbox go on: none is given twice.
	c, err := t.chain(a)
	if err != nil {
		return err
	}
	c.Chain, c.chain, c.dirty = record.Chain{LastOutbox: c.LastOutbox, Pending: c.LastOutbox + 1}, nil, true
	return nil
}

func (t *txn) dropContact(a identity.AccountID) error {
	if err := errors.Join(t.revoke(a), t.dropPrekeysOf(a)); err != nil {
		return err
	}
	if err := errors.Join(t.del(record.ContactKey(t, a)), t.del(record.AwaitingKey(t, a)), t.dropPlaces(a)); err != nil {
		return err
	}
	t.contacts[a] = nil
	return t.event(record.Event{Type: record.EventContact, Account: a})
}

// joinGrace bounds how long a join is tried after its invite has ended.
const joinGrace = handshake.Grace

// Stale reports whether nobody will answer a join any more.
func (j *Join) Stale(now time.Time) bool {
	return now.After(time.Unix(int64(j.Invite.Expires), 0).Add(joinGrace))
}
