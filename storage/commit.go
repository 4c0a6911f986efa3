package storage

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
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
	if len(tx.ops) == 0 {
		return nil
	}
	ops := make([]op, 0, len(tx.ops)+1)
	for _, o := range tx.ops {
		ops = append(ops, o)
	}
	s.space.wrote(tx.size)
	slices.SortFunc(ops, func(a, b op) int { return strings.Compare(string(a.key), string(b.key)) })
	return s.commit(ops)
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
// in one Badger transaction.
func (s *Store) commit(ops []op) error {
	now, due := s.clock.due()
	if due {
		ops = append(ops, op{key: keyClock, value: encodeClock(now)})
	}
	b := s.db.NewTransaction(true)
	defer b.Discard()
	// The digest of a commit covers each key and the nonce and tag under
	// which its value was sealed.
	transcript := wire.NewWriter(make([]byte, 0, 96*len(ops)))
	for _, o := range ops {
		var err error
		if o.delete {
			transcript.U8(0).Vec16(o.key)
			err = b.Delete(o.key)
		} else {
			v := s.keys.sealValue(make([]byte, 0, len(o.value)+64), o.key, o.value, o.expires)
			box := v[len(v)-len(o.value)-suite.BoxOverhead:]
			transcript.U8(1).Vec16(o.key).Raw(box[:24]).Raw(box[len(box)-16:])
			err = b.SetEntry(&badger.Entry{Key: o.key, Value: v, ExpiresAt: reclaimAt(o.expires)})
		}
		if err != nil {
			return fmt.Errorf("storage: preparing a commit: %w", ErrFull)
		}
	}
	next := s.head.next(&s.keys, transcript.Out())
	if err := b.Set(keyHead, s.keys.sealValue(nil, keyHead, next.marshal(), time.Time{})); err != nil {
		return fmt.Errorf("storage: preparing a commit: %w", ErrFull)
	}
	if err := b.Commit(); err != nil {
		p := &poisonError{cause: fmt.Errorf("committing: %w", err)}
		s.poison.Store(p)
		return p
	}
	s.head = next
	s.counter.Store(next.counter)
	if due {
		s.clock.committed(now)
	}
	s.mirrorIfDue()
	return nil
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
