package storage

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// Scan calls fn for the live records whose keys start with prefix, in the
// order of their keys, until fn wants no more. It starts at from, or at the
// next key after it, or with a nil from at the first; in reverse it starts at
// from, or at the next key before it, or at the last.
//
// Writes of this transaction are seen. If fn itself writes, a record it
// deletes isn't shown later in the same Scan, one it overwrites is shown with
// its new value, and one it adds may be left out. It stops at the first record
// that is damaged and returns [ErrCorrupt].
func (tx *Tx) Scan(prefix, from Key, reverse bool, fn func(key Key, value []byte) (more bool, err error)) error {
	return tx.walk(prefix, from, reverse, func(key Key, it *badger.Item) (bool, error) {
		value, err := tx.valueAt(key, it)
		if err != nil || value == nil {
			return true, err
		}
		return fn(key, value)
	})
}

// ScanKeys is Scan without the values, which aren't opened: it shows that a
// key is there, not that its value is whole.
func (tx *Tx) ScanKeys(prefix, from Key, reverse bool, fn func(key Key) (more bool, err error)) error {
	return tx.walk(prefix, from, reverse, func(key Key, it *badger.Item) (bool, error) {
		if o := tx.op(key); o != nil {
			if o.delete || tx.gone(o.expires) {
				return true, nil
			}
			return fn(key)
		}
		h, err := readHeader(key, it)
		if err != nil {
			return false, err
		}
		if tx.hidden(h) {
			return true, nil
		}
		return fn(key)
	})
}

// ScanHeld is ScanKeys with the records that are hidden, see [Tx.Held].
func (tx *Tx) ScanHeld(prefix, from Key, reverse bool, fn func(key Key) (more bool, err error)) error {
	return tx.walk(prefix, from, reverse, func(key Key, _ *badger.Item) (bool, error) {
		if o := tx.op(key); o != nil && o.delete {
			return true, nil
		}
		return fn(key)
	})
}

// valueAt returns the live value under key, or nil when there is none.
func (tx *Tx) valueAt(key Key, it *badger.Item) ([]byte, error) {
	if o := tx.op(key); o != nil {
		if o.delete || tx.gone(o.expires) {
			return nil, nil
		}
		return append([]byte{}, o.value...), nil
	}
	var value []byte
	var h header
	var opened error
	err := it.Value(func(stored []byte) error {
		value, h, opened = tx.s.openValue(key, stored)
		return nil
	})
	switch {
	case err != nil:
		return nil, readError(key, err)
	case errors.Is(opened, ErrNotFound):
		return nil, nil
	case opened != nil:
		return nil, opened
	case tx.gone(h.expires):
		return nil, nil
	case value == nil:
		return []byte{}, nil
	}
	return value, nil
}

// walk merges the keys of the snapshot with the transaction's own. The item is
// nil for a key that only the transaction has.
func (tx *Tx) walk(prefix, from Key, reverse bool, fn func(Key, *badger.Item) (bool, error)) error {
	if tx.over {
		return errOver
	}
	own := tx.ownKeys(prefix, from, reverse)
	opts := badger.IteratorOptions{Reverse: reverse, Prefix: prefix}
	it := tx.base.NewIterator(opts)
	defer it.Close()
	at := seekKey(prefix, from, reverse)
	it.Seek(at)
	for {
		below := it.Valid() && bytes.HasPrefix(it.Item().Key(), prefix)
		if !tx.s.audit.quiet() {
			to := after(prefix)
			if reverse {
				to = prefix
			}
			if below {
				to = it.Item().KeyCopy(nil)
			}
			if err := tx.s.audit.walked(at, to, reverse); err != nil {
				return err
			}
			at = to
		}
		if !below && len(own) == 0 {
			return nil
		}
		c := 0
		switch {
		case !below:
			c = -1
		case len(own) == 0:
			c = 1
		default:
			c = strings.Compare(own[0], string(it.Item().Key()))
			if reverse {
				c = -c
			}
		}
		more, err := true, error(nil)
		if c < 0 {
			if tx.op(Key(own[0])) != nil { // unless taken back meanwhile
				more, err = fn(Key(own[0]), nil)
			}
		} else {
			item := it.Item()
			more, err = fn(item.KeyCopy(nil), item)
			it.Next()
		}
		if c <= 0 {
			own = own[1:]
		}
		if err != nil || !more {
			return err
		}
		if tx.over {
			return errOver
		}
	}
}

// seekKey is where Badger's iterator starts.
func seekKey(prefix, from Key, reverse bool) Key {
	if !reverse {
		if bytes.Compare(from, prefix) < 0 {
			return prefix
		}
		return from
	}
	// No key is longer than MaxKey, so this is above all with the prefix.
	end := bytes.Repeat([]byte{0xff}, MaxKey+1)
	copy(end, prefix)
	if from != nil && bytes.Compare(from, end) < 0 {
		return from
	}
	return end
}

// after returns the smallest key above every key with this prefix, or nil.
func after(prefix Key) Key {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := slices.Clone(prefix[:i+1])
			end[i]++
			return end
		}
	}
	return nil
}

// ownKeys returns the keys written by this transaction, and by the one on its
// way, in the range, in the order of the scan.
func (tx *Tx) ownKeys(prefix, from Key, reverse bool) []string {
	own := tx.keysIn(prefix, from, reverse)
	if tx.before != nil {
		if more := tx.before.keysIn(prefix, from, reverse); len(more) > 0 {
			own = append(own, more...)
			slices.Sort(own)
			own = slices.Compact(own)
		}
	}
	if reverse {
		slices.Reverse(own)
	}
	return own
}

// keysIn returns the keys written by this transaction in the range, ascending.
func (tx *Tx) keysIn(prefix, from Key, reverse bool) []string {
	if len(tx.at) == 0 {
		return nil
	}
	for _, k := range tx.fresh {
		i, _ := slices.BinarySearch(tx.sorted, k)
		tx.sorted = slices.Insert(tx.sorted, i, k)
	}
	tx.fresh = tx.fresh[:0]
	at := func(k Key) int { i, _ := slices.BinarySearch(tx.sorted, string(k)); return i }
	lo, hi := at(prefix), len(tx.sorted)
	if end := after(prefix); end != nil {
		hi = at(end)
	}
	switch {
	case from == nil:
	case !reverse:
		lo = max(lo, at(from))
	default:
		i, ok := slices.BinarySearch(tx.sorted, string(from))
		if ok {
			i++
		}
		hi = min(hi, i)
	}
	if lo >= hi {
		return nil
	}
	return slices.Clone(tx.sorted[lo:hi])
}
