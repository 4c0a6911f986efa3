package engine

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"rushlight/protocol/beacon"
	"rushlight/protocol/identity"
	"rushlight/protocol/mailbox"
	"rushlight/protocol/relayset"
	"rushlight/storage/record"
)

// Hooks are called after a commit, and must not block.
type Hooks struct {
	// Beacon is told by what the beacon of a contact is read: public key ‖
	// secret.
	Beacon func(a identity.AccountID, reader [64]byte)
	// Heard is told of a relay of a contact.
	Heard func(key [32]byte, addr []byte)
	// Relays is told that this device's set of relays is another one.
	Relays func()
}

// SetHooks names who is told. It must be called before [Engine.Run].
func (e *Engine) SetHooks(h Hooks) { e.hooks = h }

// ownBeacon is by what this device's beacon is read, and a mark of it; nothing
// when there is none yet.
func (t *txn) ownBeacon() (reader []byte, mark [16]byte, err error) {
	b, err := t.get(record.OwnerKey())
	if err != nil || b == nil {
		return nil, mark, err
	}
	o, err := record.ParseOwner(b)
	if err != nil {
		return nil, mark, fmt.Errorf("reading the keys of the beacon: %w", err)
	}
	owner, err := beacon.ParseOwner(o.Keys[:])
	if err != nil {
		return nil, mark, err
	}
	r := owner.Reader()
	reader = slices.Concat(r.Public[:], r.Secret[:])
	sum := sha256.Sum256(reader)
	return reader, [16]byte(sum[:]), nil
}

// HeardRelays calls each for every relay that this device or a contact uses.
func (e *Engine) HeardRelays(each func(key [32]byte, addr []byte)) error {
	for _, r := range e.Mailboxes() {
		for _, a := range r.Addrs {
			each(r.Key, a)
		}
	}
	return e.Remembered(record.PlacesPrefix(), func(v []byte) error {
		p, err := record.ParsePlaces(v)
		if err != nil {
			return err
		}
		for _, r := range p.Relays {
			for _, a := range r.Addrs {
				each(r.Key, a)
			}
		}
		return nil
	})
}

// BeaconChanged tells contacts the new keys of this device's beacon, by and by.
func (e *Engine) BeaconChanged() { e.provisionAll() }

// BeaconRelays are the relays that this device's beacon names.
func (e *Engine) BeaconRelays() (out []beacon.Relay) {
	err := e.view(func(t *txn) error {
		out = nil
		for _, r := range t.ready() {
			x := beacon.Relay{Key: r.Key, Request: mailbox.LaneAddr(mailboxKey(&r), r.Nonce)}
			for _, a := range r.Addrs {
				if len(a) <= beacon.MaxRelayAddr && len(x.Addrs) < beacon.MaxRelayAddrs {
					x.Addrs = append(x.Addrs, a)
				}
			}
			out = append(out, x)
		}
		return nil
	})
	if err != nil {
		e.log.Error("naming relays", "err", err)
	}
	return out
}

// FoundRelays takes the relays that a contact's beacon names, made at a time:
// those that were known may all be gone. Stamps for new ones come from the
// contact when something has reached it through the request lane.
func (e *Engine) FoundRelays(ctx context.Context, a identity.AccountID, relays []beacon.Relay, made time.Time) error {
	return e.do(ctx, 256<<10, func(t *txn) error {
		p, err := t.places(a)
		if err != nil || t.contact(a) == nil || made.Unix() <= p.Issued {
			return err
		}
		old := p.Relays
		p.Relays, p.Issued = nil, made.Unix()
		for _, r := range relays[:min(len(relays), relayset.MaxRelays)] {
			x := record.Place{Key: r.Key, Addrs: r.Addrs, Lane: r.Request}
			if k := slices.IndexFunc(old, func(o record.Place) bool { return o.Key == r.Key }); k >= 0 {
				x.Stamps, x.Full = old[k].Stamps, old[k].Full
			}
			p.Relays = append(p.Relays, x)
		}
		t.wake[a] = struct{}{}
		t.putPlaces(p)
		return t.moved(a, p)
	})
}
