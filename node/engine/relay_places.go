package engine

import (
	"errors"
	"fmt"

	"rushlight/protocol/identity"
	"rushlight/storage"
	"rushlight/storage/record"
)

// places is where mail for a contact can be left. All steps of a transaction share
// it: who changes it calls putPlaces, or fails the step with something written.
func (t *txn) places(a identity.AccountID) (*record.Places, error) {
	if p, ok := t.mailing[a]; ok {
		return p.Places, nil
	}
	p, err := record.LoadPlaces(t, a, t.get)
	if err != nil {
		return nil, fmt.Errorf("reading a contact's relays: %w", err)
	}
	t.dropOver(p)
	t.mailing[a] = &mailing{Places: p}
	return p, nil
}

// putPlaces has the places saved at the end of the transaction.
func (t *txn) putPlaces(p *record.Places) {
	t.wrote = true
	t.mailing[p.Account] = &mailing{Places: p, dirty: true}
}

// dropPlaces deletes all that there is to reach a contact with.
func (t *txn) dropPlaces(a identity.AccountID) error {
	delete(t.mailing, a)
	err := t.ScanKeys(record.ReservePrefix(t, a), nil, false, func(k storage.Key) (bool, error) { return true, t.del(k) })
	return errors.Join(err, t.del(record.PlacesKey(t, a)))
}

// bundles is what sessions with a contact can be started with.
func (t *txn) bundles(a identity.AccountID) (*record.Bundles, error) {
	p, err := t.places(a)
	if err != nil {
		return nil, err
	}
	if b := p.Former(); b != nil {
		return b, nil
	}
	b, err := t.get(record.BundlesKey(t, a))
	if err != nil || b == nil {
		return &record.Bundles{}, err
	}
	out, err := record.ParseBundles(b)
	if err != nil {
		return nil, fmt.Errorf("reading a contact's bundles: %w", err)
	}
	return out, nil
}

func (t *txn) putBundles(a identity.AccountID, b *record.Bundles) error {
	p, err := t.places(a)
	if err != nil {
		return err
	}
	if old := p.Former(); old != nil {
		*old = *b
		t.putPlaces(p)
		return nil
	}
	return t.put(record.BundlesKey(t, a), b.Marshal())
}
