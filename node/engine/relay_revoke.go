package engine

import (
	"context"
	"fmt"
	"slices"

	"rushlight/protocol/identity"
	"rushlight/protocol/mailbox"
	"rushlight/storage"
	"rushlight/storage/record"
)

// revoke takes back the stamps that a contact was given (spec §11.3). It takes
// effect when the relays were told; what was deposited before can't be told
// from what others did.
func (t *txn) revoke(a identity.AccountID) error {
	g, err := t.given(a)
	if err != nil {
		return err
	}
	for _, x := range g.Relays {
		if t.relay(x.Key) == nil || len(x.Serials) == 0 {
			continue
		}
		v, err := t.revoked(x.Key)
		if err != nil {
			return err
		}
		v.Serials = append(v.Serials, x.Serials...)
		slices.Sort(v.Serials)
		v.Serials = slices.Compact(v.Serials)
		v.Serials = v.Serials[max(0, len(v.Serials)-record.MaxRevoked):]
		if err := t.put(record.RevokedKey(t, x.Key), v.Marshal()); err != nil {
			return err
		}
	}
	t.after = append(t.after, func() { bell(t.e.own.changed).ring() })
	return t.del(record.GivenKey(t, a))
}

func (t *txn) revoked(relay [32]byte) (*record.Revoked, error) {
	b, err := t.get(record.RevokedKey(t, relay))
	if err != nil || b == nil {
		return &record.Revoked{}, err
	}
	v, err := record.ParseRevoked(b)
	if err != nil {
		return nil, fmt.Errorf("reading stamps to take back: %w", err)
	}
	return v, nil
}

// Revocations are the serials of the stamps that are to be taken back at a
// relay, as many as one request holds.
func (e *Engine) Revocations(relay [32]byte) (out []mailbox.Range[uint32], err error) {
	err = e.store.View(func(tx *storage.Tx) error {
		v, err := e.viewTxn(tx).revoked(relay)
		if err == nil {
			out = mailbox.RangesOf(v.Serials)
			out = out[:min(len(out), mailbox.MaxRanges)]
		}
		return err
	})
	return out, err
}

// RevocationsDone notes that the relay has taken stamps back.
func (e *Engine) RevocationsDone(ctx context.Context, relay [32]byte, done []mailbox.Range[uint32]) error {
	return e.do(ctx, 4*record.MaxRevoked, func(t *txn) error {
		v, err := t.revoked(relay)
		if err != nil {
			return err
		}
		v.Serials = slices.DeleteFunc(v.Serials, func(s uint32) bool {
			return slices.ContainsFunc(done, func(g mailbox.Range[uint32]) bool { return g.From <= s && s <= g.To })
		})
		if len(v.Serials) == 0 {
			return t.del(record.RevokedKey(t, relay))
		}
		return t.put(record.RevokedKey(t, relay), v.Marshal())
	})
}

// Revokes reports whether stamps are to be taken back at a relay.
func (e *Engine) Revokes(relay [32]byte) (has bool) {
	err := e.store.View(func(tx *storage.Tx) (err error) {
		has, err = tx.Has(record.RevokedKey(tx, relay))
		return err
	})
	return err == nil && has
}
