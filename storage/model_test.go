package storage

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Whatever is done to the store, it behaves as a sorted map does.
func TestModel(t *testing.T) {
	t.Parallel()
	key := rapid.StringMatching(`[ab][ab\x01]{0,3}`)
	undone := errors.New("undone")
	rapid.Check(t, func(r *rapid.T) {
		dir := t.TempDir()
		s, err := Open(testOptions(dir))
		if err != nil {
			r.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		model := map[string]string{}
		for range rapid.IntRange(1, 8).Draw(r, "transactions") {
			next := maps.Clone(model)
			fail := rapid.Bool().Draw(r, "fail")
			err := s.Update(func(tx *Tx) error {
				modelOps(r, tx, key, next, undone, 2)
				if fail {
					return undone
				}
				return nil
			})
			if fail != errors.Is(err, undone) || !fail && err != nil {
				r.Fatal(err)
			}
			if !fail {
				model = next
			}
			if rapid.IntRange(0, 5).Draw(r, "reopen") == 0 {
				if err := s.Close(); err != nil {
					r.Fatal(err)
				}
				again, err := Open(testOptions(dir))
				if err != nil {
					r.Fatal(err)
				}
				s = again
			}
			if err := s.View(func(tx *Tx) error { modelCompare(r, tx, key, model); return nil }); err != nil {
				r.Fatal(err)
			}
		}
	})
}

func modelOps(r *rapid.T, tx *Tx, key *rapid.Generator[string], model map[string]string, undone error, depth int) {
	for range rapid.IntRange(0, 12).Draw(r, "ops") {
		k := key.Draw(r, "key")
		switch op := rapid.IntRange(0, 9).Draw(r, "op"); {
		case op < 4:
			v := rapid.StringN(0, 5, 20).Draw(r, "value")
			if err := tx.Put(Key(k), []byte(v)); err != nil {
				r.Fatal(err)
			}
			model[k] = v
		case op < 6:
			if err := tx.Delete(Key(k)); err != nil {
				r.Fatal(err)
			}
			delete(model, k)
		case op < 8 && depth > 0:
			inner := maps.Clone(model)
			fail := rapid.Bool().Draw(r, "undo")
			err := tx.Try(func() error {
				modelOps(r, tx, key, inner, undone, depth-1)
				if fail {
					return undone
				}
				return nil
			})
			if fail != errors.Is(err, undone) {
				r.Fatal(err)
			}
			if !fail {
				clear(model)
				maps.Copy(model, inner)
			}
		default:
			modelCompare(r, tx, key, model)
		}
	}
}

func modelCompare(r *rapid.T, tx *Tx, key *rapid.Generator[string], model map[string]string) {
	k := key.Draw(r, "get")
	v, err := tx.Get(Key(k))
	want, ok := model[k]
	has, herr := tx.Has(Key(k))
	if ok != (err == nil) || string(v) != want || herr != nil || has != ok {
		r.Fatalf("Get(%q) = %q, %v; want %q, %v", k, v, err, want, ok)
	}
	prefix, from := key.Draw(r, "prefix"), key.Draw(r, "from")
	reverse := rapid.Bool().Draw(r, "reverse")
	var start Key
	if rapid.Bool().Draw(r, "start") {
		start = Key(from)
	}
	var wants, got, gotKeys []string
	for _, k := range slices.Sorted(maps.Keys(model)) {
		if strings.HasPrefix(k, prefix) && (start == nil || !reverse && k >= from || reverse && k <= from) {
			wants = append(wants, k)
		}
	}
	if reverse {
		slices.Reverse(wants)
	}
	err = tx.Scan(Key(prefix), start, reverse, func(k Key, v []byte) (bool, error) {
		if string(v) != model[string(k)] {
			r.Fatalf("Scan shows %q = %q, want %q", k, v, model[string(k)])
		}
		got = append(got, string(k))
		return true, nil
	})
	if err == nil {
		err = tx.ScanKeys(Key(prefix), start, reverse, func(k Key) (bool, error) {
			gotKeys = append(gotKeys, string(k))
			return true, nil
		})
	}
	if err != nil || !slices.Equal(got, wants) || !slices.Equal(gotKeys, wants) {
		r.Fatalf("Scan(%q, %q, %v) = %q and %q, %v; want %q", prefix, start, reverse, got, gotKeys, err, wants)
	}
}
