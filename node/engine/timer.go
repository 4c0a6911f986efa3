package engine

import (
	"context"
	"time"

	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage/record"
)

// Never in the place of a lifetime is for ever, whatever the conversation has.
const Never time.Duration = -1

// chosen replaces what is [Never] by what a message says.
func chosen(l message.Lifetime) message.Lifetime {
	if l.Expiry == Never {
		l.Expiry = 0
	}
	if l.Burn == Never {
		l.Burn = 0
	}
	return l
}

// timer is how long messages of the conversation live that are told nothing
// else.
func (c *conversation) timer() message.Lifetime {
	return message.Lifetime{Expiry: time.Duration(c.Timer.Expiry) * time.Second, Burn: time.Duration(c.Timer.Burn) * time.Second}
}

// effective is how long a message lives that was told l.
func (c *conversation) effective(l message.Lifetime) message.Lifetime {
	t := c.timer()
	if l.Expiry == 0 {
		l.Expiry = t.Expiry
	}
	if l.Burn == 0 {
		l.Burn = t.Burn
	}
	return chosen(l)
}

// applyTimer takes over what a timer message says, unless a newer one did.
func (c *conversation) applyTimer(m *message.Message, id message.ID) error {
	b, err := message.ParseBody(message.TypeTimer, m.Body)
	if err != nil || !newer(m.HLC, id, c.Timer.Time, c.Timer.ID) {
		return err
	}
	c.Timer = record.Timer{
		Expiry: uint32(b.Timer.Expiry / time.Second), Burn: uint32(b.Timer.Burn / time.Second), Time: m.HLC, ID: id,
	}
	c.dirty = true
	return nil
}

// SetTimer sets how long later messages of a conversation live on both sides,
// and says so in it. Zero is for ever. Errors: message.ErrExpiry,
// message.ErrBurn, and those of [Engine.Send].
func (e *Engine) SetTimer(ctx context.Context, a identity.AccountID, l message.Lifetime) (Sent, error) {
	body, err := (&message.Body{Type: message.TypeTimer, Timer: l}).Salted().Marshal()
	if err != nil {
		return Sent{}, err
	}
	var out Sent
	err = e.do(ctx, 8192, func(t *txn) error {
		if err := t.maySend(a); err != nil {
			return err
		}
		conv, err := t.conversation(e.direct(a))
		if err != nil {
			return err
		}
		m := t.compose(conv, message.TypeTimer, body)
		id, err := t.insertOwn(a, message.Lifetime{}, conv, m)
		if err != nil {
			return err
		}
		out = Sent{ID: id, State: record.StateQueued, At: message.ClockTime(m.HLC)}
		return conv.applyTimer(m, id)
	})
	return out, err
}

// Timer is how long messages of a conversation live that are told nothing else.
func (e *Engine) Timer(a identity.AccountID) (l message.Lifetime, err error) {
	err = e.view(func(t *txn) error {
		conv, err := t.conversation(e.direct(a))
		if err == nil {
			l = conv.timer()
		}
		return err
	})
	return l, err
}
