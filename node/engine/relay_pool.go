package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"rushlight/protocol/envelope"
	"rushlight/protocol/message"
	"rushlight/protocol/stamp"
	"rushlight/protocol/suite"
	"rushlight/storage"
	"rushlight/storage/record"
)

// poolSizes is how many stamps of the classes S, M and L a pool holds when it is
// full, see poolSize.
var poolSizes = [3]int{1024, 256, 64}

// filesPool is how many stamps of class L the pool of a relay holds while files
// come by way of it.
const filesPool = 4 * message.MaxOrdered

// poolSize is how many stamps of a class the pool of a relay holds when it is
// full.
func (e *Engine) poolSize(relay [32]byte, class int, now time.Time) int {
	if class == 2 && e.orders.lately(relay, now) {
		return filesPool
	}
	return poolSizes[class]
}

// ClassOf is the class of a pool, 0 to 2.
func ClassOf(i int) envelope.Class { return []envelope.Class{envelope.S, envelope.M, envelope.L}[i] }

func poolOf(c envelope.Class) int {
	return slices.Index([]envelope.Class{envelope.S, envelope.M, envelope.L}, c)
}

// poolStamp is a stamp with its serial, by which it can be taken back.
type poolStamp struct {
	Serial uint32
	Stamp  stamp.Stamp
}

func (t *txn) pool(key [32]byte, class int) (*record.Pool, error) {
	b, err := t.get(record.PoolKey(t, key, class))
	if err != nil || b == nil {
		return &record.Pool{}, err
	}
	p, err := record.ParsePool(b)
	if errors.Is(err, record.ErrFormer) {
		return &record.Pool{}, nil // what was in it is never used: the relay gives others
	}
	if err != nil {
		return nil, fmt.Errorf("reading a pool of stamps: %w", err)
	}
	return p, nil
}

// lasts reports whether stamps may be handed out still.
func (t *txn) lasts(b *record.Batch) bool {
	return (&stamp.Stamp{b.Week}).DaysLeft(t.day()) >= poolDays
}

// inPool is how many stamps of a pool may be handed out.
func (t *txn) inPool(p *record.Pool) (n int) {
	for i := range p.Batches {
		if b := &p.Batches[i]; t.lasts(b) {
			n += b.Len()
		}
	}
	return n
}

// putPool saves a pool, and drops what nothing is left of, or is too old to be
// handed out: so it is filled up again before its relay refuses what is in it.
func (t *txn) putPool(key [32]byte, class int, p *record.Pool) error {
	over := max(0, len(p.Batches)-record.MaxBatches)
	left := p.Batches[:0:0]
	for i, b := range p.Batches {
		if i >= over && b.Len() > 0 && t.lasts(&b) {
			left = append(left, b)
		} else if err := t.del(record.StampsKey(t, key, class, b.Number)); err != nil {
			return err
		}
	}
	p.Batches = left
	return t.put(record.PoolKey(t, key, class), p.Marshal())
}

// dropPools forgets all stamps of a relay that weren't handed out.
func (t *txn) dropPools(key [32]byte) error {
	for class := range poolSizes {
		p, err := t.pool(key, class)
		if err != nil {
			return err
		}
		for _, b := range p.Batches {
			if err := t.del(record.StampsKey(t, key, class, b.Number)); err != nil {
				return err
			}
		}
		if err := t.del(record.PoolKey(t, key, class)); err != nil {
			return err
		}
	}
	return nil
}

// Short says how many stamps of each class the pool of a relay lacks; 0 while
// it is more than half full.
func (e *Engine) Short(key [32]byte) (short [3]int, err error) {
	err = e.store.View(func(tx *storage.Tx) error {
		t := e.viewTxn(tx)
		for c := range poolSizes {
			full := e.poolSize(key, c, t.now)
			p, err := t.pool(key, c)
			if err != nil {
				return err
			}
			if n := t.inPool(p); n < full/2 {
				short[c] = full - n
			}
		}
		return nil
	})
	return short, err
}

// AddStamps puts stamps with consecutive serials into a pool.
func (e *Engine) AddStamps(ctx context.Context, key [32]byte, class envelope.Class, first uint32, stamps []stamp.Stamp) error {
	return e.do(ctx, 192<<10, func(t *txn) error {
		if t.relay(key) == nil {
			return ErrUnknownRelay
		}
		c := poolOf(class)
		p, err := t.pool(key, c)
		if err != nil {
			return err
		}
		room := min(record.MaxBatch, 2*e.poolSize(key, c, t.now)-t.inPool(p))
		some := stamps[:max(0, min(room, len(stamps)))]
		if len(some) == 0 {
			return nil
		}
		b := record.NewBatch(p.Next, first, 0, len(some))
		least := 0 // days that one of them is good
		for i, s := range some {
			switch n := s.DaysLeft(t.day()); {
			case n < poolDays:
				b.Take(i) // it is too old already
			case least == 0 || n < least:
				least, b.Week = n, s[0]
			}
		}
		p.Batches = append(p.Batches, b)
		if err := t.put(record.StampsKey(t, key, c, p.Next), (&record.Stamps{All: some}).Marshal()); err != nil {
			return err
		}
		p.Next++
		return t.putPool(key, c, p)
	})
}

// draw takes stamps out of a pool at random, as many as there are up to n.
func (t *txn) draw(key [32]byte, class, n int) ([]poolStamp, error) {
	p, err := t.pool(key, class)
	if err != nil {
		return nil, err
	}
	type place struct{ batch, i int }
	var left []place
	for k := range p.Batches {
		b := &p.Batches[k]
		for i := 0; i < int(b.Count) && t.lasts(b); i++ {
			if b.Has(i) {
				left = append(left, place{k, i})
			}
		}
	}
	if n = min(n, len(left)); n <= 0 {
		return nil, nil
	}
	// The relay sees serials: which contact has which must not show.
	shuffle(left, n)
	read := make([]*record.Stamps, len(p.Batches))
	out := make([]poolStamp, 0, n)
	for _, x := range left[:n] {
		b := &p.Batches[x.batch]
		if read[x.batch] == nil {
			if read[x.batch], err = t.stampsOf(key, class, b); err != nil {
				return nil, err
			}
		}
		b.Take(x.i)
		out = append(out, poolStamp{Serial: b.First + uint32(x.i), Stamp: read[x.batch].All[x.i]})
	}
	return out, t.putPool(key, class, p)
}

func (t *txn) stampsOf(key [32]byte, class int, b *record.Batch) (*record.Stamps, error) {
	raw, err := t.Get(record.StampsKey(t, key, class, b.Number))
	if err != nil {
		return nil, fmt.Errorf("reading a pool's stamps: %w", err)
	}
	s, err := record.ParseStamps(raw)
	if err == nil && len(s.All) != int(b.Count) {
		err = errors.New("not as many as there were")
	}
	if err != nil {
		return nil, fmt.Errorf("reading a pool's stamps: %w", err)
	}
	return s, nil
}

// shuffle makes the first n of all a random choice of all, in random order.
func shuffle[T any](all []T, n int) {
	raw := make([]byte, 8*n)
	suite.Random(raw)
	for i := range n {
		j := i + int(binary.BigEndian.Uint64(raw[8*i:])%uint64(len(all)-i))
		all[i], all[j] = all[j], all[i]
	}
}
