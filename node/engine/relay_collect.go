package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"rushlight/node/delivery/parcel"
	"rushlight/protocol/envelope"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

// takeAcks takes acknowledgements that came by way of a relay.
func (t *txn) takeAcks(s *session, m *message.Acks) error {
	a := s.Account
	c, err := t.chain(a)
	if err != nil {
		return err
	}
	type match struct {
		seq uint64
		mac [16]byte
	}
	var all []match
	if err := t.Scan(record.OutboxPrefix(t, a), record.OutboxKey(t, a, c.Pending), false, func(k storage.Key, v []byte) (bool, error) {
		o, err := record.ParseOutbox(v)
		if err != nil {
			return false, fmt.Errorf("reading the outbox: %w", err)
		}
		for _, mac := range m.MACs {
			if o.Kind == record.OutboxFirst || o.Kind == record.OutboxSession && o.MAC == mac {
				all = append(all, match{record.OutboxSeq(k), mac})
			}
		}
		return true, nil
	}); err != nil {
		return err
	}
	for _, x := range all {
		if err := t.acked(a, parcel.Ack{Seq: x.seq, MAC: x.mac}); err != nil {
			return err
		}
	}
	return nil
}

// Collect takes envelopes that came to a mailbox at a relay, in order, those that
// have to be searched for behind the others, and commits them. Each is at least as
// old as ages says; nil is unknown. What is committed is to be trimmed; see
// [Engine.ReceiveBatch].
func (e *Engine) Collect(ctx context.Context, relay [32]byte, envs [][]byte, ages []time.Duration) []Result {
	out := make([]Result, len(envs))
	all := make([]int, len(envs))
	for i := range all {
		all[i] = i
	}
	e.collect(ctx, relay, nil, envs, ages, all, out)
	// Each that is taken moves its window on, so that most of what lay beyond one
	// lies within it by now. What doesn't is looked for further ahead.
	var left []int
	var tags [][16]byte
	for i := range out {
		if errors.Is(out[i].Err, ErrUnknownTag) {
			left, tags, out[i] = append(left, i), append(tags, envelope.TagOf(envs[i])), Result{}
		}
	}
	if len(left) > 0 {
		look := &step{cost: 4096, run: func(t *txn) error { return t.lookAhead(relay, tags) }}
		e.collect(ctx, relay, look, envs, ages, left, out)
	}
	return out
}

// collect takes some of the envelopes, behind another step unless that is nil,
// and notes in out what became of them.
func (e *Engine) collect(ctx context.Context, relay [32]byte, before *step, envs [][]byte, ages []time.Duration, which []int, out []Result) {
	var steps []*step
	if before != nil {
		steps = append(steps, before)
	}
	for _, i := range which {
		steps = append(steps, &step{cost: len(envs[i]) + 16<<10, run: func(t *txn) error {
			if t.relay(relay) == nil {
				return ErrUnknownRelay
			}
			if i < len(ages) {
				t.aged = ages[i]
			}
			r, err := t.receive(relay, identity.DeviceID{}, envs[i])
			if errors.Is(err, errBlockedMail) {
				return nil
			}
			if err != nil || r.quiet && r.account == (identity.AccountID{}) {
				return err
			}
			out[i].MAC = r.mac
			return errors.Join(t.owe(r), t.spent(r.account, relay, len(envs[i])))
		}})
	}
	err := e.doAll(ctx, steps)
	steps = steps[len(steps)-len(which):]
	for k, i := range which {
		if failed := cmp.Or(err, steps[k].err); failed != nil {
			out[i] = Result{Err: failed}
		}
	}
}

// Owes lists the contacts who wait for acknowledgements.
func (e *Engine) Owes() (out []identity.AccountID, err error) {
	err = e.Remembered(record.PlacesPrefix(), func(v []byte) error {
		p, err := record.ParsePlaces(v)
		if err == nil && len(p.Owed) > 0 {
			out = append(out, p.Account)
		}
		return err
	})
	return out, err
}

// owe notes that an envelope is to be acknowledged.
func (t *txn) owe(r received) error {
	if r.quiet {
		return nil
	}
	p, err := t.places(r.account)
	if err != nil {
		return err
	}
	if slices.Contains(p.Owed, r.mac) || len(p.Owed) >= record.MaxOwed {
		return nil // it comes again if this is forgotten
	}
	p.Owed = append(p.Owed, r.mac)
	t.putPlaces(p)
	return nil
}

// Acknowledge sends a contact the acknowledgements that wait for it.
func (e *Engine) Acknowledge(ctx context.Context, a identity.AccountID) error {
	return e.do(ctx, 256<<10, func(t *txn) error {
		p, err := t.places(a)
		if c := t.contact(a); err != nil || c == nil || c.State == record.ContactBlocked || len(p.Owed) == 0 {
			return err
		}
		all := p.Owed
		p.Owed = nil
		t.putPlaces(p)
		for chunk := range slices.Chunk(all, message.MaxAcks) {
			if err := t.tell(a, &message.Acks{MACs: chunk}); err != nil {
				return err
			}
		}
		return nil
	})
}

// spent notes that a contact has used a stamp, and gives it new ones when they
// run low.
func (t *txn) spent(a identity.AccountID, relay [32]byte, size int) error {
	g, err := t.given(a)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(g.Relays, func(x record.GivenRelay) bool { return x.Key == relay })
	if i < 0 {
		return nil
	}
	low := false
	for class, enough := range t.enough(a) {
		if ClassOf(class).Size() == size && g.Relays[i].Left[class] > 0 {
			g.Relays[i].Left[class]--
			low = g.Relays[i].Left[class] < enough/2
		}
	}
	if err := t.put(record.GivenKey(t, a), g.Marshal()); err != nil || !low {
		return err
	}
	return t.provision(a, false)
}
