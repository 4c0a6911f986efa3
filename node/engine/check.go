package engine

import (
	"context"
	"fmt"

	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

// Fault is one invariant that does not hold.
type Fault struct{ Where, What string }

// Report is the outcome of [Engine.Check].
type Report struct {
	Checked map[string]int
	Faults  []Fault
}

func (r *Report) fault(where, what string, args ...any) {
	const most = 100
	if len(r.Faults) < most {
		r.Faults = append(r.Faults, Fault{where, fmt.Sprintf(what, args...)})
	}
}

// Check opens every record and verifies what must hold between them: each
// message stands once, is found by its id, and follows its author's earlier
// ones; each outbox entry has its message; events have no holes.
func (e *Engine) Check(ctx context.Context) (*Report, error) {
	base, err := e.store.Check(ctx)
	if err != nil {
		return nil, err
	}
	r := &Report{Checked: map[string]int{"tables": base.Tables}}
	for _, n := range base.Records {
		r.Checked["records"] += n
	}
	for _, p := range base.Problems {
		r.fault(fmt.Sprintf("family %#02x", p.Family), "%s", p.What)
	}
	err = e.store.View(func(tx *storage.Tx) error {
		t := e.viewTxn(tx)
		if err := t.checkMessages(ctx, r); err != nil {
			return err
		}
		if err := t.checkIndex(ctx, r); err != nil {
			return err
		}
		if err := t.checkOutbox(ctx, r); err != nil {
			return err
		}
		return t.checkEvents(ctx, r)
	})
	if err != nil {
		return nil, fmt.Errorf("checking: %w", err)
	}
	return r, nil
}

func (t *txn) checkMessages(ctx context.Context, r *Report) error {
	return t.Scan(record.MessageFamily(), nil, false, func(k storage.Key, v []byte) (bool, error) {
		r.Checked["messages"]++
		rec, err := record.ParseMessage(v)
		if err != nil {
			r.fault("messages", "one can't be read: %v", err)
			return true, ctx.Err()
		}
		m, err := parse(rec)
		if err != nil {
			r.fault("messages", "the content of one can't be read: %v", err)
			return true, ctx.Err()
		}
		x, err := t.index(m.ID())
		switch {
		case err != nil:
			r.fault("message index", "an entry can't be read: %v", err)
		case x == nil:
			r.fault("message index", "a message has no entry")
		case string(x.Key) != string(k):
			r.fault("messages", "a message stands twice, or its entry points elsewhere")
		}
		conv, err := t.conversation(m.Conversation)
		if err != nil {
			r.fault("conversations", "one can't be read: %v", err)
		} else if l, ok := conv.history.Log(m.Author); !ok || !l.Held.Has(m.Seq) {
			r.fault("conversations", "a message is missing in the history of its conversation")
		}
		return true, ctx.Err()
	})
}

func (t *txn) checkIndex(ctx context.Context, r *Report) error {
	over := map[message.ID]bool{} // hidden, and not ended yet
	if err := t.ScanKeys(record.DuePrefix(), nil, false, func(k storage.Key) (bool, error) {
		at, id, err := record.ParseDueKey(k)
		over[id] = true
		return !at.After(t.now), err
	}); err != nil {
		return err
	}
	return t.Scan(record.IndexPrefix(), nil, false, func(k storage.Key, v []byte) (bool, error) {
		r.Checked["message index"]++
		x, err := record.ParseIndex(v)
		if err != nil {
			r.fault("message index", "an entry can't be read: %v", err)
			return true, ctx.Err()
		}
		if len(x.Key) == 0 {
			return true, ctx.Err() // a deleted message
		}
		if has, err := t.Has(x.Key); err != nil || !has && !over[message.ID(k[1:])] {
			r.fault("message index", "an entry has no message")
		}
		return true, ctx.Err()
	})
}

func (t *txn) checkOutbox(ctx context.Context, r *Report) error {
	n := 0
	err := t.Scan(record.OutboxFamily(), nil, false, func(_ storage.Key, v []byte) (bool, error) {
		n++
		o, err := record.ParseOutbox(v)
		if err != nil {
			r.fault("outbox", "an entry can't be read: %v", err)
			return true, ctx.Err()
		}
		if o.Message == [16]byte{} {
			return true, ctx.Err()
		}
		x, err := t.index(o.Message)
		if err != nil || x == nil {
			r.fault("outbox", "an entry delivers a message that is not there")
		} else if x.State != record.StateQueued && x.State != record.StateStored && len(o.Packet) == 0 && !o.Again {
			r.fault("outbox", "a message that is through still waits for delivery")
		}
		return true, ctx.Err()
	})
	r.Checked["outbox"] = n
	return err
}

func (t *txn) checkEvents(ctx context.Context, r *Report) error {
	last := uint64(0)
	return t.Scan(record.EventPrefix(), nil, false, func(k storage.Key, v []byte) (bool, error) {
		r.Checked["events"]++
		if _, err := record.ParseEvent(v); err != nil {
			r.fault("events", "one can't be read: %v", err)
		}
		seq := record.EventSeq(k)
		if last != 0 && seq != last+1 {
			r.fault("events", "the log has a hole")
		}
		last = seq
		return true, ctx.Err()
	})
}
