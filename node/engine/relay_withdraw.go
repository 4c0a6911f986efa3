package engine

import (
	"context"
	"fmt"
	"time"

	"rushlight/protocol/envelope"
	"rushlight/protocol/mailbox"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

const (
	leftLife = 31 * 24 * time.Hour // a relay keeps nothing longer
	// A deposit that was begun may still be under way for so long.
	underWay = time.Minute
	// maxWithdrawals bounds how many are returned at once.
	maxWithdrawals = 256
)

// remember notes that an envelope of an own message may soon lie at a relay.
func (t *txn) remember(o *record.Outbox, c record.Copy, addrs [][]byte, cure [16]byte, env []byte) error {
	if o.Message == (message.ID{}) {
		return nil
	}
	k := record.LeftKey(o.Message)
	l := &record.Left{}
	b, err := t.get(k)
	if err != nil {
		return err
	}
	if b != nil {
		if l, err = record.ParseLeft(b); err != nil {
			return fmt.Errorf("reading what lies at relays: %w", err)
		}
	}
	l.Copies = append(l.Copies, record.LeftCopy{
		Relay: c.Relay, Addrs: addrs, Stamp: c.Stamp, Object: mailbox.Object(env), Cure: cure, Made: t.now.Unix(),
	})
	l.Copies = l.Copies[max(0, len(l.Copies)-record.MaxLeft):]
	return t.putExpiring(k, l.Marshal(), leftLife)
}

// withdraw takes back at relays what may lie there of an own message, and
// reports whether there is any such thing (spec §12.9).
func (t *txn) withdraw(id message.ID) (bool, error) {
	b, err := t.get(record.LeftKey(id))
	if err != nil || b == nil {
		return false, err
	}
	l, err := record.ParseLeft(b)
	if err != nil {
		return false, fmt.Errorf("reading what lies at relays: %w", err)
	}
	for _, c := range l.Copies {
		w := &record.Withdrawal{LeftCopy: c, Due: t.now.Unix(), Until: time.Unix(c.Made, 0).Add(leftLife).Unix()}
		w.Sure = t.now.Sub(time.Unix(c.Made, 0)) > underWay
		if err := t.put(record.WithdrawalKey(t, w), w.Marshal()); err != nil {
			return false, err
		}
	}
	t.after = append(t.after, t.e.withdrawals.ring)
	return len(l.Copies) > 0, t.del(record.LeftKey(id))
}

// bell tells one listener that something has changed.
type bell chan struct{}

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// WithdrawalsChanged has a token after a start, and when something is to be
// deleted at a relay.
func (e *Engine) WithdrawalsChanged() <-chan struct{} { return e.withdrawals }

// Withdrawals lists what is to be deleted at relays now, and says when to ask
// again; never, when that is zero.
func (e *Engine) Withdrawals() (out []record.Withdrawal, again time.Time, err error) {
	err = e.store.View(func(tx *storage.Tx) error {
		out, again = nil, time.Time{}
		now := tx.Now()
		return tx.Scan(record.WithdrawalPrefix(), nil, false, func(_ storage.Key, v []byte) (bool, error) {
			w, err := record.ParseWithdrawal(v)
			if err != nil {
				return false, fmt.Errorf("reading what is to be deleted: %w", err)
			}
			if at := time.Unix(w.Due, 0); at.After(now) {
				if again.IsZero() || at.Before(again) {
					again = at
				}
				return true, nil
			}
			out = append(out, *w)
			if len(out) == maxWithdrawals {
				again = now
			}
			return len(out) < maxWithdrawals, nil
		})
	})
	return out, again, err
}

// Withdrawn takes the answer of a relay. With gone the envelope is not there,
// for which a relay is believed once the deposit can't be under way any more.
// Otherwise it is tried again after a pause, until no relay has it any more.
func (e *Engine) Withdrawn(ctx context.Context, w *record.Withdrawal, deleted, gone bool, pause time.Duration) error {
	return e.do(ctx, 4096, func(t *txn) error {
		k := record.WithdrawalKey(t, w)
		if deleted || gone && w.Sure || t.now.Unix() >= w.Until {
			return t.del(k)
		}
		next := *w
		if gone {
			next.Sure, pause = true, underWay
		}
		next.Due = t.now.Add(pause).Unix()
		return t.put(k, next.Marshal())
	})
}

// cureOf is the right to delete an entry's envelope at a relay.
func cureOf(o *record.Outbox, relay [32]byte) [16]byte {
	if o.Kind != record.OutboxSession {
		return [16]byte{}
	}
	return envelope.KeysFor(o.Key, relay).Cure
}
