package storage

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rushlight/protocol/suite"
)

// Key is the name of a record. Its first byte is the family (FORMAT.md §2).
type Key []byte

// op is one write that waits for the commit.
type op struct {
	key     Key
	value   []byte
	expires time.Time
	delete  bool
}

// Tx is a snapshot of the store and, in an Update, the writes on top of it.
// It belongs to one goroutine and is dead when the function it was given to
// returns. What it returns may be kept.
//
// Writes stay in memory until the commit, so only the last one to a key is
// sealed and stored.
type Tx struct {
	s        *Store
	base     *badger.Txn
	writable bool
	over     bool

	ops    map[string]op
	fresh  []string // keys of ops that aren't in sorted yet
	sorted []string
	size   int64

	trying int
	undo   []undo
	err    error // a write that failed and wasn't taken back
}

type undo struct {
	key  string
	had  bool
	prev op
}

var (
	errOver   = errors.New("storage: the transaction is over")
	errInView = errors.New("storage: a View can't write")
)

func (s *Store) begin(writable bool) *Tx {
	return &Tx{s: s, base: s.db.NewTransaction(false), writable: writable}
}

// end drops the snapshot and wipes the values that were to be written.
func (tx *Tx) end() {
	tx.over = true
	tx.base.Discard()
	for _, o := range tx.ops {
		clear(o.value)
	}
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
	if o, ok := tx.ops[string(key)]; ok {
		if o.delete || tx.gone(o.expires) {
			return nil, time.Time{}, ErrNotFound
		}
		return append([]byte{}, o.value...), o.expires, nil
	}
	stored, err := tx.stored(key)
	if err != nil {
		return nil, time.Time{}, err
	}
	value, expires, err := tx.s.keys.openValue(key, stored)
	if err != nil {
		return nil, time.Time{}, err
	}
	if tx.gone(expires) {
		return nil, time.Time{}, ErrNotFound
	}
	return value, expires, nil
}

// Has reports whether a live record has this key. It doesn't open the value.
func (tx *Tx) Has(key Key) (bool, error) {
	if err := tx.usable(key); err != nil {
		return false, err
	}
	if o, ok := tx.ops[string(key)]; ok {
		return !o.delete && !tx.gone(o.expires), nil
	}
	stored, err := tx.stored(key)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, expires, _, err := splitValue(stored)
	if err != nil {
		return false, fmt.Errorf("%w: a record of family %#02x: %w", ErrCorrupt, key[0], err)
	}
	return !tx.gone(expires), nil
}

// stored reads the sealed value under key from the snapshot.
func (tx *Tx) stored(key Key) ([]byte, error) {
	it, err := tx.base.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, ErrNotFound
	}
	var stored []byte
	if err == nil {
		stored, err = it.ValueCopy(nil)
	}
	if err != nil {
		return nil, readError(key, err)
	}
	return stored, nil
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
	if len(value) > MaxValue {
		return tx.fail(fmt.Errorf("storage: a value of family %#02x is over MaxValue", family(key)))
	}
	if !expires.IsZero() {
		// What is read back before the commit is what is read after it.
		expires = time.UnixMilli(max(expires.UnixMilli(), 0))
	}
	return tx.write(op{key: key, value: append([]byte{}, value...), expires: expires})
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
	if o.key[0] == keyHead[0] {
		return tx.fail(errors.New("storage: family 0 belongs to the store itself"))
	}
	k := string(o.key)
	prev, had := tx.ops[k]
	size := tx.size + cost(len(o.key), len(o.value))
	if had {
		size -= cost(len(prev.key), len(prev.value))
	} else if len(tx.ops) >= tx.maxOps() {
		return tx.fail(ErrFull)
	}
	if size > tx.maxSize() {
		return tx.fail(ErrFull)
	}
	o.key = Key(k)
	if tx.ops == nil {
		tx.ops = map[string]op{}
	}
	tx.ops[k], tx.size = o, size
	if !had {
		tx.fresh = append(tx.fresh, k)
	}
	if tx.trying > 0 {
		tx.undo = append(tx.undo, undo{k, had, prev})
	} else {
		clear(prev.value)
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
	mark, before := len(tx.undo), tx.err
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
		tx.err = nil
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
		now := tx.ops[u.key]
		tx.size -= cost(len(now.key), len(now.value))
		clear(now.value)
		if u.had {
			tx.ops[u.key] = u.prev
			tx.size += cost(len(u.prev.key), len(u.prev.value))
			continue
		}
		delete(tx.ops, u.key)
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
	perOp    = 8 + 1 + 8 + suite.BoxOverhead + 2 + 10 + 8
	reserved = 2048
)

func cost(key, value int) int64 { return int64(perOp + key + value) }

func (tx *Tx) maxSize() int64 { return tx.s.db.MaxBatchSize() - reserved }
func (tx *Tx) maxOps() int    { return int(tx.s.db.MaxBatchCount()) - 8 }

// Fits reports whether n more records, keys and values together of the given
// number of bytes, fit into this transaction. Writes that fit never make the
// commit fail for their size.
func (tx *Tx) Fits(n, bytes int) bool {
	return len(tx.ops)+n <= tx.maxOps() && tx.size+int64(n)*perOp+int64(bytes) <= tx.maxSize()
}

// Size returns how many records wait for the commit and what they count
// against the limit in bytes.
func (tx *Tx) Size() (records int, bytes int64) { return len(tx.ops), tx.size }
