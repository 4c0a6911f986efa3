package engine

import (
	"context"

	"rushlight/protocol/identity"
	"rushlight/protocol/message"
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
