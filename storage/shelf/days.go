package shelf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rushlight/protocol/stamp"
	"rushlight/protocol/suite"
	"rushlight/storage/keyfile/wheel"
)

// dayState is what the day means to readers and the writer. It isn't changed.
type dayState struct {
	today   uint16
	settled uint16               // what has passed by then is destroyed; not after today
	keys    map[uint16]*[32]byte // by the last day of what they seal
}

// Leaves of a day's bucket: what envelopes and stamp keys are sealed under.
const (
	leafEnvelopes uint32 = iota
	leafStampKey
)

// bucketOf is the bucket of the wheel that ends when a day has passed.
func bucketOf(day uint16) uint32 {
	return wheel.BucketFor(dayStart(day).AddDate(0, 0, 1), 64*24*time.Hour)
}

func dayOfBucket(bucket uint32) (day uint16, ok bool) {
	end := wheel.BucketEnd(bucket)
	if end.IsZero() {
		return 0, false
	}
	n := end.Unix()/secondsOfDay - 1
	return uint16(n), n >= 0 && n < 1<<16 && bucketOf(uint16(n)) == bucket
}

// turn does what a new day brings: keys for the days ahead, a key for the
// week's stamps, and the end of the keys of days that have passed. The number
// of envelopes plays no part.
func (s *Shelf) turn() error {
	now := s.o.time.now()
	today, settled := s.clock.read(now, s.o.ConfirmAfter, s.confirmed())
	if have := s.day.Load(); have != nil && have.today == today && (!settled || s.confirmed() >= today) {
		return nil
	}
	week := stamp.WeekOf(today)
	buckets := []uint32{bucketOf(week.ExpDay())}
	for d := range uint16(s.o.TTL) + 2 {
		buckets = append(buckets, bucketOf(today+d))
	}
	if err := s.wheel.Ensure(buckets...); err != nil {
		return err
	}
	if settled && !s.o.UnsafeKeepDays {
		var passed []uint32
		for _, b := range s.wheel.Buckets() {
			if day, ok := dayOfBucket(b); !ok || day < today {
				passed = append(passed, b)
			}
		}
		if err := s.wheel.Commit(wheel.Forget{Buckets: passed}); err != nil {
			return err
		}
		if len(passed) > 0 {
			s.stats.erased.Add(int64(len(passed)))
		}
	}
	state := &dayState{today: today, settled: s.confirmed(), keys: map[uint16]*[32]byte{}}
	if settled {
		state.settled = today
	}
	for _, b := range s.wheel.Buckets() {
		day, ok := dayOfBucket(b)
		if !ok || day < today {
			continue
		}
		key, err := s.wheel.Key(b, leafEnvelopes, [16]byte{}, nil)
		if err != nil {
			return err
		}
		state.keys[day] = &key
	}
	if err := s.turnStamps(week, state.settled); err != nil {
		return err
	}
	s.day.Store(state)
	if settled {
		s.confirm(today)
	}
	return nil
}

// turnStamps makes the key of a week, or reads it back, with those of the
// weeks before whose stamps are still good. A day that isn't settled ends none.
func (s *Shelf) turnStamps(week stamp.Week, settled uint16) error {
	var keys *stamp.Keys
	if have := s.keys.Load(); have != nil {
		keys = have.Clone()
		keys.Expire(settled)
	} else {
		keys = new(stamp.Keys)
		if err := s.loadStampKeys(keys, settled); err != nil {
			return err
		}
	}
	if !keys.Has(week) {
		var key [32]byte
		suite.Random(key[:])
		over, err := s.wheel.Key(bucketOf(week.ExpDay()), leafStampKey, [16]byte{}, nil)
		if err != nil {
			return err
		}
		k := keyStamp(week)
		sealed := suite.SealBox(nil, over[:], k, key[:])
		tx := s.db.NewTransaction(true)
		defer tx.Discard()
		err = tx.Set(k, sealed)
		if err == nil {
			err = s.disk.commit(tx, len(k)+len(sealed))
		}
		if err != nil {
			return fmt.Errorf("saving a stamp key: %w", err)
		}
		keys.Add(week, key)
	}
	s.keys.Store(keys)
	return nil
}

func (s *Shelf) loadStampKeys(keys *stamp.Keys, settled uint16) error {
	return s.view(func(tx *badger.Txn) error {
		it := tx.NewIterator(badger.IteratorOptions{PrefetchValues: true, PrefetchSize: 32, Prefix: []byte{famStamp}})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			k := it.Item().KeyCopy(nil)
			w := stamp.Week(binary.BigEndian.Uint16(k[1:]))
			over, err := s.wheel.Key(bucketOf(w.ExpDay()), leafStampKey, [16]byte{}, nil)
			if errors.Is(err, wheel.ErrDestroyed) || w.ExpDay() < settled {
				continue
			}
			if err != nil {
				return err
			}
			sealed, err := it.Item().ValueCopy(nil)
			if err != nil {
				return fmt.Errorf("reading a stamp key: %w", err)
			}
			key, err := suite.OpenBox(nil, over[:], k, sealed)
			if err != nil || len(key) != 32 {
				return errors.New("a stamp key doesn't open")
			}
			keys.Add(w, [32]byte(key))
		}
		return nil
	})
}

// Today is the shelf's day number.
func (s *Shelf) Today() uint16 { return s.day.Load().today }

// Days are the last days whose mail can still be opened, ascending.
func (s *Shelf) Days() []uint16 { return slices.Sorted(maps.Keys(s.day.Load().keys)) }

// Level tells how surely passed days are erased from the disk.
func (s *Shelf) Level() wheel.Assurance { return s.wheel.Level() }

// confirmed is the latest day that is believed, 0 in a new shelf.
func (s *Shelf) confirmed() uint16 { return uint16(s.believed.Load()) }

// confirm believes a day, and writes so with the next commit.
func (s *Shelf) confirm(day uint16) {
	if s.believed.Swap(uint32(day)) != uint32(day) {
		_ = s.submit(&call{fn: func(g *group) error { g.writes++; return nil }})
	}
}

// dayClock decides which day it is. A clock that is set back doesn't bring a
// day back; one that goes forward by more than a day is believed, and
// destroys, only when it has stayed there for a while.
type dayClock struct {
	jumped time.Time // reading of the monotonic clock at the jump; zero is none
	to     uint16
}

// read returns today and whether what has passed by then may be destroyed.
// confirmed is the latest day for which that was so; 0 is none.
func (c *dayClock) read(now time.Time, after time.Duration, confirmed uint16) (today uint16, settled bool) {
	n := now.Unix() / secondsOfDay
	today = uint16(max(1, min(n, 1<<16-200)))
	switch {
	case confirmed == 0 || today == confirmed || today == confirmed+1:
		c.jumped = time.Time{}
		return today, true
	case today < confirmed:
		c.jumped = time.Time{}
		return confirmed, true
	}
	if c.jumped.IsZero() || today < c.to {
		c.jumped = now
	}
	c.to = today
	return today, now.Sub(c.jumped) >= after
}
