package storage

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
	"rushlight/storage/keyfile/wheel"
)

var errOverlap = errors.New("storage: two Updates overlap; there is one writer")

// Update runs fn and commits everything it wrote as one transaction, which is
// on the disk when Update returns nil. When fn returns an error nothing is
// written and Update returns that error. An Update that writes nothing costs
// nothing.
//
// There is one writer: an Update that starts while another runs, also from
// inside its fn, returns an error at once. After a failed commit every Update
// returns [ErrPoisoned] until the store is closed and opened again; Views
// work, and may show what the failed commit wrote.
func (s *Store) Update(fn func(*Tx) error) error {
	done, err := s.write()
	if err != nil {
		return err
	}
	defer done()
	if err := s.space.check(); err != nil {
		return err
	}
	tx := s.begin(true)
	defer tx.end()
	if err := fn(tx); err != nil {
		return err
	}
	if tx.err != nil {
		return tx.err
	}
	if len(tx.at) == 0 && forgetsNothing(tx.forget) {
		return nil
	}
	ops := tx.ops
	if len(tx.at) < len(ops) {
		ops = slices.DeleteFunc(ops, func(o op) bool { return o.undone })
	}
	s.space.wrote(tx.size)
	if ops, err = s.leaves.ops(tx, ops); err != nil {
		return err
	}
	return s.commit(ops, tx.forget)
}

// write takes the place of the one writer, and returns what gives it back.
func (s *Store) write() (done func(), err error) {
	if !s.gate.enter() {
		return nil, ErrClosed
	}
	if !s.writing.CompareAndSwap(false, true) {
		s.gate.leave()
		return nil, errOverlap
	}
	done = func() {
		s.writing.Store(false)
		s.gate.leave()
	}
	if p := s.poison.Load(); p != nil {
		done()
		return nil, p
	}
	return done, nil
}

// commit seals and writes ops, the next head and, when it is due, the clock,
// in one Badger transaction, after it destroyed the keys to be forgotten.
func (s *Store) commit(ops []op, forget wheel.Forget) error {
	now, due := s.clock.due()
	if due {
		ops = append(ops, op{key: keyClock, value: encodeClock(now)})
	}
	b := s.db.NewTransaction(true)
	defer b.Discard()
	size := 0
	for i := range ops {
		size += maxHeader + suite.BoxOverhead + len(ops[i].value)
	}
	sealed := make([]byte, 0, size)
	// The digest of a commit covers each key and the nonce and tag under
	// which its value was sealed.
	transcript := wire.NewWriter(make([]byte, 0, 96*len(ops)))
	for i := range ops {
		o := &ops[i]
		var err error
		if o.delete {
			transcript.U8(0).Vec16(o.key)
			err = b.Delete(o.key)
		} else {
			n := len(sealed)
			if sealed, err = s.sealValue(sealed, o.key, o.value, o.header); err != nil {
				return fmt.Errorf("storage: preparing a commit: %w", err)
			}
			v := sealed[n:len(sealed):len(sealed)]
			box := v[len(v)-len(o.value)-suite.BoxOverhead:]
			transcript.U8(1).Vec16(o.key).Raw(box[:24]).Raw(box[len(box)-16:])
			err = b.SetEntry(&badger.Entry{Key: o.key, Value: v, ExpiresAt: reclaimAt(o.expires)})
		}
		if err != nil {
			return fmt.Errorf("storage: preparing a commit: %w", ErrFull)
		}
	}
	next := s.head.next(&s.keys, transcript.Out())
	v, err := s.sealValue(nil, keyHead, next.marshal(), header{})
	if err != nil {
		return fmt.Errorf("storage: preparing a commit: %w", err)
	}
	if err := b.Set(keyHead, v); err != nil {
		return fmt.Errorf("storage: preparing a commit: %w", ErrFull)
	}
	if !forgetsNothing(forget) {
		if err := s.destroy(forget); err != nil {
			return err
		}
	}
	if err := b.Commit(); err != nil {
		return s.fail(fmt.Errorf("committing: %w", err))
	}
	s.leaves.committed(ops)
	s.head = next
	s.counter.Store(next.counter)
	if due {
		s.clock.committed(now)
	}
	s.mirrorIfDue()
	return nil
}

// fail lets nothing be written any more until the store is opened again.
func (s *Store) fail(err error) error {
	p := &poisonError{cause: err}
	s.poison.Store(p)
	return p
}

// reclaimAt is when Badger may drop the record to save space, in Unix seconds:
// a day after the end of the day on which it expires. The rounding hides the
// lifetime, which Badger writes in clear; the slack lets the clock be corrected.
func reclaimAt(expires time.Time) uint64 {
	if expires.IsZero() {
		return 0
	}
	const day = 24 * 60 * 60
	return uint64(expires.Unix())/day*day + 2*day
}
