package engine

import (
	"context"
	"fmt"
	"time"

	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage/record"
)

// Clock is the time of this device, as its messages claim it.
func (e *Engine) Clock() time.Time { return e.store.Now() }

// PeerClock compares the clock of a contact's device with this one: theirs is
// what it shows now. One that agrees confirms this one, unless the contact still
// waits for approval, or is blocked.
func (e *Engine) PeerClock(ctx context.Context, d identity.DeviceID, theirs time.Time) error {
	ahead := e.store.Now().Sub(theirs)
	a, ok := e.people.Load().devices[d]
	if !ok {
		return nil
	}
	return e.do(ctx, 1024, func(t *txn) error {
		c := t.contact(a)
		if c == nil {
			return nil
		}
		if c.State == record.ContactApproved && e.ClockInDoubt() && -message.Agreement < ahead && ahead < message.Agreement {
			t.after = append(t.after, func() { e.life.confirm() })
		}
		before, err := t.ahead(d)
		if err != nil {
			return err
		}
		if near := ahead - before; -clockSteps < near && near < clockSteps {
			return nil
		}
		return t.setAhead(d, ahead)
	})
}

// clockSteps is by how much the difference of two clocks must change to be
// noted anew.
const clockSteps = time.Second

// ahead is by how much this clock is ahead of that of a device; zero when they
// were never compared.
func (t *txn) ahead(d identity.DeviceID) (time.Duration, error) {
	b, err := t.get(record.AheadKey(t, d))
	if err != nil || b == nil {
		return 0, err
	}
	a, err := record.ParseAhead(b)
	if err != nil {
		return 0, fmt.Errorf("reading a clock: %w", err)
	}
	return a.By, nil
}

func (t *txn) setAhead(d identity.DeviceID, by time.Duration) error {
	if by = by.Truncate(time.Millisecond); by == 0 {
		return t.del(record.AheadKey(t, d))
	}
	return t.put(record.AheadKey(t, d), (&record.Ahead{By: by}).Marshal())
}

// deadline is when a message that a contact sent ends here, in unix
// milliseconds; 0 is never (spec §9.7).
func (t *txn) deadline(m *message.Message, l message.Lifetime) (int64, error) {
	if l.Expiry == 0 {
		return 0, nil
	}
	before, err := t.ahead(m.Author)
	if err != nil {
		return 0, err
	}
	e := message.Evidence{Ahead: before, Received: t.now, Latest: t.now.Add(-t.aged)}
	for _, id := range m.Parents {
		x, err := t.index(id)
		if err != nil {
			return 0, err
		}
		if x == nil || !x.Mine {
			continue
		}
		if at := message.ClockTime(x.Order); at.After(e.Earliest) {
			e.Earliest = at
		}
	}
	sent, after := e.Sent(m.HLC)
	if after != before {
		if err := t.setAhead(m.Author, after); err != nil {
			return 0, err
		}
	}
	return l.Expires(sent).UnixMilli(), nil
}
