package storage

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// rawPut writes a stored value behind the store's back.
func rawPut(t *testing.T, s *Store, key Key, stored []byte) {
	t.Helper()
	if err := s.db.Update(func(tx *badger.Txn) error { return tx.Set(key, stored) }); err != nil {
		t.Fatal(err)
	}
}

func rawGet(t *testing.T, s *Store, key Key) (stored []byte) {
	t.Helper()
	err := s.db.View(func(tx *badger.Txn) error {
		it, err := tx.Get(key)
		if err != nil {
			return err
		}
		stored, err = it.ValueCopy(nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

// A value is read under the key it was written under, with the expiry it was
// written with, or not at all; Check names the family.
func TestForgedRecords(t *testing.T) {
	far := time.Now().Add(time.Hour)
	for name, forge := range map[string]func(a []byte) []byte{
		"of another key": func(a []byte) []byte { return a },
		"empty":          func([]byte) []byte { return nil },
		"cut":            func(a []byte) []byte { return a[:len(a)-1] },
		"flipped":        func(a []byte) []byte { a[len(a)-20] ^= 1; return a },
		"unsealed":       func([]byte) []byte { return []byte("plain text, long enough to be something sealed") },
	} {
		s := open(t, testOptions(t.TempDir()))
		update(t, s, func(tx *Tx) error { return tx.PutExpiring(Key("a1"), []byte("x"), far) })
		wantClean(t, s)
		rawPut(t, s, Key("b1"), forge(rawGet(t, s, Key("a1"))))
		_ = s.View(func(tx *Tx) error {
			if v, err := tx.Get(Key("b1")); !errors.Is(err, ErrCorrupt) || v != nil {
				t.Errorf("%s: Get %q %v", name, v, err)
			}
			err := tx.Scan(Key("b"), nil, false, func(Key, []byte) (bool, error) { t.Errorf("%s: shown", name); return true, nil })
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: Scan %v", name, err)
			}
			if _, err := tx.Get(Key("a1")); err != nil {
				t.Errorf("%s: control: %v", name, err)
			}
			return nil
		})
		r, err := s.Check(context.Background())
		if err != nil || len(r.Problems) != 1 || r.Problems[0].Family != 'b' {
			t.Errorf("%s: Check %+v %v", name, r, err)
		}
	}

	// A longer life isn't given by changing the head of the value.
	s := open(t, testOptions(t.TempDir()))
	update(t, s, func(tx *Tx) error { return tx.PutExpiring(Key("a1"), []byte("x"), far) })
	v := rawGet(t, s, Key("a1"))
	v[3]++
	rawPut(t, s, Key("a1"), v)
	_ = s.View(func(tx *Tx) error {
		if _, err := tx.Get(Key("a1")); !errors.Is(err, ErrCorrupt) {
			t.Errorf("changed expiry: %v", err)
		}
		return nil
	})
}

func TestCheckStops(t *testing.T) {
	s := open(t, testOptions(t.TempDir()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestReclaimAt(t *testing.T) {
	const day = 24 * 60 * 60
	for _, at := range []int64{0, 1, day - 1, day, 1_800_000_000} {
		got := int64(reclaimAt(time.Unix(at, 5), false))
		if got%day != 0 || got-at <= day || got-at > 2*day {
			t.Errorf("%d: %d", at, got)
		}
		if got := int64(reclaimAt(time.Unix(at, 5), true)); got%day != 0 || got-at <= 3*365*day {
			t.Errorf("its writer ends it, %d: %d", at, got)
		}
	}
	if reclaimAt(time.Time{}, false) != 0 || reclaimAt(time.Time{}, true) != 0 {
		t.Error("never")
	}
}
