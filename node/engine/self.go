package engine

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"rushlight/protocol/identity"
	"rushlight/protocol/suite"
	"rushlight/storage"
	"rushlight/storage/record"
)

// ErrNoIdentity is returned by [Open] for a store in which no identity was
// made yet.
var ErrNoIdentity = errors.New("engine: the profile has no identity")

// self is who this device is.
type self struct {
	record   record.Self
	device   *identity.Device
	id       identity.DeviceID
	manifest *identity.Manifest
	account  identity.AccountID

	naming sync.Mutex             // held while the name is changed
	name   atomic.Pointer[string] // instead of record.Name, which is as it was at the start
}

// Create makes the identity of a new profile, in one transaction: the account
// key sealed under the recovery code, the device's keys, the first manifest
// and a network key that has nothing to do with either.
func Create(store *storage.Store, code identity.RecoveryCode, name string, now time.Time) error {
	account, device := identity.NewAccount(), identity.NewDevice()
	manifest, err := identity.NewManifest(account, nil, []identity.DeviceInfo{device.Info(day(now))})
	if err != nil {
		return fmt.Errorf("making the identity: %w", err)
	}
	s := record.Self{
		Device: device.Marshal(), Manifest: manifest.Marshal(),
		AccountKey: identity.SealAccountKey(code, account), Name: name,
	}
	suite.Random(s.HostKey[:])
	return store.Update(func(tx *storage.Tx) error {
		has, err := tx.Has(record.SelfKey())
		if err != nil {
			return err
		}
		if has {
			return errors.New("engine: the profile has an identity already")
		}
		return tx.Put(record.SelfKey(), s.Marshal())
	})
}

func day(t time.Time) uint32 { return uint32(t.Unix() / 86400) }

func loadSelf(tx *storage.Tx) (*self, error) {
	b, err := tx.Get(record.SelfKey())
	if errors.Is(err, storage.ErrNotFound) {
		return nil, ErrNoIdentity
	}
	if err != nil {
		return nil, err
	}
	rec, err := record.ParseSelf(b)
	if err != nil {
		return nil, fmt.Errorf("reading the identity: %w", err)
	}
	s := &self{record: *rec}
	s.name.Store(&rec.Name)
	if s.device, err = identity.ParseDevice(rec.Device); err != nil {
		return nil, fmt.Errorf("reading the device keys: %w", err)
	}
	if s.manifest, err = identity.ParseManifest(rec.Manifest); err != nil {
		return nil, fmt.Errorf("reading the manifest: %w", err)
	}
	s.id, s.account = s.device.ID(), s.manifest.ID()
	return s, nil
}

// card signs a card of this device with its present addresses.
func (e *Engine) card(now time.Time) (*identity.Card, error) {
	hints := e.hints()
	if len(hints) > maxHints {
		hints = hints[:maxHints]
	}
	s := e.self
	return identity.SignCard(s.device, s.manifest, uint64(now.UnixMilli()), now, e.Name(), hints)
}

// maxHints is how many addresses a card or an invite carries.
const maxHints = 8
