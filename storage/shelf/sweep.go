package shelf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rushlight/protocol/stamp"
)

// Badger's time to live goes by the system's clock: what has one is lost when
// tables are merged while the clock is far ahead. Envelopes have one, because
// nothing else gives their room back as soon; so nothing is merged while the
// clock is so far ahead that some would be lost which may still be owed, because
// that isn't settled. All else has none: a sweep takes it out
// of the database when the settled day is past its end, once a day and after
// each start.

// A sweep looks at so many records at once, deletes so many with one commit, and
// then rests for so many times as long as that took.
const (
	sweepLook = 4096
	sweepMost = 500
	sweepRest = 1
)

// ahead reports whether the system's clock is so far ahead of the settled day
// that a merge would take mail that is still owed. Where there is none that ends
// so early, tables are merged at any time.
func (s *Shelf) ahead() bool {
	settled := s.confirmed()
	owed := max(int64(settled), int64(s.owed.Load()))
	return settled > 0 && !s.o.merge && s.o.time.now().Unix()/secondsOfDay > owed+slackDays
}

// noDay is after all days.
const noDay = math.MaxUint16

// earliest is the first day with which something ends.
func (t dayTable) earliest() uint32 {
	if len(t) == 0 {
		return noDay
	}
	return uint32(t[0].day)
}

// What Badger says when it has made the tables that replace others, and its
// manifest doesn't know them yet.
const saysMerged = "Discard stats: %v"

var errJumped = errors.New("the clock has gone far ahead while tables were merged; what this would have dropped is still there: start again")

// heard is told the format of each line that Badger logs. It doesn't return when
// the clock has gone far ahead since a merge began, and this would replace the
// tables by some without the mail that is still owed.
func (s *Shelf) heard(format string) {
	if s.o.heard != nil {
		s.o.heard(format)
	}
	if format == saysMerged && s.ahead() {
		s.stuck.Store(true)
		s.fail(errJumped)
		select {}
	}
	if s.merger != nil {
		s.merger.Heard(format)
	}
}

// stuffed reports whether there are as many young tables as there may be while
// nothing is merged: with more, writers would wait.
func (s *Shelf) stuffed() bool {
	return s.merger != nil && s.ahead() && s.db.Levels()[0].NumTables >= s.o.stall()-6
}

// sweepWhenDue sweeps until done.
func (s *Shelf) sweepWhenDue(done, due <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-due:
		}
		if err := s.sweep(done); err != nil {
			s.log.Warn("what has passed isn't taken out of the database today", "error", err)
		}
	}
}

// sweep deletes what has passed, until done.
func (s *Shelf) sweep(done <-chan struct{}) error {
	if s.o.UnsafeKeepDays {
		return nil
	}
	settled := s.day.Load().settled
	for _, f := range []struct {
		family byte
		passed func(*badger.Txn, *badger.Item) (bool, error)
		delete func(*group, []byte)
	}{
		{famBox, func(_ *badger.Txn, it *badger.Item) (passed bool, err error) {
			return passed, it.Value(func(v []byte) error {
				f, err := parseFixed(v)
				passed = err == nil && f.lease < settled
				return err
			})
		}, (*group).end},
		{famPage, pagesPassed(settled), (*group).delete},
		{famStamp, func(_ *badger.Txn, it *badger.Item) (bool, error) {
			return stamp.Week(binary.BigEndian.Uint16(it.Key()[1:])).ExpDay() < settled, nil
		}, (*group).delete},
	} {
		for from := []byte{f.family}; from != nil; {
			begin := time.Now()
			var found [][]byte
			var err error
			if found, from, err = s.passed(from, f.passed); err != nil {
				return err
			}
			if err := s.take(found, f.delete, done); err != nil || !pause(sweepRest*time.Since(begin), done) {
				return err
			}
		}
	}
	return nil
}

// passed finds records of a family that have passed, beginning with a key, and
// returns with which key to go on; nil is the end.
func (s *Shelf) passed(from []byte, gone func(*badger.Txn, *badger.Item) (bool, error)) (found [][]byte, next []byte, err error) {
	err = s.view(func(tx *badger.Txn) error {
		it := tx.NewIterator(badger.IteratorOptions{PrefetchValues: false, Prefix: from[:1]})
		defer it.Close()
		n := 0
		for it.Seek(from); it.Valid(); it.Next() {
			item := it.Item()
			if n == sweepLook || len(found) == sweepMost {
				next = item.KeyCopy(nil)
				return nil
			}
			n++
			yes, err := gone(tx, item)
			if err != nil {
				return fmt.Errorf("shelf: sweeping family %c: %w", from[0], err)
			}
			if yes {
				found = append(found, item.KeyCopy(nil))
			}
		}
		return nil
	})
	return found, next, err
}

// take deletes records, some hundred with one commit, when the writer has time
// for it.
func (s *Shelf) take(keys [][]byte, del func(*group, []byte), done <-chan struct{}) error {
	for len(keys) > 0 {
		n := min(len(keys), sweepMost)
		if keys[0][0] == famBox {
			n = min(n, sweepMost/5)
		}
		err := s.do(sweepMost*128, func(g *group) error {
			for _, k := range keys[:n] {
				del(g, k)
			}
			return nil
		})
		switch {
		case errors.Is(err, ErrBusy):
			if !pause(time.Second, done) {
				return nil
			}
		case errors.Is(err, ErrClosed):
			return nil
		case err != nil:
			return err
		default:
			keys = keys[n:]
		}
	}
	return nil
}

// end deletes a mailbox whose lease has ended. Its envelopes and pages are swept
// on their own.
func (g *group) end(key []byte) {
	raw := g.get(key)
	if raw == nil {
		return
	}
	f, err := parseFixed(raw)
	if err != nil || f.lease >= g.day.settled {
		return // it was renewed
	}
	at := key[1:]
	for _, names := range [][]byte{keyOwner(f.owner), keyAddr(f.addr())} {
		if string(g.get(names)) == string(at) { // not of the owner's next mailbox
			g.delete(names)
		}
	}
	handle := binary.BigEndian.Uint64(at)
	g.delete(key)
	g.delete(keyHot(handle))
	g.delete(keyLane(handle))
	g.s.drop(handle)
	if !f.closed {
		g.s.stats.mailboxes.Add(-1)
	}
}

// pagesPassed finds the pages none of whose stamps is good any more.
func pagesPassed(settled uint16) func(*badger.Txn, *badger.Item) (bool, error) {
	handle, first := uint64(0), int64(-1) // the first serial of the mailbox that is good
	return func(tx *badger.Txn, it *badger.Item) (bool, error) {
		k := it.Key()
		if h := binary.BigEndian.Uint64(k[1:]); first < 0 || h != handle {
			handle, first = h, 1<<32
			raw, err := get(tx, keyBox(h))
			if err != nil {
				return false, err
			}
			if raw != nil {
				f, err := parseFixed(raw)
				if err != nil {
					return false, err
				}
				first = int64(f.serial) - int64(f.outstanding(settled))
			}
		}
		return (int64(binary.BigEndian.Uint32(k[9:]))+1)*stamp.PageSize <= first, nil
	}
}

// pause returns false when it was cut short.
func pause(d time.Duration, done <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return false
	case <-t.C:
		return true
	}
}
