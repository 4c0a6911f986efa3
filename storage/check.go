package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"
)

// Invariant is a rule about records that must hold after every commit.
// Check calls problem for each breach with words that hold no data of users.
type Invariant struct {
	Name  string
	Check func(tx *Tx, problem func(what string)) error
}

// Report is what [Store.Check] found.
type Report struct {
	Head     uint64       // commit counter of the snapshot that was checked
	Records  map[byte]int // records by family, expired ones too
	Tables   int          // table files read
	Problems []Problem    // empty when all is well
}

// Problem says what is wrong, and in which family of records; family 0 is the
// store itself.
type Problem struct {
	Family byte
	What   string
}

// maxProblems bounds the report on a store that is damaged all over.
const maxProblems = 100

// Check opens every record, compares the head with the commit counter, reads
// every table file and evaluates the invariants. It works beside Updates. The
// error is the context's, or that the store can't be read at all.
func (s *Store) Check(ctx context.Context) (Report, error) {
	if !s.gate.enter() {
		return Report{}, ErrClosed
	}
	defer s.gate.leave()
	r := Report{Records: map[byte]int{}}
	least := s.Head()
	tx := s.begin()
	defer tx.end()
	if err := tx.checkRecords(ctx, &r); err != nil {
		return r, err
	}
	r.checkHead(tx, least)
	for _, inv := range s.inv {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		err := inv.Check(tx, func(what string) { r.problem(0, inv.Name+": "+what) })
		if err != nil {
			r.problem(0, inv.Name+": couldn't be evaluated")
		}
	}
	return r, s.checkTables(ctx, &r)
}

func (r *Report) problem(family byte, what string) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, Problem{family, what})
	}
}

func (tx *Tx) checkRecords(ctx context.Context, r *Report) error {
	if err := tx.s.audit.between(nil, nil); err != nil {
		return err
	}
	it := tx.base.NewIterator(badger.IteratorOptions{})
	defer it.Close()
	if err := ctx.Err(); err != nil {
		return err
	}
	n := 0
	for it.Rewind(); it.Valid(); it.Next() {
		if n++; n%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		key := Key(it.Item().KeyCopy(nil))
		r.Records[key[0]]++
		err := it.Item().Value(func(stored []byte) error {
			_, _, err := tx.s.openValue(key, stored)
			if errors.Is(err, ErrNotFound) {
				return nil // its key is destroyed, and it will be dropped
			}
			return err
		})
		if err != nil {
			r.problem(key[0], "a record doesn't open")
		}
	}
	return nil
}

// checkHead checks the store's own records. The snapshot is at least as new as
// the counter was before it was taken.
func (r *Report) checkHead(tx *Tx, least uint64) {
	raw, err := tx.Get(keyHead)
	if err == nil {
		var h head
		if h, err = parseHead(raw); err == nil {
			r.Head = h.counter
			if h.counter < least || h.counter > tx.s.Head() {
				r.problem(0, "the head isn't at the commit counter")
			}
		}
	}
	if err != nil {
		r.problem(0, "the head can't be read")
	}
	if raw, err = tx.Get(keyVersion); err == nil {
		_, err = parseVersion(raw)
	}
	if err != nil {
		r.problem(0, "the schema version can't be read")
	}
	if _, err := tx.readClock(); err != nil {
		r.problem(0, "the clock can't be read")
	}
}

// checkTables reads the table files again: Badger treats a block that it can't
// read as if it held nothing.
func (s *Store) checkTables(ctx context.Context, r *Report) error {
	dir := filepath.Join(s.dir, dirDatabase)
	reg, err := readRegistry(filepath.Join(dir, badger.KeyRegistryFileName), &s.keys)
	if err != nil {
		r.problem(0, "the key registry can't be read")
		reg = &registry{} // so that no table can be read either
	}
	var buf []byte
	for _, t := range s.db.Tables() {
		if err := ctx.Err(); err != nil {
			return err
		}
		path := filepath.Join(dir, fmt.Sprintf("%06d.sst", t.ID))
		if buf, err = reg.verifyAny(path, buf); err != nil && s.stillThere(t.ID) {
			r.problem(0, "a table file is damaged")
		}
		r.Tables++
	}
	return nil
}

// stillThere reports whether a table is in use: one that was merged into
// others while it was being read is not.
func (s *Store) stillThere(id uint64) bool {
	return slices.ContainsFunc(s.db.Tables(), func(t badger.TableInfo) bool { return t.ID == id })
}

// verifyAny verifies a table whose key is one of the registry's, newest first.
func (r *registry) verifyAny(path string, buf []byte) ([]byte, error) {
	err := errors.New("no key")
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(r.keys))) {
		if _, buf, err = verifyTable(path, r.keys[id], buf); err == nil {
			return buf, nil
		}
	}
	return buf, err
}
