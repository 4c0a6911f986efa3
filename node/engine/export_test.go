package engine

import (
	"context"

	"golang.org/x/time/rate"

	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/stamp"
	"rushlight/storage/record"
)

// Tell sends any packet: what a contact with a program of its own can do.
func (e *Engine) Tell(ctx context.Context, a identity.AccountID, p message.Packet) error {
	return e.do(ctx, 8192, func(t *txn) error { return t.tell(a, p) })
}

// Forge sends a logged message with any body, and takes no notice of it here.
func (e *Engine) Forge(ctx context.Context, a identity.AccountID, typ message.Type, body []byte) (id message.ID, err error) {
	err = e.do(ctx, 2*len(body)+8192, func(t *txn) error {
		conv, err := t.conversation(e.direct(a))
		if err != nil {
			return err
		}
		m := t.compose(conv, typ, body)
		out, err := t.insert(conv, m)
		if err != nil {
			return err
		}
		id = out.Position.ID
		conv.dirty, t.wrote = true, true
		return t.tell(a, m)
	})
	return id, err
}

// TakeAndGiveBack takes the first stamp for a contact's relays, and in the same step,
// on its own account, gives one back.
func (e *Engine) TakeAndGiveBack(ctx context.Context, a identity.AccountID, back stamp.Stamp) error {
	return e.do(ctx, 8192, func(t *txn) error {
		p, err := t.places(a)
		if err != nil {
			return err
		}
		q, err := t.places(a)
		if err != nil {
			return err
		}
		q.Relays[0].Stamps[0] = append(q.Relays[0].Stamps[0], back)
		t.putPlaces(q)
		p.Relays[0].Stamps[0] = p.Relays[0].Stamps[0][1:]
		t.putPlaces(p)
		return nil
	})
}

// Flood is [Engine.Forge] for many bodies in one step.
func (e *Engine) Flood(ctx context.Context, a identity.AccountID, typ message.Type, bodies [][]byte) (ids []message.ID, err error) {
	err = e.do(ctx, len(bodies)*4096, func(t *txn) error {
		conv, err := t.conversation(e.direct(a))
		if err != nil {
			return err
		}
		for _, body := range bodies {
			m := t.compose(conv, typ, body)
			out, err := t.insert(conv, m)
			if err != nil {
				return err
			}
			ids = append(ids, out.Position.ID)
			if err := t.tell(a, m); err != nil {
				return err
			}
		}
		conv.dirty, t.wrote = true, true
		return nil
	})
	return ids, err
}

// SendRaw sends a message of any type that both sides show.
func (e *Engine) SendRaw(ctx context.Context, a identity.AccountID, typ message.Type, body []byte) (id message.ID, err error) {
	err = e.do(ctx, 2*len(body)+8192, func(t *txn) error {
		conv, err := t.conversation(e.direct(a))
		if err != nil {
			return err
		}
		id, err = t.insertOwn(a, message.Lifetime{}, conv, t.compose(conv, typ, body))
		return err
	})
	return id, err
}

// Fill writes messages that are delivered already, a few hundred in a step.
func (e *Engine) Fill(ctx context.Context, a identity.AccountID, n int, text func(i int) string) error {
	const few = 200
	for from := 0; from < n; from += few {
		if err := e.do(ctx, few*1024, func(t *txn) error {
			conv, err := t.conversation(e.direct(a))
			if err != nil {
				return err
			}
			conv.dirty, t.wrote = true, true
			for i := from; i < min(from+few, n); i++ {
				body, err := message.NewBody(text(i), message.Lifetime{})
				if err != nil {
					return err
				}
				m := t.compose(conv, message.TypeText, body)
				content, err := m.Marshal()
				if err != nil {
					return err
				}
				out, err := t.insert(conv, m)
				if err != nil {
					return err
				}
				rec := &record.Message{Account: e.self.account, Mine: true, Received: t.now.UnixMilli(), Content: content}
				leaf, err := t.leafFor(m.Conversation, rec)
				if err != nil {
					return err
				}
				if err := t.putMessage(m, rec, out, &record.Index{State: record.StateDelivered}, leaf, true); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// LookFor lets so many indexes beyond the windows be searched from now on, and
// returns how many of them are left.
func (e *Engine) LookFor(indexes int) (left func() int) {
	e.turn.Lock()
	defer e.turn.Unlock()
	l := rate.NewLimiter(0, indexes)
	e.tags.steps = l
	return func() int { return int(l.Tokens()) }
}
