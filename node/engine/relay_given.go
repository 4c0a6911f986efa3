package engine

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"rushlight/protocol/handshake"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/relayset"
	"rushlight/storage/record"
)

// given is what a contact was told about this device's relays.
func (t *txn) given(a identity.AccountID) (*record.Given, error) {
	b, err := t.get(record.GivenKey(t, a))
	if err != nil || b == nil {
		return &record.Given{}, err
	}
	g, err := record.ParseGiven(b)
	if err != nil {
		return nil, fmt.Errorf("reading what a contact was given: %w", err)
	}
	return g, nil
}

// Stamps of the classes S, M and L that a contact is given at first.
var firstStamps = [3]uint16{64, 16, 2}

// spareLife is how long a bundle is good that a contact was given ahead of need.
const spareLife = 60 * 24 * time.Hour

// provision tells a contact what it doesn't know yet of this device's relays,
// and gives it new stamps when fewer than half may be left, and bundles for new
// sessions (spec §12.8, §12.9).
func (t *txn) provision(a identity.AccountID, resend bool) error {
	c := t.contact(a)
	if c == nil || c.State != record.ContactApproved {
		return nil
	}
	g, err := t.given(a)
	if err != nil {
		return err
	}
	ready := t.ready()
	if len(ready) == 0 && g.Seq == 0 {
		return nil
	}
	p, before, err := t.relaysPacket(g, t.enough(a))
	if err != nil {
		return err
	}
	if p != nil || resend {
		if p == nil {
			set, err := t.signedSet()
			if err != nil {
				return err
			}
			p = &message.Relays{Set: set, Stamps: make([]message.RelayStamps, len(ready))}
			if p.Beacon, _, err = t.ownBeacon(); err != nil {
				return err
			}
		}
		p.Resend = resend
		if err := t.tell(a, p); err != nil {
			return err
		}
	}
	if err := t.spareBundles(a, g); err != nil {
		return err
	}
	if after := g.Marshal(); string(after) != string(before) {
		return t.put(record.GivenKey(t, a), after)
	}
	return nil
}

// relaysPacket makes the packet that says what a contact doesn't know, and notes
// it in g; nil when there is nothing to say. enough is how many stamps of each
// class it is to have. before is g as it was.
func (t *txn) relaysPacket(g *record.Given, enough [3]uint16) (p *message.Relays, before []byte, err error) {
	before = g.Marshal()
	seq, err := t.issued()
	if err != nil {
		return nil, nil, err
	}
	ready := t.ready()
	reader, told, err := t.ownBeacon()
	if err != nil {
		return nil, nil, err
	}
	news := g.Seq != seq || g.Beacon != told
	out := &message.Relays{Stamps: make([]message.RelayStamps, len(ready))}
	var now []record.GivenRelay
	for i, r := range ready {
		x := record.GivenRelay{Key: r.Key}
		if k := slices.IndexFunc(g.Relays, func(o record.GivenRelay) bool { return o.Key == r.Key }); k >= 0 {
			x = g.Relays[k]
		}
		for class, full := range enough {
			if x.Left[class] >= full/2 && x.Left[class] > 0 {
				continue
			}
			s, err := t.draw(r.Key, class, int(full-x.Left[class]))
			if err != nil {
				return nil, nil, err
			}
			for _, one := range s {
				out.Stamps[i][class] = append(out.Stamps[i][class], one.Stamp)
				x.Serials = append(x.Serials, one.Serial)
				x.Left[class]++
				news = true
			}
		}
		if n := len(x.Serials) - record.MaxSerials; n > 0 {
			x.Serials = x.Serials[n:]
		}
		now = append(now, x)
	}
	g.Relays = now
	if !news {
		return nil, before, nil
	}
	g.Seq, g.Beacon, out.Beacon = seq, told, reader
	out.Set, err = t.signedSet()
	return out, before, err
}

// spareBundles sees to it that a contact holds bundles for new sessions with
// this device, for when the two can't compare their counters (spec §12.9).
func (t *txn) spareBundles(a identity.AccountID, g *record.Given) error {
	var left [][32]byte
	for _, h := range g.Spares {
		has, err := t.Has(record.PrekeyKey(h))
		if err != nil {
			return err
		}
		if has {
			left = append(left, h)
		}
	}
	g.Spares = left
	p := &message.Bundles{}
	for len(left) <= record.MaxSpares/2 && len(g.Spares) < record.MaxSpares {
		b, hash, err := t.newPrekey(a, spareLife, handshake.NewOneTimeBundle)
		if err != nil {
			return err
		}
		if b == nil {
			break
		}
		g.Spares, p.Bundles = append(g.Spares, hash), append(p.Bundles, b)
	}
	if len(p.Bundles) > 0 {
		if err := t.tell(a, p); err != nil {
			return err
		}
	}
	b, err := t.standingBundle(a, g)
	if err != nil || b == nil {
		return err
	}
	return t.tell(a, &message.Bundles{Bundles: [][]byte{b}})
}

// bundleMaker makes a one-time bundle or one of last resort.
type bundleMaker = func(*identity.Device, *identity.Manifest, time.Time, time.Duration) (*handshake.Bundle, *handshake.Secrets, error)

// newPrekey makes a bundle for a contact; nil when too many are open.
func (t *txn) newPrekey(a identity.AccountID, life time.Duration, newBundle bundleMaker) (raw []byte, hash [32]byte, err error) {
	if n, err := t.openUses(); err != nil || n >= maxOpeners {
		return nil, hash, err
	}
	e := t.e
	b, s, err := newBundle(e.self.device, e.self.manifest, t.now, life)
	if err != nil {
		return nil, hash, err
	}
	hash = b.Hash()
	p := &record.Prekey{Account: a, Bundle: b.Marshal(), Secret: s.Marshal(), Made: t.now.Unix()}
	t.after = append(t.after, func() { e.addOpener(opener{key: handshake.OpenerFor(nil, hash), hash: hash}) })
	return p.Bundle, hash, t.put(record.PrekeyKey(hash), p.Marshal())
}

// takeRelays takes a contact's newer set of relays, and stamps for them.
func (t *txn) takeRelays(s *session, p *message.Relays, packet []byte) error {
	again, err := t.heard(s.Account, packet)
	if err != nil || again {
		return err
	}
	return errors.Join(t.approved(s.Account), t.learnRelays(s.Account, s.Device, p))
}

// heard reports whether a packet was taken before, and notes it otherwise: it
// comes again when its sender starts a new session, and what it gave may be
// used by then.
func (t *txn) heard(a identity.AccountID, packet []byte) (again bool, err error) {
	p, err := t.places(a)
	if err != nil {
		return false, err
	}
	sum := sha256.Sum256(packet)
	h := [16]byte(sum[:])
	if slices.Contains(p.Heard, h) {
		t.sentAgain(a)
		return true, nil
	}
	p.Heard = append(p.Heard, h)
	p.Heard = p.Heard[max(0, len(p.Heard)-record.MaxHeard):]
	t.putPlaces(p)
	return false, nil
}

// maxStamps bounds the stamps of one class and relay that are kept.
var maxStamps = [3]int{512, orderStamps, 16}

func (t *txn) learnRelays(a identity.AccountID, d identity.DeviceID, m *message.Relays) error {
	c := t.contact(a)
	if c == nil {
		return fmt.Errorf("%w: relays of nobody known", ErrRefused)
	}
	i := slices.IndexFunc(c.Devices, func(dev identity.DeviceInfo) bool { return dev.ID() == d })
	if i < 0 {
		return fmt.Errorf("%w: relays of an unknown device", ErrRefused)
	}
	set, err := relayset.Open(m.Set, c.Devices[i].Signing)
	if err != nil || set.Account != a || set.Device != d || len(m.Stamps) != len(set.Relays) {
		return errors.Join(ErrRefused, err)
	}
	old, err := t.places(a)
	if err != nil {
		return err
	}
	now := *old
	now.Account, now.Device, now.Relays = a, d, slices.Clone(old.Relays)
	if newer := old.Device != d || set.Seq >= old.Seq && int64(min(set.Issued, 1<<62)) >= old.Issued; newer {
		now.Seq, now.Relays, now.Issued = set.Seq, nil, int64(min(set.Issued, 1<<62))
		for _, r := range set.Relays {
			x := record.Place{Key: r.Key, Addrs: r.Addrs, Lane: r.Lane}
			if k := slices.IndexFunc(old.Relays, func(o record.Place) bool { return o.Key == r.Key }); k >= 0 {
				x.Stamps, x.Full = old.Relays[k].Stamps, old.Relays[k].Full
			}
			now.Relays = append(now.Relays, x)
		}
		if err := t.moved(a, &now); err != nil {
			return err
		}
	}
	for n, r := range set.Relays {
		k := slices.IndexFunc(now.Relays, func(o record.Place) bool { return o.Key == r.Key })
		if k < 0 {
			continue
		}
		for class := range maxStamps {
			all := append(slices.Clone(now.Relays[k].Stamps[class]), m.Stamps[n][class]...)
			now.Relays[k].Stamps[class] = all[max(0, len(all)-maxStamps[class]):]
		}
	}
	if m.Resend {
		if err := t.repost(a, [16]byte{}); err != nil {
			return err
		}
	}
	if t.e.hooks.Heard != nil {
		t.after = append(t.after, func() {
			for _, r := range set.Relays {
				for _, a := range r.Addrs {
					t.e.hooks.Heard(r.Key, a)
				}
			}
		})
	}
	if len(m.Beacon) > 0 && t.e.hooks.Beacon != nil {
		t.after = append(t.after, func() { t.e.hooks.Beacon(a, [64]byte(m.Beacon)) })
	}
	t.wake[a] = struct{}{}
	t.putPlaces(&now)
	return nil
}

// takeSpares keeps bundles for new sessions with a contact.
func (t *txn) takeSpares(s *session, m *message.Bundles, packet []byte) error {
	if again, err := t.heard(s.Account, packet); err != nil || again {
		return err
	}
	return t.keepSpares(s.Account, s.Device, m)
}

func (t *txn) keepSpares(a identity.AccountID, d identity.DeviceID, m *message.Bundles) error {
	have, err := t.bundles(a)
	if err != nil {
		return err
	}
	for _, raw := range m.Bundles {
		b, err := handshake.ParseBundle(raw)
		if err != nil || b.Account != a || b.Device != d {
			return errors.Join(ErrRefused, err)
		}
		if b.LastResort() {
			if old, err := handshake.ParseBundle(have.Standing); err != nil || old.Device != b.Device || old.Signed.NotBefore <= b.Signed.NotBefore {
				have.Standing = raw
			}
			continue
		}
		have.Spares = append(have.Spares, raw)
	}
	have.Spares = have.Spares[max(0, len(have.Spares)-record.MaxSpares):]
	t.wake[a] = struct{}{}
	return t.putBundles(a, have)
}

// Relays is at how many relays mail for a contact can be left.
func (e *Engine) Relays(a identity.AccountID) (n int, err error) {
	err = e.view(func(t *txn) error {
		p, err := t.places(a)
		if err == nil {
			n = len(p.Relays)
		}
		return err
	})
	return n, err
}
