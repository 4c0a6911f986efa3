package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"rushlight/protocol/wire"
)

// A migration makes a part of the store, from a key on, what the next version
// of the schema wants, and returns where to go on, nil at the end. Each part is
// one transaction, together with how far it came, so that it goes on there after
// a crash.
type migration func(tx *Tx, from Key) (next Key, err error)

// migrations has the way to each version from the one before. There is only one
// version yet.
var migrations = map[uint16]migration{}

// keyMigration is how far a migration came: version u16 ‖ done u8 ‖ from vec16.
var keyMigration = Key{0x01}

// migrate brings the store to a version of the schema. From the start an older
// program refuses it, by the version in the manifest.
func (s *Store) migrate(to uint16, all map[uint16]migration) error {
	now, err := s.schema()
	if err != nil {
		return err
	}
	for v := now + 1; v <= to; v++ {
		step := all[v]
		if step == nil {
			return fmt.Errorf("storage: there is no way to schema %d", v)
		}
		s.log.Info("bringing the store up to date", "schema", v)
		if err := s.migrateOne(v, step); err != nil {
			return fmt.Errorf("bringing the store to schema %d: %w", v, err)
		}
	}
	return nil
}

func (s *Store) migrateOne(v uint16, step migration) error {
	for {
		done := false
		err := s.Update(func(tx *Tx) (err error) {
			var from Key
			if from, done, err = migrationAt(tx, v); err != nil || done {
				return err
			}
			next, err := step(tx, from)
			if err != nil {
				return err
			}
			w := wire.NewWriter(nil).U16(v).Bool(next == nil).Vec16(next)
			return tx.Put(keyMigration, w.Out())
		})
		if err != nil {
			return err
		}
		if done {
			return s.Update(func(tx *Tx) error { return tx.putOwn(keyVersion, wire.NewWriter(nil).U16(v).Out()) })
		}
	}
}

// migrationAt returns where the migration to a version goes on.
func migrationAt(tx *Tx, v uint16) (from Key, done bool, err error) {
	raw, err := tx.Get(keyMigration)
	if errors.Is(err, ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	r := wire.NewReader(raw)
	at := r.U16()
	done = r.Bool()
	from = Key(r.Vec16(MaxKey))
	if err := r.Close(); err != nil {
		return nil, false, fmt.Errorf("%w: how far a migration came: %w", ErrCorrupt, err)
	}
	if at != v {
		return nil, false, nil
	}
	if len(from) == 0 {
		from = nil
	}
	return from, done, nil
}

func (s *Store) schema() (v uint16, err error) {
	err = s.View(func(tx *Tx) error {
		raw, err := tx.Get(keyVersion)
		if err != nil {
			return err
		}
		v, err = parseVersion(raw)
		return err
	})
	return v, err
}

// putOwn is Put for the store's own family.
func (tx *Tx) putOwn(key Key, value []byte) error {
	return tx.put(op{key: key, value: value, own: true})
}

// raiseManifest writes this schema into a manifest of an earlier one: Badger
// opens no other.
func raiseManifest(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	var head [manifestHead]byte
	if _, err := f.ReadAt(head[:], 0); err != nil || manifestSchema(head[:]) == Schema {
		return errors.Join(err, f.Close())
	}
	if _, err = f.WriteAt(binary.BigEndian.AppendUint16(nil, Schema), 4); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// manifestSchema is the schema in the head of a manifest.
func manifestSchema(head []byte) uint16 { return binary.BigEndian.Uint16(head[4:]) }
