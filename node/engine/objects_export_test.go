package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"rushlight/protocol/identity"
	"rushlight/storage"
	"rushlight/storage/record"
)

// ObjectsDiffer says what of the objects for the next transaction isn't what the
// store has, of an engine that has ended. Nil is nothing.
func (e *Engine) ObjectsDiffer() error {
	return e.store.View(func(tx *storage.Tx) (out error) {
		t := e.viewTxn(tx)
		same := func(what string, k storage.Key, ours []byte) {
			b, err := t.get(k)
			if err == nil && !bytes.Equal(b, ours) {
				err = fmt.Errorf("engine: a %s isn't what the store has", what)
			}
			out = errors.Join(out, err)
		}
		for id, s := range e.objects.sessions {
			if s.ratchet != nil {
				s.State = s.ratchet.Marshal()
			}
			same("session", record.SessionKey(t, s.Account, id.device, id.id), s.Marshal())
		}
		for a, all := range e.objects.peers {
			read, err := t.sessionsWith(a)
			if err == nil && len(read) != len(all) {
				err = fmt.Errorf("engine: %d sessions, the store has %d", len(all), len(read))
			}
			out = errors.Join(out, err)
		}
		for a, c := range e.objects.chains {
			if c.chain != nil {
				c.State = c.chain.Marshal()
			}
			if has, err := t.Has(record.ChainKey(t, a)); has || err != nil || c.chain != nil {
				same("chain", record.ChainKey(t, a), c.Marshal())
			}
		}
		for d, w := range e.objects.windows {
			for i, c := range w.chains {
				w.Chains[i].State = c.Marshal()
			}
			same("window", record.WindowKey(t, d), w.Marshal())
		}
		for id, c := range e.objects.convs {
			c.History = c.history.Marshal()
			if has, err := t.Has(record.ConversationKey(t, id)); has || err != nil || len(c.history.Heads()) > 0 {
				same("conversation", record.ConversationKey(t, id), c.Marshal())
			}
		}
		return out
	})
}

// QueuedDiffers says how many entries the outbox of an engine that has ended
// holds, if it counts others.
func (e *Engine) QueuedDiffers() error {
	n := 0
	if err := e.store.View(func(tx *storage.Tx) error {
		return tx.ScanHeld(record.OutboxFamily(), nil, false, func(storage.Key) (bool, error) { n++; return true, nil })
	}); err != nil {
		return err
	}
	if n != e.Queued() {
		return fmt.Errorf("engine: %d entries are in the outbox and %d are counted", n, e.Queued())
	}
	return nil
}

// Objects is how many sessions the next transaction needn't read.
func (e *Engine) Objects() int { return len(e.objects.sessions) }

var errStep = errors.New("engine: a test's step")

// FailBeside uses a session in a step that then fails without having written, in
// one transaction with a step that succeeds.
func (e *Engine) FailBeside(ctx context.Context, a identity.AccountID) error {
	steps := []*step{{cost: 4096, run: func(t *txn) error {
		s, err := t.current(a)
		if err != nil {
			return err
		}
		if _, err := s.ratchet.Encrypt(nil, make([]byte, 32)); err != nil {
			return err
		}
		return errStep
	}}, {cost: 4096, run: func(t *txn) error {
		_, err := t.sessionsWith(a)
		return errors.Join(err, t.put(record.DoubtKey(), []byte{1}), t.del(record.DoubtKey()))
	}}}
	if err := e.doAll(ctx, steps); err != nil {
		return err
	}
	if !errors.Is(steps[0].err, errStep) {
		return errors.Join(errors.New("engine: the step didn't fail"), steps[0].err)
	}
	return steps[1].err
}
