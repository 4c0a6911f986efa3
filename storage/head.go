package storage

import (
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

// Keys of family 0, which only this package's core writes.
var (
	keyVersion = Key("\x00ver")
	keyHead    = Key("\x00head")
	keyClock   = Key("\x00clock")
	keyClean   = Key("\x00clean")
)

// head says how often the store was committed, and chains all commits.
type head struct {
	counter uint64
	mac     [32]byte
}

// next is the head after a commit with this transcript.
func (h head) next(k *keys, transcript []byte) head {
	var prev [8]byte
	wire.NewWriter(prev[:0]).U64(h.counter)
	return head{h.counter + 1, suite.MAC(k.head[:], labelHead, prev[:], h.mac[:], transcript)}
}

func (h head) marshal() []byte {
	return wire.NewWriter(nil).U64(h.counter).Raw(h.mac[:]).Out()
}

func parseHead(b []byte) (h head, err error) {
	r := wire.NewReader(b)
	h.counter, h.mac = r.U64(), r.A32()
	if h.counter == 0 {
		r.Fail("commit counter is zero")
	}
	return h, r.Close()
}

func parseVersion(b []byte) (v uint16, err error) {
	r := wire.NewReader(b)
	v = r.U16()
	return v, r.Close()
}

// readHead reads version, head and clock after opening, compares the head with
// the guard's mark and with the newest version that inspect saw, and writes
// the first commit of a new store.
func (s *Store) readHead(mark head, version uint64) error {
	s.clock.start(time.Time{})
	tx := s.begin()
	defer tx.end()
	raw, err := tx.Get(keyHead)
	switch {
	case err == nil:
	case errors.Is(err, ErrNotFound) && mark.counter == 0 && version == 0:
		s.clock.dirty = true
		return s.commitAlone(op{key: keyVersion, value: wire.NewWriter(nil).U16(Schema).Out()})
	case errors.Is(err, ErrNotFound):
		return rolledBack{}
	default:
		return err
	}
	if s.head, err = parseHead(raw); err != nil {
		return fmt.Errorf("%w: store head: %w", ErrCorrupt, err)
	}
	if at, err := tx.versionOf(keyHead); err != nil {
		return err
	} else if at != version {
		return fmt.Errorf("%w: the newest commit isn't the one in the files", ErrCorrupt)
	}
	if err := s.compareMark(mark); err != nil {
		return err
	}
	raw, err = tx.Get(keyVersion)
	if err != nil {
		return fmt.Errorf("%w: schema version: %w", ErrCorrupt, err)
	}
	v, err := parseVersion(raw)
	switch {
	case err != nil || v == 0:
		return fmt.Errorf("%w: schema version", ErrCorrupt)
	case v > Schema:
		return ErrVersion
	}
	seen, err := tx.readClock()
	if err != nil {
		return err
	}
	s.clock.start(seen)
	s.away, s.durable = time.Since(seen), s.head
	s.counter.Store(s.head.counter)
	return nil
}

func (s *Store) compareMark(mark head) error {
	switch {
	case s.head.counter < mark.counter:
		return rolledBack{}
	case s.head.counter == mark.counter && s.head.mac != mark.mac:
		return fmt.Errorf("%w: the last commit isn't the one this device made", ErrCorrupt)
	}
	return nil
}

// versionOf returns Badger's version of a key.
func (tx *Tx) versionOf(key Key) (uint64, error) {
	if err := tx.s.audit.between(key, key); err != nil {
		return 0, err
	}
	it, err := tx.base.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return 0, ErrNotFound
	}
	if err != nil {
		return 0, readError(key, err)
	}
	return it.Version(), nil
}
