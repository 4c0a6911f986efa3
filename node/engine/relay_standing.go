package engine

import (
	"fmt"
	"slices"
	"time"

	"rushlight/protocol/handshake"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

// A contact also holds one bundle of last resort that was made for it alone, so
// that two who never meet can always start one more session (spec §12.9). It is
// replaced once it was used, or is old, and the contact has the one before.
// What was sealed from the one before may still lie at a relay: its secrets are
// kept as long as that.
const (
	standingLife  = 400 * 24 * time.Hour
	standingFresh = 30 * 24 * time.Hour
	standingAfter = handshake.GlareWindow
)

// standing reports whether a prekey may be used more than once.
func standing(p *record.Prekey) bool {
	b, err := handshake.ParseBundle(p.Bundle)
	return err == nil && b.LastResort()
}

func (t *txn) prekey(hash [32]byte) (*record.Prekey, error) {
	b, err := t.get(record.PrekeyKey(hash))
	if err != nil || b == nil {
		return nil, err
	}
	p, err := record.ParsePrekey(b)
	if err != nil {
		return nil, fmt.Errorf("reading a prekey: %w", err)
	}
	return p, nil
}

// standingBundle makes a contact's next bundle of last resort, when it is time.
func (t *txn) standingBundle(a identity.AccountID, g *record.Given) ([]byte, error) {
	if n := len(g.Standing); n > 0 {
		p, err := t.prekey(g.Standing[n-1])
		if err != nil {
			return nil, err
		}
		age := time.Duration(0)
		if p != nil {
			age = t.now.Sub(time.Unix(p.Made, 0))
		}
		if p != nil && (!g.Held || len(p.Uses) == 0 && age < standingFresh) && age < standingLife/2 {
			return nil, nil
		}
	}
	raw, hash, err := t.newPrekey(a, standingLife, handshake.NewLastResortBundle)
	if err != nil || raw == nil {
		return nil, err
	}
	g.Standing, g.Held = append(g.Standing, hash), false
	if n := len(g.Standing) - record.MaxStanding; n > 0 {
		if err := t.replaced(g.Standing[:n]); err != nil {
			return nil, err
		}
		g.Standing = g.Standing[n:]
	}
	return raw, nil
}

// replaced notes that bundles won't be used any more.
func (t *txn) replaced(all [][32]byte) error {
	for _, h := range all {
		p, err := t.prekey(h)
		if err != nil {
			return err
		}
		if p == nil || p.Replaced != 0 {
			continue
		}
		p.Replaced = t.now.Unix()
		if err := t.put(record.PrekeyKey(h), p.Marshal()); err != nil {
			return err
		}
	}
	return nil
}

// holds notes that a contact has a bundle of last resort, and so doesn't use
// those before it.
func (t *txn) holds(a identity.AccountID, hash [32]byte) error {
	g, err := t.given(a)
	if err != nil {
		return err
	}
	i := slices.Index(g.Standing, hash)
	if i < 0 || i == 0 && (g.Held || len(g.Standing) > 1) {
		return nil
	}
	if err := t.replaced(g.Standing[:i]); err != nil {
		return err
	}
	g.Standing = g.Standing[i:]
	g.Held = len(g.Standing) == 1
	return t.put(record.GivenKey(t, a), g.Marshal())
}

// hasBundles is called when a contact has acknowledged a packet.
func (t *txn) hasBundles(a identity.AccountID, packet []byte) error {
	if len(packet) == 0 || packet[0] != byte(message.KindBundles) {
		return nil
	}
	p, err := message.ParsePacket(packet)
	if err != nil {
		return fmt.Errorf("reading the outbox: %w", err)
	}
	m, ok := p.(*message.Bundles)
	if !ok {
		return nil
	}
	for _, raw := range m.Bundles {
		b, err := handshake.ParseBundle(raw)
		if err != nil {
			return fmt.Errorf("reading the outbox: %w", err)
		}
		if b.LastResort() {
			return t.holds(a, b.Hash())
		}
	}
	return nil
}

// useStanding notes that a flight to a bundle of last resort was answered.
func (t *txn) useStanding(k storage.Key, p *record.Prekey, replay [32]byte) error {
	p.Uses = append(p.Uses, replay)
	if err := t.put(k, p.Marshal()); err != nil {
		return err
	}
	return t.holds(p.Account, [32]byte(k[1:]))
}
