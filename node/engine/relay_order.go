package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage/record"
)

// ErrNoStamps: there are none now to pay for what is ordered; the pool is being
// filled up, if the relay gives any.
var ErrNoStamps = errors.New("engine: no stamps for a file")

// orders is when stamps for files were drawn last, by relay.
type orders struct {
	mu sync.Mutex
	at map[[32]byte]time.Time
}

func (o *orders) note(relay [32]byte, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.at == nil {
		o.at = map[[32]byte]time.Time{}
	}
	o.at[relay] = now
}

func (o *orders) lately(relay [32]byte, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	at, ok := o.at[relay]
	return ok && now.Sub(at) < orderLife
}

// Order queues an order of stretches of a file for a contact. One without stamps
// gets some out of the pool of its relay, and is cut to as many as there are:
// [ErrNoStamps].
// The serials of the stamps are returned, and are to be given in spent when the
// stretches they paid for have come: they aren't remembered any longer then.
// Other errors as of [Engine.Send].
func (e *Engine) Order(ctx context.Context, to identity.AccountID, o *message.FileOrder, spent []uint32) (serials []uint32, err error) {
	err = e.do(ctx, 192<<10, func(t *txn) error {
		serials = nil
		if err := t.maySend(to); err != nil {
			return err
		}
		g, err := t.given(to)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(g.Relays, func(x record.GivenRelay) bool { return x.Key == o.Relay })
		if i < 0 || t.relay(o.Relay) == nil {
			return ErrNoStamps // the contact hasn't been told of this relay yet
		}
		if len(o.Stamps) > 0 { // once more
			return t.tell(to, o)
		}
		e.orders.note(o.Relay, t.now)
		some, err := t.draw(o.Relay, 2, o.Stretches())
		if err != nil {
			return err
		}
		if len(some) == 0 {
			return ErrNoStamps
		}
		order := *o
		order.Runs, order.Stamps = slices.Clone(o.Runs), nil
		order.Cut(len(some))
		for _, s := range some {
			order.Stamps, serials = append(order.Stamps, s.Stamp), append(serials, s.Serial)
		}
		*o = order
		x := &g.Relays[i]
		x.Serials = slices.DeleteFunc(x.Serials, func(s uint32) bool { return slices.Contains(spent, s) })
		x.Serials = append(x.Serials, serials...)
		x.Serials = x.Serials[max(0, len(x.Serials)-record.MaxSerials):]
		if err := t.put(record.GivenKey(t, to), g.Marshal()); err != nil {
			return err
		}
		return t.tell(to, &order)
	})
	return serials, err
}

// PlaceOf is where a relay of a contact is reached; ok is false when the contact
// has not named it.
func (e *Engine) PlaceOf(a identity.AccountID, relay [32]byte) (addrs [][]byte, ok bool) {
	_ = e.view(func(t *txn) error { // not known is no
		p, err := t.places(a)
		if err != nil {
			return err
		}
		for _, x := range p.Relays {
			if x.Key == relay {
				addrs, ok = x.Addrs, true
			}
		}
		return nil
	})
	return addrs, ok
}
