package engine

import (
	"fmt"
	"slices"
	"time"

	"rushlight/protocol/envelope"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage/record"
)

// Stamps are lost with what a relay drops: who gave them can't count those. So
// who has none left says so (spec §12.8).

// stampless is when contacts were asked for stamps, and were given some because
// they asked or order files.
type stampless struct {
	asked, given, files since
	asks                since // requests of this device, by work
}

// since is when something was for an account.
type since = map[identity.AccountID]time.Time

const (
	askEvery  = 24 * time.Hour // at most
	giveEvery = 6 * time.Hour  // at most
)

func classOf(o *record.Outbox) (envelope.Class, error) {
	if o.Kind != record.OutboxFirst {
		return o.Class, nil
	}
	c, _, err := o.Sealed()
	return c, err
}

// giveBack puts the stamps of copies that no relay has answered for back among
// those of the contact. One that was spent after all is refused.
func giveBack(p *record.Places, d *record.Posted, o *record.Outbox) error {
	class, err := classOf(o)
	if err != nil {
		return err
	}
	pool := poolOf(class)
	for _, c := range d.Copies {
		i := slices.IndexFunc(p.Relays, func(x record.Place) bool { return x.Key == c.Relay })
		if c.Stored || c.Lane || i < 0 || len(p.Relays[i].Stamps[pool]) >= maxStamps[pool] {
			continue
		}
		p.Relays[i].Stamps[pool] = append(p.Relays[i].Stamps[pool], c.Stamp)
	}
	return nil
}

// askStamps tells a contact how many of its stamps are left.
func (t *txn) askStamps(a identity.AccountID, p *record.Places) error {
	if at, ok := t.e.stampless.asked[a]; ok && t.now.Sub(at) < askEvery {
		return nil
	}
	m := &message.Low{}
	for _, r := range p.Relays {
		one := message.LowRelay{Key: r.Key}
		for class, s := range r.Stamps {
			one.Left[class] = uint16(t.lasting(s))
		}
		m.Relays = append(m.Relays, one)
	}
	slices.SortFunc(m.Relays, func(a, b message.LowRelay) int { return slices.Compare(a.Key[:], b.Key[:]) })
	t.after = append(t.after, func() { t.e.stampless.asked[a] = t.now })
	return t.tell(a, m)
}

// takeLow gives a contact the stamps that it lacks.
func (t *txn) takeLow(s *session, m *message.Low) error {
	a := s.Account
	if at, ok := t.e.stampless.given[a]; ok && t.now.Sub(at) < giveEvery {
		return nil
	}
	g, err := t.given(a)
	if err != nil {
		return err
	}
	for _, r := range m.Relays {
		i := slices.IndexFunc(g.Relays, func(x record.GivenRelay) bool { return x.Key == r.Key })
		if i < 0 {
			continue
		}
		for class := range r.Left {
			g.Relays[i].Left[class] = min(g.Relays[i].Left[class], r.Left[class])
		}
	}
	if err := t.put(record.GivenKey(t, a), g.Marshal()); err != nil {
		return fmt.Errorf("noting a contact's stamps: %w", err)
	}
	t.after = append(t.after, func() { t.e.stampless.given[a] = t.now })
	return t.provision(a, false)
}
