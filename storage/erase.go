package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
	"rushlight/storage/keyfile/wheel"
)

// dirWheel holds the keys whose destruction destroys records.
const dirWheel = "wheel"

const labelAnchor suite.Label = "rushlight/storage/anchor/1"

// Records of these families are states: each version is sealed under a leaf of
// its own, and the leaf of the version it replaces is destroyed.
const firstState, lastState = 0x10, 0x30

func isState(key Key) bool { return key[0] >= firstState && key[0] <= lastState }

// ErrErased: the key that the record was to be sealed under is destroyed.
var ErrErased = errors.New("storage: the key is destroyed")

// Leaf names a key of the wheel (FORMAT.md §10): the number-th of a bucket,
// mixed with the key of a conversation; the zero conversation is none.
type Leaf struct {
	Bucket, Number uint32
	Conversation   [16]byte
}

func (l Leaf) ref() wheel.Ref { return wheel.Ref{Bucket: l.Bucket, Leaf: l.Number} }

// leaves is what the writer knows of the wheel.
type leaves struct {
	*wheel.Wheel
	counters   map[uint32]*counter
	bucket     uint32          // of the states that are written now
	states     map[string]Leaf // of the live version of each state
	superseded []wheel.Ref     // of versions that were replaced, to be destroyed
	clean      bool            // no record is known to be without its key
}

// counter hands out the leaves of a bucket. What is below reserved may have
// been handed out before a crash.
type counter struct {
	next, reserved uint32
	dirty          bool // reserved isn't on the disk yet
}

// reserve is how many leaves are reserved at a time.
const reserve = 256

// openWheel opens the key wheel, or makes it beside a new database.
func (s *Store) openWheel(root [32]byte, fresh bool) error {
	dir := filepath.Join(s.dir, dirWheel)
	if _, err := os.Lstat(filepath.Join(dir, "anchor")); err != nil && !fresh {
		return fmt.Errorf("%w: the erasable keys are gone", ErrCorrupt)
	}
	w, err := wheel.Open(dir, [32]byte(suite.Derive(root[:], nil, 32, labelAnchor)), wheel.Options{})
	switch {
	case err == nil:
	case errors.Is(err, wheel.ErrLocked):
		return ErrLocked
	case errors.Is(err, wheel.ErrWrongKey):
		return ErrWrongKey
	case errors.Is(err, wheel.ErrVersion):
		return ErrVersion
	case errors.Is(err, wheel.ErrCorrupt), errors.Is(err, wheel.ErrWiped):
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	default:
		return cause(err, "opening the erasable keys")
	}
	s.leaves = leaves{Wheel: w, counters: map[uint32]*counter{}, states: map[string]Leaf{}, clean: true}
	return nil
}

// loadLeaves finds the live states, and the leaves that a crash left to be
// destroyed.
func (s *Store) loadLeaves() error {
	l := &s.leaves
	var old []uint32 // buckets of states
	for _, b := range l.Buckets() {
		if b>>28 == wheel.BucketState(0)>>28 {
			old = append(old, b)
		}
	}
	if l.bucket = wheel.BucketState(0); len(old) > 0 {
		l.bucket = old[len(old)-1]
	}
	if err := l.Ensure(l.bucket); err != nil {
		return cause(err, "making a bucket of keys")
	}
	tx := s.begin()
	defer tx.end()
	used := map[wheel.Ref]bool{}
	if err := tx.eachState(func(key Key, leaf Leaf) {
		l.states[string(key)] = leaf
		used[leaf.ref()] = true
	}); err != nil {
		return err
	}
	for _, b := range old {
		c, err := tx.counter(b)
		if err != nil {
			return err
		}
		const most = 1 << 20
		for _, n := range l.Live(b, c.next, most) {
			if r := (wheel.Ref{Bucket: b, Leaf: n}); !used[r] {
				l.superseded = append(l.superseded, r)
			}
		}
	}
	raw, err := tx.Get(keyClean)
	switch {
	case err == nil:
		l.clean = len(raw) == 8 && binary.BigEndian.Uint64(raw) == s.head.counter
	case errors.Is(err, ErrNotFound):
		l.clean = s.head.counter <= 1
	default:
		return err
	}
	return nil
}

// eachState calls fn for every state that is sealed under a leaf.
func (tx *Tx) eachState(fn func(key Key, leaf Leaf)) error {
	// The leaf of a state that isn't seen would be destroyed.
	if err := tx.s.audit.between(Key{firstState}, Key{lastState + 1}); err != nil {
		return err
	}
	it := tx.base.NewIterator(badger.IteratorOptions{})
	defer it.Close()
	for it.Seek([]byte{firstState}); it.Valid(); it.Next() {
		key := Key(it.Item().KeyCopy(nil))
		if !isState(key) {
			if key[0] > lastState {
				return nil
			}
			continue
		}
		h, err := readHeader(key, it.Item())
		if err != nil {
			return err
		}
		if h.erasable && h.leaf.Bucket>>28 == tx.s.leaves.bucket>>28 {
			fn(key, h.leaf)
		}
	}
	return nil
}

// counter returns the counter of a bucket; what it had reserved counts as
// handed out.
func (tx *Tx) counter(bucket uint32) (*counter, error) {
	if c := tx.s.leaves.counters[bucket]; c != nil {
		return c, nil
	}
	c := &counter{}
	raw, err := tx.Get(leafKey(bucket))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	if err == nil {
		r := wire.NewReader(raw)
		c.next = r.U32()
		if err := r.Close(); err != nil {
			return nil, fmt.Errorf("%w: a counter of keys: %w", ErrCorrupt, err)
		}
		c.reserved = c.next
	}
	tx.s.leaves.counters[bucket] = c
	return c, nil
}

func (c *counter) take() uint32 {
	n := c.next
	c.next++
	if c.next > c.reserved {
		c.reserved = min(c.next+reserve, wheel.Leaves)
		c.dirty = true
	}
	return n
}

// NewLeaf hands out a key of a bucket, which nothing was sealed under before,
// mixed with that of a conversation. The first of a bucket or conversation
// waits until its key is durable; when that fails, so does the store. Several records may be put under one leaf;
// they are destroyed together.
func (tx *Tx) NewLeaf(bucket uint32, conversation [16]byte) (Leaf, error) {
	if !tx.writable {
		return Leaf{}, errInView
	}
	l := &tx.s.leaves
	if err := l.Ensure(bucket); err != nil {
		return Leaf{}, tx.keysFailed(err)
	}
	if err := l.EnsureConversations(conversation); err != nil {
		return Leaf{}, tx.keysFailed(err)
	}
	c, err := tx.counter(bucket)
	if err != nil {
		return Leaf{}, err
	}
	if c.next >= wheel.Leaves {
		return Leaf{}, ErrFull
	}
	return Leaf{bucket, c.take(), conversation}, nil
}

// keysFailed stops the store: a wheel that couldn't be written isn't used any
// more.
func (tx *Tx) keysFailed(err error) error {
	return tx.fail(tx.s.fail(cause(err, "making keys")))
}

// LeafOf returns the leaf that the record under key is sealed under, also when
// it has expired; false when it is under none. A record whose leaf is destroyed
// is [ErrNotFound].
func (tx *Tx) LeafOf(key Key) (Leaf, bool, error) {
	if err := tx.usable(key); err != nil {
		return Leaf{}, false, err
	}
	if o := tx.op(key); o != nil {
		if o.delete {
			return Leaf{}, false, ErrNotFound
		}
		return o.leaf, o.erasable, nil
	}
	it, err := tx.item(key)
	if err != nil {
		return Leaf{}, false, err
	}
	h, err := readHeader(key, it)
	if err != nil {
		return Leaf{}, false, err
	}
	if tx.erased(h) {
		return Leaf{}, false, ErrNotFound
	}
	return h.leaf, h.erasable, nil
}

// Forget destroys the key of a leaf, and with it all records under it, just
// before the rest of this transaction is committed: when Update returns nil
// nobody can open them again, as far as [Store.Erasure] says. After a crash in
// between they are gone and the rest hasn't happened.
func (tx *Tx) Forget(l Leaf) { tx.forget.Leaves = append(tx.forget.Leaves, l.ref()) }

// ForgetConversation is [Tx.Forget] for everything of a conversation.
func (tx *Tx) ForgetConversation(c [16]byte) {
	tx.forget.Conversations = append(tx.forget.Conversations, c)
}

// ForgetBuckets is [Tx.Forget] for everything in buckets.
func (tx *Tx) ForgetBuckets(b ...uint32) { tx.forget.Buckets = append(tx.forget.Buckets, b...) }

// Forgets reports whether the transaction destroys keys.
func (tx *Tx) Forgets() bool { return !forgetsNothing(tx.forget) }

func forgetsNothing(f wheel.Forget) bool {
	return len(f.Leaves) == 0 && len(f.Buckets) == 0 && len(f.Conversations) == 0
}

// Ended returns the buckets of which everything has expired at t, and when the
// next one ends; zero is never.
func (s *Store) Ended(t time.Time) (ended []uint32, next time.Time) {
	for _, b := range s.leaves.Buckets() {
		switch end := wheel.BucketEnd(b); {
		case end.IsZero():
		case !end.After(t):
			ended = append(ended, b)
		case next.IsZero() || end.Before(next):
			next = end
		}
	}
	return ended, next
}

// Erasure says how surely destroyed keys are gone from the disk.
func (s *Store) Erasure() wheel.Assurance { return s.leaves.Level() }

// Puncture destroys the keys of states that were replaced since the last time.
// It belongs to the writer, as Update does, who calls it now and then: it costs
// a few syncs whatever their number.
func (s *Store) Puncture() error {
	done, err := s.write()
	if err != nil {
		return err
	}
	defer done()
	if err := s.settle(); err != nil {
		return err
	}
	return s.destroy(wheel.Forget{})
}

// destroy destroys keys, and those that wait for it.
func (s *Store) destroy(f wheel.Forget) error {
	l := &s.leaves
	if forgetsNothing(f) && len(l.superseded) == 0 {
		return nil
	}
	f.Leaves = append(slices.Clone(f.Leaves), l.superseded...)
	s.hot.forget() // nothing of what is destroyed stays in memory
	if err := l.Commit(f); err != nil {
		return s.fail(cause(err, "destroying keys"))
	}
	for _, b := range f.Buckets {
		delete(l.counters, b)
	}
	l.superseded = nil
	return nil
}

// ops adds what the wheel needs in this transaction: leaves for its states, and
// counters.
func (l *leaves) ops(tx *Tx, ops []op) ([]op, error) {
	for i := range ops {
		if o := &ops[i]; isState(o.key) && !o.delete && !o.erasable {
			if err := tx.nextState(o); err != nil {
				return nil, err
			}
		}
	}
	for b, c := range l.counters {
		if c.dirty {
			ops = append(ops, op{key: leafKey(b), value: wire.NewWriter(nil).U32(c.reserved).Out()})
			c.dirty = false
		}
	}
	for _, b := range tx.forget.Buckets {
		ops = append(ops, op{key: leafKey(b), delete: true})
	}
	return ops, nil
}

// unsaved is called when a transaction came to nothing: what it would have
// reserved must be in the next one.
func (l *leaves) unsaved() {
	for _, c := range l.counters {
		c.dirty = true
	}
}

// nextState gives a state a leaf of its own.
func (tx *Tx) nextState(o *op) error {
	l := &tx.s.leaves
	c, err := tx.counter(l.bucket)
	if err != nil {
		return err
	}
	for c.next >= wheel.Leaves {
		l.bucket = wheel.BucketState(l.bucket + 1)
		if err := l.Ensure(l.bucket); err != nil {
			return tx.keysFailed(err)
		}
		if c, err = tx.counter(l.bucket); err != nil {
			return err
		}
	}
	o.erasable, o.leaf = true, Leaf{Bucket: l.bucket, Number: c.take()}
	return nil
}

// committed notes what a commit changed.
func (l *leaves) committed(ops []op) {
	for i := range ops {
		o := &ops[i]
		if !isState(o.key) {
			continue
		}
		if old, ok := l.states[string(o.key)]; ok {
			l.superseded = append(l.superseded, old.ref())
			delete(l.states, string(o.key))
		}
		if !o.delete && o.leaf.Bucket>>28 == l.bucket>>28 {
			l.states[string(o.key)] = o.leaf
		}
	}
}

// Clean reports whether every record is known to have its key. After a crash
// there may be some without; see [Tx.EachErased].
func (s *Store) Clean() bool { return s.leaves.clean }

// Cleaned notes that [Tx.EachErased] has seen every record.
func (s *Store) Cleaned() { s.leaves.clean = true }

// EachErased calls fn for the records whose key is destroyed among the next few
// from a key on, and returns where to go on, nil at the end. Nobody sees these
// records any more; they only take space, which fn gives back by deleting them.
func (tx *Tx) EachErased(from Key, few int, fn func(key Key) error) (next Key, err error) {
	it := tx.base.NewIterator(badger.IteratorOptions{})
	defer it.Close()
	if from == nil {
		from = Key{firstState}
	}
	for it.Seek(from); it.Valid(); it.Next() {
		key := Key(it.Item().KeyCopy(nil))
		if few--; few < 0 {
			return key, nil
		}
		h, err := readHeader(key, it.Item())
		if err != nil {
			return nil, err
		}
		if tx.erased(h) && tx.op(key) == nil {
			if err := fn(key); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}

// leafKey is the key of the counter of a bucket.
func leafKey(bucket uint32) Key { return wire.NewWriter([]byte{0, 'w'}).U32(bucket).Out() }
