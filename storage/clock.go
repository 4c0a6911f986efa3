package storage

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"rushlight/protocol/wire"
)

// clockStep is how much later than the recorded time a commit must be to
// record it anew. After a crash the clock may fall back by this much.
const clockStep = time.Minute

// clock is the largest time ever seen, so that setting the system's clock back
// brings nothing back that has expired.
type clock struct {
	wall     func() time.Time
	mu       sync.Mutex
	max      time.Time // in memory
	recorded time.Time // in the store
	dirty    bool      // must be recorded by the next commit
}

func (c *clock) start(seen time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.max, c.recorded, c.dirty = seen, seen, false
}

func (c *clock) now() time.Time {
	wall := c.wall().Round(0).UTC() // without the monotonic part
	c.mu.Lock()
	defer c.mu.Unlock()
	if wall.After(c.max) {
		c.max = wall
	}
	return c.max
}

// due returns the time to record with a commit made now.
func (c *clock) due() (time.Time, bool) {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	return now, c.dirty || now.Sub(c.recorded) >= clockStep
}

func (c *clock) committed(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recorded, c.dirty = t, false
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.max, c.dirty = t.Round(0).UTC(), true
}

// Now returns the later of the system's clock and the latest time this store
// has seen, in UTC. All expiry is judged by it.
func (s *Store) Now() time.Time { return s.clock.now() }

// Wall returns the time of the system's clock.
func (s *Store) Wall() time.Time { return s.clock.wall() }

// Now is [Store.Now].
func (tx *Tx) Now() time.Time { return tx.s.clock.now() }

// Away is how long the system's clock moved on while the store was closed, as
// far as it is known: by at most a minute too much, or what it was idle before.
func (s *Store) Away() time.Duration { return s.away }

// CorrectClock sets back the latest time seen, after the system's clock was
// found to have run ahead. Only a time that is authenticated, or that the
// person confirmed, may be passed. It is recorded by the next commit.
func (s *Store) CorrectClock(t time.Time) { s.clock.set(t) }

func encodeClock(t time.Time) []byte {
	return wire.NewWriter(nil).U64(uint64(max(t.UnixMilli(), 0))).Out()
}

func parseClock(b []byte) (time.Time, error) {
	r := wire.NewReader(b)
	ms := r.U64()
	if ms > 1<<53 {
		r.Fail("time out of range")
	}
	return time.UnixMilli(int64(ms)).UTC(), r.Close()
}

func (tx *Tx) readClock() (time.Time, error) {
	raw, err := tx.Get(keyClock)
	if errors.Is(err, ErrNotFound) {
		return time.Time{}, fmt.Errorf("%w: the clock record is missing", ErrCorrupt)
	}
	if err != nil {
		return time.Time{}, err
	}
	t, err := parseClock(raw)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: clock record: %w", ErrCorrupt, err)
	}
	return t, nil
}
