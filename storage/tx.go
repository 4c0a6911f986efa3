package storage

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rushlight/protocol/suite"
	"rushlight/storage/keyfile/wheel"
)

// Key is the name of a record. Its first byte is the family (FORMAT.md §2).
type Key []byte

// op is one write that waits for the commit.
type op struct {
	key   Key
	value []byte
	header
	delete bool
	ends   bool // its writer deletes it when it has expired
	own    bool // a record of the store itself
	undone bool // taken back: it isn't there
}

// Tx is a snapshot of the store and, in an Update, the writes on top of it.
// It belongs to one goroutine and is dead when the function it was given to
// returns. What it returns may be kept.
//
// Writes stay in memory until the commit, so only the last one to a key is
// sealed and stored.
type Tx struct {
	s        *Store
	base     *snapshot
	before   *Tx // on its way to the database: its writes come on top of base
	users    atomic.Int32
	writable bool
	over     bool

	writes
	size   int64
	forget wheel.Forget

	trying int
	undo   []undo
	err    error // a write that failed and wasn't taken back
}

// writes is what a transaction writes, and the room it has for that.
type writes struct {
	ops    []op
	at     map[string]int // where in ops a key is
	fresh  []string       // keys of ops that aren't in sorted yet
	sorted []string
	rooms  [][]byte // what keys and values are copied into
	room   int      // the one in use
	most   int      // writes that a transaction had, at most
}

const roomSize = 16 << 10

// spare is the room of transactions that are over, for the next ones.
var spare = sync.Pool{New: func() any { return &writes{at: map[string]int{}} }}

// recycle wipes what was written and gives the room back. A small transaction
// keeps no large room.
func (w *writes) recycle() {
	for i := range w.ops {
		clear(w.ops[i].value)
	}
	w.most = max(w.most, len(w.ops))
	if len(w.ops) > 0 && len(w.ops) >= w.most/8 {
		clear(w.ops)
		clear(w.at)
		clear(w.fresh)
		clear(w.sorted)
		for i := range w.rooms {
			w.rooms[i] = w.rooms[i][:0]
		}
		spare.Put(&writes{ops: w.ops[:0], at: w.at, fresh: w.fresh[:0], sorted: w.sorted[:0], rooms: w.rooms, most: w.most})
	}
	*w = writes{}
}

type undo struct {
	key  string
	had  bool
	prev op
}

// own returns the write of this transaction to a key, or nil.
func (tx *Tx) own(key Key) *op {
	if i, ok := tx.at[string(key)]; ok {
		return &tx.ops[i]
	}
	return nil
}

// op returns the newest write to a key that isn't in the snapshot, or nil.
func (tx *Tx) op(key Key) *op {
	o := tx.own(key)
	if o == nil && tx.before != nil {
		o = tx.before.own(key)
	}
	return o
}

// keep copies b to where it lives as long as the transaction.
func (w *writes) keep(b []byte) []byte {
	for ; w.room < len(w.rooms); w.room++ {
		if r := w.rooms[w.room]; len(b) <= cap(r)-len(r) {
			n := len(r)
			r = append(r, b...)
			w.rooms[w.room] = r
			return r[n:len(r):len(r)]
		}
	}
	r := append(make([]byte, 0, max(len(b), roomSize)), b...)
	w.rooms = append(w.rooms, r)
	return r[:len(r):len(r)]
}

var (
	errOver   = errors.New("storage: the transaction is over")
	errInView = errors.New("storage: a View can't write")
)

// begin begins a View of everything that is on the disk. It waits for a
// commit on its way, which the snapshot may show: nobody may act on one that a
// power cut takes back.
func (s *Store) begin() *Tx {
	tx := &Tx{s: s, base: s.snapshot()}
	if c := s.aloft.Load(); c != nil {
		_ = c.Wait() // its error is its writer's
	}
	tx.users.Store(1)
	return tx
}

// end drops the snapshot and wipes the values that were to be written.
func (tx *Tx) end() {
	tx.over = true
	tx.base.release()
	if tx.before != nil {
		tx.before.release()
	}
	tx.release()
}

// hidden reports whether a record isn't there any more.
func (tx *Tx) hidden(h header) bool {
	return tx.gone(h.expires) || tx.erased(h)
}

// erased reports whether a record can't be opened any more.
func (tx *Tx) erased(h header) bool {
	return h.erasable && !tx.s.leaves.Alive(h.leaf.Bucket, h.leaf.Number, h.leaf.Conversation)
}

// Pseudonym is [Store.Pseudonym].
func (tx *Tx) Pseudonym(label string, id []byte) [16]byte { return tx.s.Pseudonym(label, id) }

// Get returns the value of a live record, [ErrNotFound], or [ErrCorrupt] when
// what is stored wasn't sealed by this store under this key.
func (tx *Tx) Get(key Key) ([]byte, error) {
	value, _, err := tx.Expiring(key)
	return value, err
}

// Expiring is Get, and also returns when the record expires; zero is never.
func (tx *Tx) Expiring(key Key) ([]byte, time.Time, error) {
	if err := tx.usable(key); err != nil {
		return nil, time.Time{}, err
	}
	if o := tx.op(key); o != nil {
		if o.delete || tx.gone(o.expires) {
			return nil, time.Time{}, ErrNotFound
		}
		return append([]byte{}, o.value...), o.expires, nil
	}
	if tx.writable {
		if value, expires, ok := tx.s.hot.get(key); ok {
			if tx.gone(expires) {
				return nil, time.Time{}, ErrNotFound
			}
			return append([]byte{}, value...), expires, nil
		}
	}
	it, err := tx.item(key)
	if err != nil {
		return nil, time.Time{}, err
	}
	var value []byte
	var h header
	var opened error
	if err := it.Value(func(stored []byte) error {
		value, h, opened = tx.s.openValue(key, stored)
		return nil
	}); err != nil {
		return nil, time.Time{}, readError(key, err)
	}
	if opened != nil {
		return nil, time.Time{}, opened
	}
	if tx.gone(h.expires) {
		clear(value)
		return nil, time.Time{}, ErrNotFound
	}
	return value, h.expires, nil
}

// Has reports whether a live record has this key. It doesn't open the value.
func (tx *Tx) Has(key Key) (bool, error) {
	if err := tx.usable(key); err != nil {
		return false, err
	}
	if o := tx.op(key); o != nil {
		return !o.delete && !tx.gone(o.expires), nil
	}
	it, err := tx.item(key)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	h, err := readHeader(key, it)
	return err == nil && !tx.hidden(h), err
}

// Held is Has, and is true also for a record that is hidden because it has
// expired or its key is destroyed, until somebody deletes it.
func (tx *Tx) Held(key Key) (bool, error) {
	if err := tx.usable(key); err != nil {
		return false, err
	}
	if o := tx.op(key); o != nil {
		return !o.delete, nil
	}
	_, err := tx.item(key)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// readHeader reads what stands before a sealed value.
func readHeader(key Key, it *badger.Item) (h header, err error) {
	err = it.Value(func(stored []byte) (err error) {
		h, _, err = splitValue(stored)
		return err
	})
	if err != nil {
		return h, fmt.Errorf("%w: a record of family %#02x: %w", ErrCorrupt, key[0], err)
	}
	return h, nil
}

// item finds a key in the snapshot.
func (tx *Tx) item(key Key) (*badger.Item, error) {
	if err := tx.s.audit.between(key, key); err != nil {
		return nil, err
	}
	it, err := tx.base.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, readError(key, err)
	}
	return it, nil
}

// readError hides Badger's text, which may hold the key.
func readError(key Key, err error) error {
	if errors.Is(err, badger.ErrDBClosed) {
		return ErrClosed
	}
	return fmt.Errorf("%w: a record of family %#02x can't be read", ErrCorrupt, key[0])
}

func (tx *Tx) gone(expires time.Time) bool {
	return !expires.IsZero() && !expires.After(tx.Now())
}

// Put writes a record that stays until it is deleted.
func (tx *Tx) Put(key Key, value []byte) error { return tx.PutExpiring(key, value, time.Time{}) }

// PutExpiring writes a record that is not found any more from expires on, by
// the store's clock, in steps of a millisecond. A zero expires is never. Both
// slices are copied.
func (tx *Tx) PutExpiring(key Key, value []byte, expires time.Time) error {
	return tx.put(op{key: key, value: value, header: header{expires: expires}})
}

// PutEnding is PutExpiring for what its writer deletes when it has expired and
// the time is certain: a clock that is years ahead for a while only hides it.
func (tx *Tx) PutEnding(key Key, value []byte, expires time.Time) error {
	return tx.put(op{key: key, value: value, header: header{expires: expires}, ends: true})
}

// PutUnder is PutEnding, and the record is sealed under a leaf: it is gone
// with it. It returns [ErrErased] when the leaf is gone already.
func (tx *Tx) PutUnder(key Key, value []byte, expires time.Time, l Leaf) error {
	if !tx.s.leaves.Alive(l.Bucket, l.Number, l.Conversation) {
		return tx.fail(ErrErased)
	}
	return tx.put(op{key: key, value: value, header: header{expires: expires, erasable: true, leaf: l}, ends: true})
}

func (tx *Tx) put(o op) error {
	if len(o.value) > MaxValue {
		return tx.fail(fmt.Errorf("storage: a value of family %#02x is over MaxValue", family(o.key)))
	}
	if !o.expires.IsZero() {
		// What is read back before the commit is what is read after it.
		o.expires = time.UnixMilli(max(o.expires.UnixMilli(), 0))
	}
	return tx.write(o)
}

// Delete removes a record; there need not be one.
func (tx *Tx) Delete(key Key) error { return tx.write(op{key: key, delete: true}) }

func (tx *Tx) write(o op) error {
	if err := tx.usable(o.key); err != nil {
		return tx.fail(err)
	}
	if !tx.writable {
		return errInView
	}
	if o.key[0] == keyHead[0] && !o.own {
		return tx.fail(errors.New("storage: family 0 belongs to the store itself"))
	}
	prev, size := tx.own(o.key), tx.size+cost(len(o.key), len(o.value))
	if prev != nil {
		size -= cost(len(prev.key), len(prev.value))
	} else if len(tx.at) >= tx.maxOps() {
		return tx.fail(ErrFull)
	}
	if size > tx.maxSize() {
		return tx.fail(ErrFull)
	}
	tx.size = size
	o.value = tx.keep(o.value)
	if prev != nil {
		o.key = prev.key
		if tx.trying > 0 {
			tx.undo = append(tx.undo, undo{string(o.key), true, *prev})
		} else {
			clear(prev.value)
		}
		*prev = o
		return nil
	}
	k := string(o.key)
	o.key = tx.keep(o.key)
	tx.at[k] = len(tx.ops)
	tx.ops = append(tx.ops, o)
	tx.fresh = append(tx.fresh, k)
	if tx.trying > 0 {
		tx.undo = append(tx.undo, undo{key: k})
	}
	return nil
}

func (tx *Tx) usable(key Key) error {
	switch {
	case tx.over:
		return errOver
	case len(key) == 0 || len(key) > MaxKey:
		return errors.New("storage: a key must have 1 to MaxKey bytes")
	case bytes.HasPrefix(key, []byte("!badger!")):
		return errors.New("storage: this prefix belongs to the database")
	}
	return nil
}

func family(key Key) byte {
	if len(key) == 0 {
		return 0
	}
	return key[0]
}

// fail remembers that a write didn't happen: unless it is taken back with
// [Tx.Try], the Update fails even if its function ignores the error.
func (tx *Tx) fail(err error) error {
	if tx.err == nil {
		tx.err = err
	}
	return err
}

// Try runs fn and takes back all its writes when it returns an error, which
// Try returns. So one input of a group can fail without the others. Try may be
// nested.
func (tx *Tx) Try(fn func() error) error {
	mark, before, forget := len(tx.undo), tx.err, tx.forget
	tx.trying++
	err := func() error {
		defer func() { tx.trying-- }()
		return fn()
	}()
	if err == nil {
		err = tx.err
	}
	if err != nil && before == nil {
		tx.takeBack(mark)
		tx.err, tx.forget = nil, forget
	}
	if tx.trying == 0 {
		for _, u := range tx.undo {
			clear(u.prev.value)
		}
		tx.undo = nil
	}
	return err
}

func (tx *Tx) takeBack(mark int) {
	for _, u := range slices.Backward(tx.undo[mark:]) {
		now := &tx.ops[tx.at[u.key]]
		tx.size -= cost(len(now.key), len(now.value))
		clear(now.value)
		if u.had {
			*now = u.prev
			tx.size += cost(len(u.prev.key), len(u.prev.value))
			continue
		}
		now.undone = true
		delete(tx.at, u.key)
		if i := slices.Index(tx.fresh, u.key); i >= 0 {
			tx.fresh = slices.Delete(tx.fresh, i, i+1)
		} else if i, ok := slices.BinarySearch(tx.sorted, u.key); ok {
			tx.sorted = slices.Delete(tx.sorted, i, i+1)
		}
	}
	tx.undo = tx.undo[:mark]
}

// Badger refuses a transaction that reaches 15 % of the memtable or one entry
// per skip-list node in it. Both are counted here with every overhead it adds,
// and room for the store's own records is kept back.
const (
	perOp    = 8 + maxHeader + suite.BoxOverhead + 2 + 10 + 8
	reserved = 2048
)

func cost(key, value int) int64 { return int64(perOp + key + value) }

func (tx *Tx) maxSize() int64 { return tx.s.db.MaxBatchSize() - reserved }
func (tx *Tx) maxOps() int    { return int(tx.s.db.MaxBatchCount()) - 16 }

// Fits reports whether n more records, keys and values together of the given
// number of bytes, fit into this transaction. Writes that fit never make the
// commit fail for their size.
func (tx *Tx) Fits(n, bytes int) bool {
	return len(tx.at)+n <= tx.maxOps() && tx.size+int64(n)*perOp+int64(bytes) <= tx.maxSize()
}

// Size returns how many records wait for the commit and what they count
// against the limit in bytes.
func (tx *Tx) Size() (records int, bytes int64) { return len(tx.at), tx.size }
