package engine

import (
	"fmt"

	"rushlight/protocol/handshake"
	"rushlight/protocol/identity"
	"rushlight/storage"
	"rushlight/storage/record"
)

// reseal seals an entry anew before it is deposited once more, so that a relay
// can't tell that two deposits are one message. What may not be sealed in the
// session, since it wasn't compared after a start, keeps its bytes.
func (t *txn) reseal(a identity.AccountID, seq uint64, o *record.Outbox, d *record.Posted) (uint64, *record.Outbox, error) {
	s, err := t.current(a)
	if err != nil || s == nil || !t.e.compared[s.ID] || o.Kind != record.OutboxSession {
		return seq, o, err
	}
	packet, err := t.packetOf(o)
	if err != nil || packet == nil {
		return seq, o, err
	}
	c, err := t.chain(a)
	if err != nil {
		return seq, o, err
	}
	k := record.OutboxKey(t, a, seq)
	leaf, _, err := t.LeafOf(k)
	if err != nil {
		return seq, o, err
	}
	expires := int64(0)
	if _, until, err := t.Expiring(k); err != nil {
		return seq, o, err
	} else if !until.IsZero() {
		expires = until.UnixMilli()
	}
	if err := t.leave(a, seq); err != nil {
		return seq, o, err
	}
	next := &record.Outbox{Message: o.Message, Packet: o.Packet, Made: o.Made, Again: o.Again}
	if err := t.seal(next, s, c, packet, &t.e.scratch.payload, new([]byte)); err != nil {
		return seq, o, err
	}
	t.e.resealed[s.ID]++
	n, err := t.putOutbox(a, c, next, expires, leaf)
	if err != nil {
		return seq, o, err
	}
	if x, err := t.index(o.Message); err != nil {
		return seq, o, err
	} else if x != nil {
		x.Outbox = n
		if err := t.put(record.IndexKey(o.Message), x.Marshal()); err != nil {
			return seq, o, err
		}
	}
	return n, next, t.putPosting(&record.Posted{Account: a, Seq: n, Rounds: d.Rounds})
}

// waitsForKeys reports whether an entry is to be sealed: for the first time, or
// anew since it is to be deposited once more.
func (t *txn) waitsForKeys(a identity.AccountID, seq uint64, o *record.Outbox) (bool, error) {
	if o.Kind != record.OutboxSession {
		return o.Kind == record.OutboxUnsealed, nil
	}
	d, err := t.posting(a, seq)
	if err != nil {
		return false, err
	}
	return d.Due != 0 && !d.Third && d.Due <= t.now.Unix(), nil
}

// superseded reports whether an entry is the first flight of a session that
// another has taken the place of, and nothing lies at relays sealed in it.
func (t *txn) superseded(a identity.AccountID, seq uint64, o *record.Outbox) (bool, error) {
	if o.Kind != record.OutboxFirst {
		return false, nil
	}
	s, err := t.current(a)
	if err != nil || s == nil || s.ID == o.Session || !t.e.compared[s.ID] {
		return false, err
	}
	needed := false
	err = t.Scan(record.OutboxPrefix(t, a), record.OutboxKey(t, a, seq+1), false, func(_ storage.Key, v []byte) (bool, error) {
		x, err := record.ParseOutbox(v)
		needed = err == nil && x.Session == o.Session
		return err == nil && !needed, err
	})
	return !needed, err
}

// maxResealed is how much is sealed in a session again before anything in it is
// acknowledged. The other side reads what lies 1,000 messages ahead of what it
// has, and all before may be lost.
const maxResealed = 500

// anew starts a new session with a contact from a bundle that it gave ahead
// of need, when something waits that must not be sealed in the old one: since
// the start nothing has shown that this profile is not older than it was (spec
// §12.9). Or so much was sealed in it that may be lost that the other side could
// not read on.
func (t *txn) anew(a identity.AccountID) (started bool, err error) {
	c := t.contact(a)
	if c == nil || c.State != record.ContactApproved {
		return false, nil
	}
	p, err := t.places(a)
	if err != nil || len(p.Relays) == 0 {
		return false, err
	}
	s, err := t.current(a)
	if err != nil || s != nil && t.e.compared[s.ID] && t.e.resealed[s.ID] < maxResealed {
		return false, err
	}
	chain, err := t.chain(a)
	if err != nil {
		return false, err
	}
	waits := false
	if err := t.Scan(record.OutboxPrefix(t, a), record.OutboxKey(t, a, chain.Pending), false, func(k storage.Key, v []byte) (bool, error) {
		o, err := record.ParseOutbox(v)
		if err != nil {
			return false, fmt.Errorf("reading the outbox: %w", err)
		}
		waits, err = t.waitsForKeys(a, record.OutboxSeq(k), o)
		return err == nil && !waits, err
	}); err != nil || !waits {
		return false, err
	}
	card, err := identity.ParseCard(c.Card)
	if err != nil {
		return false, fmt.Errorf("reading a contact's card: %w", err)
	}
	have, err := t.bundles(a)
	if err != nil {
		return false, err
	}
	for len(have.Spares)+len(have.Standing) > 0 {
		// The oldest first; each is tried once. The last may be used again.
		raw := have.Standing
		if len(have.Spares) > 0 {
			raw, have.Spares = have.Spares[0], have.Spares[1:]
			if err := t.putBundles(a, have); err != nil {
				return false, err
			}
		}
		b, err := handshake.ParseBundle(raw)
		if err != nil {
			return false, fmt.Errorf("reading a bundle: %w", err)
		}
		g, err := t.generation(a)
		if err != nil {
			return false, err
		}
		f, keys, err := handshake.Renew(t.now, t.e.self.device, t.e.self.manifest, b, card.Manifest, handshake.NextGeneration(g))
		if err != nil {
			t.e.log.Debug("a bundle is of no use", "err", err)
			if len(have.Spares) == 0 && b.LastResort() {
				return false, nil
			}
			continue
		}
		r, err := initiatorSession(keys)
		if err != nil {
			return false, err
		}
		t.after = append(t.after, func() { t.e.rekey.started(a, t.now) })
		return true, t.launch(a, b, f, r, handshake.OpenerFor(nil, b.Hash()), "")
	}
	return false, nil
}
