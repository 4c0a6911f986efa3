package storage

import (
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
)

// snapshot is a read transaction of the database that several share.
type snapshot struct {
	*badger.Txn
	users atomic.Int32
}

// snapshot is one of everything that is committed, and may show a commit that
// isn't on the disk yet.
func (s *Store) snapshot() *snapshot {
	b := &snapshot{Txn: s.db.NewTransaction(false)}
	b.users.Store(1)
	return b
}

func (b *snapshot) share() *snapshot {
	b.users.Add(1)
	return b
}

func (b *snapshot) release() {
	if b.users.Add(-1) == 0 {
		b.Discard()
	}
}

// beginWrite begins a transaction on top of those on their way, without waiting
// for them.
func (s *Store) beginWrite() (*Tx, error) {
	c := s.flight
	if c == nil || c.tx == nil || c.over() {
		if err := s.pass(); err != nil {
			return nil, err
		}
		tx := &Tx{s: s, base: s.snapshot(), writable: true, writes: *spare.Get().(*writes)}
		tx.users.Store(1)
		return tx, nil
	}
	c.tx.hold()
	tx := &Tx{s: s, base: c.base.share(), before: c.tx, writable: true, writes: *spare.Get().(*writes)}
	tx.users.Store(1)
	return tx, nil
}

// hold keeps the values of a transaction that others still read; the last
// release wipes them.
func (tx *Tx) hold() { tx.users.Add(1) }

func (tx *Tx) release() {
	if tx.users.Add(-1) == 0 {
		tx.recycle()
	}
}
