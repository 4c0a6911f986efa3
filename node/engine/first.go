package engine

import (
	"crypto/sha256"
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

// opener is one first flight that this device would answer. Openers are found
// by the tag of their envelopes, live in memory, are built from the store at the start, and belong to the loop.
type opener struct {
	key    [32]byte
	invite [16]byte // of an invite, else zero
	hash   [32]byte // of the bundle
	asks   bool     // not a flight, but a request to the maker of the invite (spec §12.10)
}

// maxOpeners bounds how many first flights are awaited.
const maxOpeners = 4096

// answeredLife is how long the acknowledgement of a first flight can be given
// again.
const answeredLife = 30 * 24 * time.Hour

func (e *Engine) addOpener(o opener) {
	e.openers[handshake.FirstTag(o.key, envelope.Direct)] = o
	for _, r := range e.tags.relays {
		e.openers[handshake.FirstTag(o.key, r)] = o
	}
}

func (e *Engine) loadOpeners(tx *storage.Tx) error {
	e.openers = map[[16]byte]opener{}
	if err := tx.Scan(record.InvitePrefix(), nil, false, func(_ storage.Key, v []byte) (bool, error) {
		inv, err := record.ParseInvite(v)
		if err != nil {
			return false, fmt.Errorf("reading an invite: %w", err)
		}
		e.addOpener(askOpener(inv.ID, inv.Secret))
		for _, u := range inv.Uses {
			e.addOpener(opener{key: handshake.OpenerFor(&inv.Secret, u.Hash), invite: inv.ID, hash: u.Hash})
		}
		return true, nil
	}); err != nil {
		return err
	}
	return tx.Scan(record.PrekeyPrefix(), nil, false, func(k storage.Key, _ []byte) (bool, error) {
		hash := [32]byte(k[1:])
		e.addOpener(opener{key: handshake.OpenerFor(nil, hash), hash: hash})
		return true, nil
	})
}

// receiveFirst takes an envelope that belongs to no session: a first flight to
// an invite or to a bundle that a contact was given (spec §5.6). One that was
// answered before is acknowledged again as long as its session is there.
func (t *txn) receiveFirst(relay [32]byte, class envelope.Class, env []byte) (out received, err error) {
	answered := record.AnsweredKey(sha256.Sum256(env))
	b, err := t.get(answered)
	if err != nil {
		return out, err
	}
	if b != nil {
		return t.answeredBefore(b)
	}
	o, ok := t.e.openers[envelope.TagOf(env)]
	if !ok {
		return out, ErrUnknownTag
	}
	payload, err := envelope.Open(envelope.FirstKeysOf(o.key, relay, env), class, env)
	if err != nil {
		return out, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	_, sealed, err := envelope.UnpackFirstFlight(payload)
	if err != nil {
		return out, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if o.asks {
		return received{quiet: true}, t.takeAsked(o, sealed)
	}
	// The copies of a flight have different envelopes and one content.
	flight := record.AnsweredKey(sha256.Sum256(sealed))
	if b, err = t.get(flight); err != nil {
		return out, err
	}
	if b != nil {
		return t.answeredBefore(b)
	}
	s, err := t.answer(o, sealed)
	if err != nil {
		return out, err
	}
	direct := handshake.FirstTag(o.key, envelope.Direct)
	rec := record.Answered{Account: s.Account, Device: s.Device, Session: s.ID, Tag: direct}
	out = received{mac: s.acknowledge(direct, t.e.self.id, false), account: s.Account}
	return out, errors.Join(t.putExpiring(answered, rec.Marshal(), answeredLife), t.putExpiring(flight, rec.Marshal(), answeredLife))
}

// acknowledge is the proof for a first flight that started the session.
func (s *session) acknowledge(tag [16]byte, recipient identity.DeviceID, again bool) [16]byte {
	receipts := s.ratchet.Export(labelReceipts)
	if again {
		return envelope.AckAgainMAC(receipts, tag, recipient)
	}
	return envelope.AckMAC(receipts, tag, recipient)
}

func (t *txn) answeredBefore(b []byte) (out received, err error) {
	rec, err := record.ParseAnswered(b)
	if err != nil {
		return out, fmt.Errorf("reading an answer: %w", err)
	}
	all, err := t.sessionsWith(rec.Account)
	if err != nil {
		return out, err
	}
	for _, s := range all {
		if s.ID == rec.Session && s.ratchet != nil {
			t.sentAgain(rec.Account)
			return received{mac: s.acknowledge(rec.Tag, t.e.self.id, true), account: s.Account}, nil
		}
	}
	return out, ErrUnknownTag
}

// answer opens a first flight and starts its session. The one-time secrets it
// used are destroyed in the same transaction.
func (t *txn) answer(o opener, sealed []byte) (s *session, err error) {
	var g grant
	if o.invite != ([16]byte{}) {
		g, err = t.inviteGrant(o)
	} else {
		g, err = t.prekeyGrant(o)
	}
	if err != nil {
		return nil, err
	}
	refuse := func(err error) (*session, error) { return nil, fmt.Errorf("%w: %w", ErrRefused, err) }
	secrets, err := handshake.ParseSecrets(g.secret)
	if err != nil {
		return nil, fmt.Errorf("reading one-time secrets: %w", err)
	}
	bundle, err := handshake.ParseBundle(g.bundle)
	if err != nil {
		return nil, fmt.Errorf("reading a bundle: %w", err)
	}
	plain, err := handshake.OpenFirst(o.key, secrets, sealed)
	if err != nil {
		return refuse(err)
	}
	first, err := handshake.ParseFirst(plain)
	if err != nil {
		return refuse(err)
	}
	f := first.Flight
	account := f.Manifest.ID()
	if account == t.e.self.account || g.account != (identity.AccountID{}) && account != g.account {
		return refuse(handshake.ErrRefused)
	}
	if slices.Contains(g.turnedAway, account) {
		return nil, ErrUnknownTag
	}
	replay := handshake.ReplayKey(bundle, f)
	if slices.Contains(g.answered, replay) {
		return refuse(handshake.ErrRefused)
	}
	g.replay = replay
	keys, err := handshake.Respond(t.now, t.e.self.device, t.e.self.manifest, secrets, bundle, f)
	if err != nil {
		return refuse(err)
	}
	r := responderSession(keys)
	packet, err := r.Decrypt(first.Message)
	if err != nil {
		return refuse(err)
	}
	card, profile, err := firstCard(packet, f)
	if err != nil {
		return refuse(err)
	}
	return t.accept(g, card, profile, f, r)
}

// firstCard checks that the first message introduces the device that sent the
// flight.
func firstCard(packet []byte, f *handshake.Flight) (*identity.Card, *message.Profile, error) {
	p, err := message.ParsePacket(packet)
	if err != nil {
		return nil, nil, err
	}
	profile, ok := p.(*message.Profile)
	if !ok {
		return nil, nil, fmt.Errorf("first message is no profile")
	}
	card, err := identity.ParseCard(profile.Card)
	if err != nil {
		return nil, nil, err
	}
	if err := card.Verify(); err != nil {
		return nil, nil, err
	}
	if card.Device != f.Device || card.Manifest.Hash() != f.Manifest.Hash() {
		return nil, nil, fmt.Errorf("card is not the flight's")
	}
	return card, profile, nil
}

// accept makes or updates the contact that a first flight comes from.
func (t *txn) accept(g grant, card *identity.Card, profile *message.Profile, f *handshake.Flight, r *ratchet.Session) (*session, error) {
	account := card.ID()
	rec := record.Contact{Account: account, State: record.ContactApproved, Added: t.now.Unix()}
	if g.needsApproval {
		rec.State = record.ContactPending
	}
	if c := t.contact(account); c != nil {
		if c.State == record.ContactBlocked {
			return nil, ErrUnknownTag
		}
		known := c.Contact
		if len(known.Card) > 0 {
			if err := follows(card, known.Card); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrRefused, err)
			}
		}
		rec = known
		if g.invite != ([16]byte{}) && !g.needsApproval {
			rec.State = record.ContactApproved
		}
	}
	rec.Card = profile.Card
	if g.invite != ([16]byte{}) {
		rec.Invite, rec.Greeting = g.invite, profile.Note
	}
	if rec.Presence == ([32]byte{}) || f.Generation > 1 {
		rec.Presence = presence(r)
	}
	if err := g.use(g.replay); err != nil {
		return nil, err
	}
	if err := t.putContact(&rec); err != nil {
		return nil, err
	}
	s, err := t.addSession(account, f.Device, f.Generation, r)
	if err != nil {
		return nil, err
	}
	s.Proved = true
	if err := t.approve(account); err != nil {
		return nil, err
	}
	if err := t.settle(account); err != nil {
		return nil, err
	}
	t.after = append(t.after, func() { t.e.rekey.started(account, t.now) })
	if err := t.refile(account, nil); err != nil {
		return nil, err
	}
	return s, errors.Join(t.introduce(account), t.provision(account, false))
}

// follows reports whether a card may come after the one that is known.
func follows(card *identity.Card, known []byte) error {
	old, err := identity.ParseCard(known)
	if err != nil {
		return err
	}
	if card.Manifest.Hash() == old.Manifest.Hash() {
		return nil
	}
	return card.Manifest.Succeeds(old.Manifest)
}

// introduce sends this device's card to a contact.
func (t *txn) introduce(a identity.AccountID) error {
	packet, err := t.profile("")
	if err != nil {
		return err
	}
	_, err = t.enqueue(a, packet, message.ID{}, 0, storage.Leaf{})
	return err
}

func (t *txn) profile(note string) ([]byte, error) {
	card, err := t.e.card(t.now)
	if err != nil {
		return nil, err
	}
	return message.MarshalPacket(&message.Profile{Card: card.Marshal(), Note: note})
}

// grant is what entitles a first flight to an answer.
type grant struct {
	bundle, secret []byte
	account        identity.AccountID // the only one it is for, zero for anybody
	invite         [16]byte
	needsApproval  bool
	turnedAway     []identity.AccountID
	answered       [][32]byte // replay keys of the flights that used it
	replay         [32]byte   // of the flight that uses it now
	use            func(replay [32]byte) error
}

func (t *txn) inviteGrant(o opener) (grant, error) {
	b, err := t.get(record.InviteKey(o.invite))
	if err != nil || b == nil {
		return grant{}, orRefuse(err, ErrUnknownTag)
	}
	inv, err := record.ParseInvite(b)
	if err != nil {
		return grant{}, fmt.Errorf("reading an invite: %w", err)
	}
	if t.now.Unix() >= inv.Expires {
		return grant{}, ErrInviteExpired
	}
	for i := range inv.Uses {
		u := &inv.Uses[i]
		if u.Hash != o.hash {
			continue
		}
		if u.Used {
			return grant{}, ErrInviteUsed
		}
		return grant{
			bundle: u.Bundle, secret: u.Secret, invite: inv.ID, needsApproval: inv.NeedsApproval, turnedAway: inv.TurnedAway,
			use: func([32]byte) error {
				u.Used, u.Bundle, u.Secret = true, nil, nil
				return t.put(record.InviteKey(inv.ID), inv.Marshal())
			},
		}, nil
	}
	return grant{}, ErrUnknownTag
}

func (t *txn) prekeyGrant(o opener) (grant, error) {
	k := record.PrekeyKey(o.hash)
	b, err := t.get(k)
	if err != nil || b == nil {
		return grant{}, orRefuse(err, ErrUnknownTag)
	}
	p, err := record.ParsePrekey(b)
	if err != nil {
		return grant{}, fmt.Errorf("reading a prekey: %w", err)
	}
	if t.contact(p.Account) == nil {
		return grant{}, ErrUnknownTag // it was given to somebody who was a contact
	}
	g := grant{bundle: p.Bundle, secret: p.Secret, account: p.Account, use: func([32]byte) error { return t.del(k) }}
	if standing(p) {
		if g.answered, g.use = p.Uses, func(replay [32]byte) error { return t.useStanding(k, p, replay) }; len(p.Uses) >= record.MaxUses {
			return grant{}, ErrUnknownTag
		}
	}
	return g, nil
}

func orRefuse(err, refusal error) error {
	if err != nil {
		return err
	}
	return refusal
}
