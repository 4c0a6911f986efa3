package storage

import (
	"errors"
	"fmt"
	"slices"
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
	c, err := s.Start(fn)
	if err != nil {
		return err
	}
	if err := c.Wait(); err != nil {
		return err
	}
	if done, err := s.write(); err == nil { // otherwise the next writer does it
		defer done()
		return s.settle()
	}
	return nil
}

// Commit is a transaction on its way to the disk.
type Commit struct {
	tx      *Tx
	s       *Store
	written chan struct{} // closed when the database has it
	done    chan struct{} // closed when the disk has it
	err     error         // once done
	prev    *Commit       // the one before, while that isn't done

	// What the writer notes when it is written:
	ops   []op
	head  head
	clock time.Time // zero when it wasn't written

	// base is a snapshot without the commit, for who begins meanwhile.
	base *snapshot
}

// Wait returns nil as soon as the transaction is on the disk.
func (c *Commit) Wait() error {
	select {
	case <-c.done:
		return c.err
	case <-c.s.audit.broken: // then Badger may never say
	}
	if c.over() {
		return c.err
	}
	return c.s.poison.Load()
}

func (c *Commit) over() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// Start is Update, but returns as soon as the transaction is on its way to the
// disk, so that the next one can be made meanwhile: its fn sees what this one
// wrote. At most two are on their way, one to the database and one from there to
// the disk; a Start that is ready earlier waits. They arrive in their order, and
// when one fails so do those after it.
// Nothing of a transaction may be acknowledged or sent before its Wait has
// returned nil.
func (s *Store) Start(fn func(*Tx) error) (*Commit, error) {
	done, err := s.write()
	if err != nil {
		return nil, err
	}
	defer done()
	if err := s.space.check(); err != nil {
		return nil, err
	}
	tx, err := s.beginWrite()
	if err != nil {
		return nil, err
	}
	defer tx.end()
	err = fn(tx)
	if p := s.poison.Load(); p != nil { // also when fn took it back
		return nil, p
	}
	if err != nil {
		return nil, err
	}
	if tx.err != nil {
		return nil, tx.err
	}
	if len(tx.at) == 0 && forgetsNothing(tx.forget) {
		return &Commit{s: s, written: closed, done: closed}, nil
	}
	ops := tx.ops
	if len(tx.at) < len(ops) {
		ops = slices.DeleteFunc(slices.Clone(ops), func(o op) bool { return o.undone })
	}
	s.space.wrote(tx.size)
	if ops, err = s.leaves.ops(tx, ops); err != nil {
		return nil, err
	}
	c, err := s.commit(tx, ops)
	if err != nil {
		s.leaves.unsaved()
	}
	return c, err
}

var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

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

// settle waits for the commits on their way and notes what they changed. It
// belongs to the writer, as what it calls.
func (s *Store) settle() error {
	if err := s.pass(); err != nil {
		return err
	}
	return s.arrive()
}

// pass waits until the database has the newest commit, and the disk the one
// before.
func (s *Store) pass() error {
	c := s.flight
	if c == nil {
		return nil
	}
	s.flight = nil
	err := s.arrive()
	if err == nil {
		select {
		case <-c.written:
		case <-s.audit.broken: // then Badger may never say
			err = c.Wait()
		}
	}
	c.base.release()
	if c.tx != nil {
		defer c.tx.release()
	}
	if err != nil {
		return err
	}
	// Should it not arrive, the store is used no more.
	s.sinking = c
	s.leaves.committed(c.ops)
	if !c.clock.IsZero() {
		s.clock.committed(c.clock)
	}
	return nil
}

// arrive waits until the disk has the commit that the database has.
func (s *Store) arrive() error {
	c := s.sinking
	if c == nil {
		return nil
	}
	s.sinking = nil
	if err := c.Wait(); err != nil {
		return err
	}
	s.durable = c.head
	s.mirrorIfDue()
	return nil
}

// sealed is a transaction ready to be given to the database.
type sealed struct {
	*desk // an entry without a value is a deletion
	head  head
	clock time.Time
}

// seal seals ops, the next head and, when it is due, the clock.
func (s *Store) seal(ops []op) (out sealed, err error) {
	if now, due := s.clock.due(); due {
		out.clock = now
		ops = append(ops, op{key: keyClock, value: encodeClock(now)})
	}
	size := maxHeader + suite.BoxOverhead + 64
	for i := range ops {
		size += maxHeader + suite.BoxOverhead + len(ops[i].value)
	}
	out.desk = desks.Get().(*desk)
	buf := slices.Grow(out.buf[:0], size)
	out.entries = slices.Grow(out.entries[:0], len(ops)+1)[:len(ops)+1]
	// The digest of a commit covers each key and the nonce and tag under
	// which its value was sealed.
	transcript := wire.NewWriter(slices.Grow(out.transcript[:0], 96*len(ops)))
	for i := range ops {
		o := &ops[i]
		if o.delete {
			transcript.U8(0).Vec16(o.key)
			out.entries[i] = badger.Entry{Key: o.key}
			continue
		}
		n := len(buf)
		if buf, err = s.sealValue(out.desk, buf, o.key, o.value, o.header); err != nil {
			return out, fmt.Errorf("storage: preparing a commit: %w", err)
		}
		v := buf[n:len(buf):len(buf)]
		box := v[len(v)-len(o.value)-suite.BoxOverhead:]
		transcript.U8(1).Vec16(o.key).Raw(box[:24]).Raw(box[len(box)-16:])
		out.entries[i] = badger.Entry{Key: o.key, Value: v, ExpiresAt: reclaimAt(o.expires, o.ends)}
	}
	out.transcript = transcript.Out()
	out.head = s.head.next(&s.keys, out.transcript)
	n := len(buf)
	if buf, err = s.sealValue(out.desk, buf, keyHead, out.head.marshal(), header{}); err != nil {
		return out, fmt.Errorf("storage: preparing a commit: %w", err)
	}
	out.entries[len(ops)] = badger.Entry{Key: keyHead, Value: buf[n:]}
	out.buf = buf
	return out, nil
}

// commit gives ops and everything that goes with them to the database in one
// transaction, after it destroyed the keys to be forgotten. tx is nil for what
// no caller wrote.
func (s *Store) commit(tx *Tx, ops []op) (*Commit, error) {
	ready, err := s.seal(ops)
	if err != nil {
		return nil, err
	}
	wait := s.pass
	if tx != nil && !forgetsNothing(tx.forget) {
		wait = s.settle // what destroys keys comes after what has replaced them
	}
	if err := wait(); err != nil {
		return nil, err
	}
	c := &Commit{
		tx: tx, s: s, written: make(chan struct{}), done: make(chan struct{}), prev: s.sinking,
		ops: ops, head: ready.head, clock: ready.clock, base: s.snapshot(),
	}
	b := s.db.NewTransaction(true)
	defer b.Discard()
	for i := range ready.entries {
		if e := &ready.entries[i]; e.Value == nil {
			err = b.Delete(e.Key)
		} else {
			err = b.SetEntry(e)
		}
		if err != nil {
			c.base.release()
			return nil, fmt.Errorf("storage: preparing a commit: %w", ErrFull)
		}
	}
	if tx != nil && !forgetsNothing(tx.forget) {
		if err := s.destroy(tx.forget); err != nil {
			c.base.release()
			return nil, err
		}
	}
	if tx != nil {
		tx.hold() // for who waits for it
		tx.hold() // for settle
	}
	s.head, s.flight = ready.head, c
	s.aloft.Store(c)
	s.gate.hold()
	bytes := len(ready.buf)
	b.CommitWith(func(err error) {
		ready.leave() // the database has copied it
		if err == nil && s.wal != nil {
			s.wal.Written(bytes) // nobody writes until written is closed
		}
		close(c.written)
		if c.prev != nil {
			<-c.prev.done
			if c.prev.err != nil {
				err = c.prev.err // the disk says so only once
			}
			c.prev = nil
		}
		if err == nil && s.wal != nil {
			err = s.wal.Sync()
		}
		if err != nil {
			c.err = s.fail(cause(err, "committing"))
		} else {
			s.counter.Store(c.head.counter)
		}
		close(c.done)
		s.aloft.CompareAndSwap(c, nil)
		if tx != nil {
			tx.release()
		}
		s.gate.leave()
	})
	s.hot.took(ops) // meanwhile; should it not arrive, nothing is read there any more
	return c, nil
}

// commitAlone commits what the store itself writes.
func (s *Store) commitAlone(ops ...op) error {
	c, err := s.commit(nil, ops)
	if err != nil {
		return err
	}
	if err := c.Wait(); err != nil {
		return err
	}
	return s.settle()
}

// fail lets nothing be written any more until the store is opened again.
func (s *Store) fail(err error) error {
	p := &poisonError{cause: err}
	s.poison.Store(p)
	return p
}

// reclaimAt is when Badger may drop the record to save space, in Unix seconds: a
// day after the end of the day on which it expires. The rounding hides the
// lifetime, which Badger writes in clear. Badger goes by the system's clock. What
// its writer ends is deleted by the writer once the time is certain, and outlives
// a clock that is years ahead meanwhile.
func reclaimAt(expires time.Time, ends bool) uint64 {
	if expires.IsZero() {
		return 0
	}
	const day = 24 * 60 * 60
	at := uint64(expires.Unix())/day*day + 2*day
	if ends {
		at += 3 * 366 * day
	}
	return at
}
