package engine

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"

	"rushlight/node/delivery/parcel"
	"rushlight/protocol/envelope"
	"rushlight/protocol/identity"
	"rushlight/storage"
	"rushlight/storage/record"
)

// Pending lists what waits to be delivered to an account, in order, beginning
// after a number. What waits for a session is not listed yet.
func (e *Engine) Pending(a identity.AccountID, after uint64, limit int) ([]parcel.Parcel, error) {
	var out []parcel.Parcel
	c := e.Contact(a)
	if c == nil || c.State == record.ContactBlocked {
		return nil, nil
	}
	if after > 0 {
		entries, more := e.fresh.take(a, after, limit, e.store.Now().UnixMilli())
		ready, err := parcels(entries)
		if err != nil || len(entries) == limit || len(entries) > 0 && !more {
			return ready, err
		}
		if out = ready; len(out) > 0 {
			after = out[len(out)-1].Seq
		}
	}
	err := e.store.View(func(tx *storage.Tx) error {
		chain, err := e.viewTxn(tx).chain(a)
		if err != nil {
			return err
		}
		from := record.OutboxKey(tx, a, max(after+1, chain.Pending))
		return tx.Scan(record.OutboxPrefix(tx, a), from, false, func(k storage.Key, v []byte) (bool, error) {
			o, err := record.ParseOutbox(v)
			if err != nil {
				return false, fmt.Errorf("reading the outbox: %w", err)
			}
			if o.Kind == record.OutboxUnsealed {
				return true, nil
			}
			class, env, err := o.Sealed()
			if err != nil {
				return false, fmt.Errorf("reading the outbox: %w", err)
			}
			out = append(out, parcel.Parcel{Seq: record.OutboxSeq(k), Class: class, Envelope: env})
			return len(out) < limit, nil
		})
	})
	return out, err
}

// Acked takes acknowledgements: whatever carries the right proof has been
// stored by the recipient, leaves the outbox and is announced as delivered.
// Others are ignored.
func (e *Engine) Acked(ctx context.Context, a identity.AccountID, _ identity.DeviceID, acks []parcel.Ack) error {
	steps := make([]*step, len(acks))
	for i, ack := range acks {
		steps[i] = &step{cost: 1024, run: func(t *txn) error { return t.acked(a, ack) }}
	}
	if err := e.doAll(ctx, steps); err != nil {
		return err
	}
	for _, s := range steps {
		if s.err != nil {
			return s.err
		}
	}
	return nil
}

func (t *txn) acked(a identity.AccountID, ack parcel.Ack) error {
	k := record.OutboxKey(t, a, ack.Seq)
	o, err := t.outbox(k)
	if err != nil || o == nil || o.Kind == record.OutboxUnsealed {
		return err
	}
	fresh := subtle.ConstantTimeCompare(o.MAC[:], ack.MAC[:]) == 1
	if !fresh {
		again, err := t.ackedAgain(a, o, ack.MAC)
		if err != nil {
			return err
		}
		if !again {
			t.e.log.Debug("acknowledgement without proof ignored")
			return nil
		}
	}
	if err := t.leave(a, ack.Seq); err != nil {
		return err
	}
	delete(t.e.resealed, o.Session)
	if o.Kind == record.OutboxFirst {
		return t.joined(a, o.Session, fresh)
	}
	if err := t.approved(a); err != nil {
		return err
	}
	if o.Message == [16]byte{} {
		return t.hasBundles(a, o.Packet)
	}
	if err := t.arrived(o); err != nil {
		return err
	}
	if o.Again {
		return t.sentOnceMore(o.Message, ack.Seq)
	}
	return t.setState(o.Message, record.StateDelivered)
}

// ackedAgain reports whether a first flight is acknowledged as one that was
// answered before.
func (t *txn) ackedAgain(a identity.AccountID, o *record.Outbox, mac [16]byte) (bool, error) {
	if o.Kind != record.OutboxFirst {
		return false, nil
	}
	all, err := t.sessionsWith(a)
	if err != nil {
		return false, err
	}
	for _, s := range all {
		if s.ID == o.Session && s.ratchet != nil {
			want := s.acknowledge(envelope.TagOf(o.Envelope), s.Device, true)
			return subtle.ConstantTimeCompare(want[:], mac[:]) == 1, nil
		}
	}
	return false, nil
}

// leave takes an entry out of the outbox, and notes from where on there may be
// others: deleted entries in front would have to be passed over each time.
func (t *txn) leave(a identity.AccountID, seq uint64) error {
	if err := t.unpost(a, seq); err != nil {
		return err
	}
	if err := t.del(record.OutboxKey(t, a, seq)); err != nil {
		return err
	}
	c, err := t.chain(a)
	if err != nil {
		return err
	}
	if seq >= c.Pending { // as all that are counted
		t.queued--
	}
	if c.Pending == seq {
		c.Pending++
		c.dirty, c.advance = true, true
	}
	t.left = append(t.left, outboxEntry{a, seq})
	return nil
}

// advance passes over what has left the outbox out of turn. What is hidden, since
// it has expired or since the clock is ahead, hasn't left.
func (t *txn) advance(a identity.AccountID, c *chain) error {
	for c.Pending <= c.LastOutbox {
		has, err := t.Held(record.OutboxKey(t, a, c.Pending))
		if err != nil {
			return err
		}
		if has {
			break
		}
		c.Pending++
		c.dirty = true
	}
	c.advance = false
	return nil
}

// sentOnceMore notes that what sent a message again, which had been acknowledged
// before, has left the outbox.
func (t *txn) sentOnceMore(id [16]byte, seq uint64) error {
	x, err := t.index(id)
	if err != nil || x == nil || x.Outbox != seq {
		return err
	}
	x.Outbox = 0
	return t.put(record.IndexKey(id), x.Marshal())
}

// setState moves a message on to a later state and announces it.
func (t *txn) setState(id [16]byte, state record.MessageState) error {
	x, err := t.index(id)
	if err != nil || x == nil {
		return err
	}
	if x.State >= state {
		return nil
	}
	x.State, x.Changed = state, t.now.UnixMilli()
	if state != record.StateStored {
		x.Outbox = 0
	}
	if err := t.put(record.IndexKey(id), x.Marshal()); err != nil {
		return err
	}
	return t.event(record.Event{Type: record.EventState, Message: id, State: state})
}

// Refused is told that the other side will not take an entry, and why. A
// session that the other side has lost is replaced; a message that breaks its
// rules is marked as failed, so that the person sees it.
func (e *Engine) Refused(ctx context.Context, a identity.AccountID, _ identity.DeviceID, seq uint64, code uint8) error {
	return e.do(ctx, 4096, func(t *txn) error {
		k := record.OutboxKey(t, a, seq)
		o, err := t.outbox(k)
		if err != nil || o == nil || o.Kind == record.OutboxUnsealed {
			return err
		}
		if o.Kind == record.OutboxFirst {
			if code == parcel.CodeBusy {
				return nil
			}
			if j, err := t.join(a); err != nil || j != nil {
				return errors.Join(err, t.joinRefused(a, code))
			}
			code = parcel.CodeUnknown
		}
		switch code {
		case parcel.CodeUnknown:
			t.after = append(t.after, func() { t.e.rekey.want(a) })
			t.wake[a] = struct{}{}
			return t.repost(a, o.Session)
		case parcel.CodeRefused, parcel.CodeTooBig, parcel.CodeClass:
			if err := t.leave(a, seq); err != nil {
				return err
			}
			if o.Message == [16]byte{} {
				return nil
			}
			if err := t.arrived(o); err != nil {
				return err
			}
			if o.Again {
				return t.sentOnceMore(o.Message, seq)
			}
			return t.setState(o.Message, record.StateFailed)
		}
		return nil
	})
}

// Reached remembers an address at which a device was reached.
func (e *Engine) Reached(ctx context.Context, a identity.AccountID, d identity.DeviceID, peer, addr []byte) {
	err := e.do(ctx, 4096, func(t *txn) error {
		if t.contact(a) == nil {
			return nil
		}
		h := identity.Hint{Peer: peer, Addr: addr}
		p := &record.Peer{Device: d, Account: a, Addresses: []identity.Hint{h}, Seen: t.now.Unix()}
		for _, old := range t.e.people.Load().peers[d] {
			if !sameHint(old, h) && len(p.Addresses) < record.MaxAddresses {
				p.Addresses = append(p.Addresses, old)
			}
		}
		t.known[d] = p.Addresses
		return t.put(record.PeerKey(t, d), p.Marshal())
	})
	if err != nil && !errors.Is(err, ErrStopped) && ctx.Err() == nil {
		e.log.Warn("remembering an address", "err", err)
	}
}
