package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rushlight/storage/keyfile/wheel"
)

var conv1, conv2 = [16]byte{1}, [16]byte{2}

// putUnder writes a record under a leaf of its own.
func putUnder(t *testing.T, s *Store, key, value string, bucket uint32, conv [16]byte) (l Leaf) {
	t.Helper()
	update(t, s, func(tx *Tx) (err error) {
		if l, err = tx.NewLeaf(bucket, conv); err != nil {
			return err
		}
		return tx.PutUnder(Key(key), []byte(value), time.Time{}, l)
	})
	return l
}

func has(t *testing.T, s *Store, key string) (ok bool) {
	t.Helper()
	if err := s.View(func(tx *Tx) error {
		v, err := tx.Get(Key(key))
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		ok = err == nil
		if found, err := tx.Has(Key(key)); err != nil || found != ok {
			t.Errorf("%s: Get and Has differ: %v %v", key, found, err)
		}
		seen := false
		if err := tx.Scan(Key(key), nil, false, func(Key, []byte) (bool, error) { seen = true; return false, nil }); err != nil {
			return err
		}
		if seen != ok {
			t.Errorf("%s: Get and Scan differ", key)
		}
		_ = v
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return ok
}

// What was forgotten is gone, also after opening again, in whatever way it was
// forgotten; the rest stays.
func TestForget(t *testing.T) {
	o := testOptions(t.TempDir())
	s := open(t, o)
	month := wheel.BucketSent(time.Now())
	burned := putUnder(t, s, "m1", "burned", month, conv1)
	putUnder(t, s, "m2", "kept", month, conv1)
	putUnder(t, s, "m3", "of a conversation", month, conv2)
	soon := wheel.BucketFor(time.Now().Add(time.Hour), time.Hour)
	putUnder(t, s, "m4", "in a bucket", soon, conv1)
	for _, k := range []string{"m1", "m2", "m3", "m4"} {
		if !has(t, s, k) {
			t.Fatal("control: ", k)
		}
	}
	update(t, s, func(tx *Tx) error { tx.Forget(burned); return nil })
	update(t, s, func(tx *Tx) error { tx.ForgetConversation(conv2); return nil })
	if got, next := s.Ended(time.Now()); !next.After(time.Now()) || len(got) != 0 {
		t.Errorf("ended too early: %x", got)
	}
	if got, next := s.Ended(time.Now().Add(3 * time.Hour)); !next.IsZero() || len(got) != 1 || got[0] != soon {
		t.Errorf("not ended: %x", got)
	}
	update(t, s, func(tx *Tx) error { tx.ForgetBuckets(soon); return nil })
	if err := tryPut(s, burned); !errors.Is(err, ErrErased) {
		t.Errorf("put under a destroyed leaf: %v", err)
	}
	for range 2 {
		for k, want := range map[string]bool{"m1": false, "m2": true, "m3": false, "m4": false} {
			if has(t, s, k) != want {
				t.Errorf("%s: there is %v", k, !want)
			}
		}
		wantClean(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, o)
	}
	update(t, s, func(tx *Tx) error {
		next, err := tx.EachErased(nil, 1000, tx.Delete)
		if next != nil {
			t.Errorf("not at the end: %q", next)
		}
		return err
	})
	if n := rawCount(t, s, "m"); n != 1 {
		t.Errorf("%d records are left", n)
	}
}

// After a crash there may be records without a key; after an orderly end there
// aren't.
func TestClean(t *testing.T) {
	o := testOptions(t.TempDir())
	s := open(t, o)
	if !s.Clean() {
		t.Error("a new store isn't clean")
	}
	putUnder(t, s, "m1", "x", wheel.BucketSent(time.Now()), conv1)
	crashed := o
	crashed.Dir = copyDir(t, o.Dir)
	if s := open(t, crashed); s.Clean() {
		t.Error("clean after a crash")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s = open(t, o); !s.Clean() {
		t.Error("not clean after an orderly end")
	}
}

func tryPut(s *Store, l Leaf) error {
	return s.Update(func(tx *Tx) error { return tx.PutUnder(Key("m9"), nil, time.Time{}, l) })
}

func rawCount(t *testing.T, s *Store, prefix string) (n int) {
	t.Helper()
	if err := s.db.View(func(tx *badger.Txn) error {
		it := tx.NewIterator(badger.IteratorOptions{Prefix: []byte(prefix)})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			n++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// Of a state only the newest version can be opened, by whoever has the root
// and every version that was ever written; also when a crash came before the
// older keys were destroyed.
func TestOldStatesAreDestroyed(t *testing.T) {
	const versions = 40
	for _, how := range []string{"puncture", "close", "crash"} {
		o := testOptions(t.TempDir())
		s := open(t, o)
		write := func(n int) {
			update(t, s, func(tx *Tx) error {
				if err := tx.Put(Key("\x20other"), []byte("other")); n == 0 && err != nil {
					return err
				}
				return tx.Put(Key("\x20session"), fmt.Appendf(nil, "state %d", n))
			})
		}
		for n := range versions {
			write(n)
		}
		if got := openVersions(t, s, "\x20session"); got < 2 {
			t.Errorf("%s: control: %d versions open before their keys are destroyed", how, got)
		}
		switch how {
		case "puncture":
			if err := s.Puncture(); err != nil {
				t.Fatal(err)
			}
		case "close":
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, o)
		case "crash":
			o.Dir = copyDir(t, o.Dir)
			s = open(t, o)
			if err := s.Puncture(); err != nil {
				t.Fatal(err)
			}
		}
		if got := openVersions(t, s, "\x20session"); got != 1 {
			t.Errorf("%s: %d versions can be opened", how, got)
		}
		if !has(t, s, "\x20session") || !has(t, s, "\x20other") {
			t.Errorf("%s: a live state is gone", how)
		}
		update(t, s, func(tx *Tx) error { return tx.Delete(Key("\x20session")) })
		if err := s.Puncture(); err != nil {
			t.Fatal(err)
		}
		if got := openVersions(t, s, "\x20session"); got != 0 {
			t.Errorf("%s: %d versions of a deleted state can be opened", how, got)
		}
		wantClean(t, s)
	}
}

// openVersions counts the versions of a record, deleted ones too, that open
// with what the store still knows.
func openVersions(t *testing.T, s *Store, key string) (n int) {
	t.Helper()
	seen := 0
	if err := s.db.View(func(tx *badger.Txn) error {
		it := tx.NewIterator(badger.IteratorOptions{AllVersions: true, Prefix: []byte(key)})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			if it.Item().IsDeletedOrExpired() {
				continue
			}
			seen++
			if err := it.Item().Value(func(v []byte) error {
				if _, _, err := s.openValue(Key(key), v); err == nil {
					n++
				} else if !errors.Is(err, ErrNotFound) {
					return err
				}
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if seen < 2 {
		t.Fatal("control: the database keeps no old versions")
	}
	return n
}

// A leaf is handed out once, whatever fails or is taken back.
func TestLeavesAreHandedOutOnce(t *testing.T) {
	o := testOptions(t.TempDir())
	s := open(t, o)
	month := wheel.BucketSent(time.Now())
	seen := map[uint32]bool{} // committed
	undone := errors.New("undone")
	for round := range 6 {
		for range reserve / 2 {
			var took []uint32
			take := func(tx *Tx) error {
				l, err := tx.NewLeaf(month, conv1)
				if err != nil || seen[l.Number] {
					t.Fatalf("leaf %d: %v", l.Number, err)
				}
				took = append(took, l.Number)
				return tx.PutUnder(Key(fmt.Sprint("m", l.Number)), nil, time.Time{}, l)
			}
			err := s.Update(func(tx *Tx) error {
				if err := errors.Join(take(tx), tx.Try(func() error { return errors.Join(take(tx), undone) })); !errors.Is(err, undone) {
					return err
				}
				if round%2 == 0 {
					return undone
				}
				return nil
			})
			if err == nil {
				for _, n := range took {
					seen[n] = true
				}
			} else if !errors.Is(err, undone) {
				t.Fatal(err)
			}
		}
		switch round {
		case 2:
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, o)
		case 3:
			o.Dir = copyDir(t, o.Dir)
			s = open(t, o)
		}
	}
}

// A transaction that is taken back forgets nothing.
func TestUndoneForget(t *testing.T) {
	s := open(t, testOptions(t.TempDir()))
	l := putUnder(t, s, "m1", "kept", wheel.BucketSent(time.Now()), conv1)
	undone := errors.New("undone")
	_ = s.Update(func(tx *Tx) error { tx.Forget(l); return undone })
	update(t, s, func(tx *Tx) error {
		_ = tx.Try(func() error { tx.Forget(l); tx.ForgetConversation(conv1); return undone })
		return nil
	})
	if !has(t, s, "m1") {
		t.Error("forgotten by what didn't happen")
	}
}

// The keys are part of the store: without them it is refused.
func TestWheelIsNeeded(t *testing.T) {
	o := testOptions(t.TempDir())
	s := open(t, o)
	update(t, s, func(tx *Tx) error { return tx.Put(Key("k"), nil) })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	anchor := filepath.Join(o.Dir, dirWheel, "anchor")
	b, err := os.ReadFile(anchor)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(anchor); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(o); !errors.Is(err, ErrCorrupt) {
		t.Errorf("without its keys: %v", err)
	}
	if err := os.WriteFile(anchor, bytes.Repeat([]byte{7}, len(b)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(o); !errors.Is(err, ErrCorrupt) {
		t.Errorf("with damaged keys: %v", err)
	}
	if err := os.WriteFile(anchor, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, o)
	if _, err := s.Check(context.Background()); err != nil {
		t.Fatal(err)
	}
}
