package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var testRoot = [32]byte{1, 2, 3}

// testOptions are small: no ballast and a free-space limit any disk has.
func testOptions(dir string) Options {
	return Options{Dir: dir, Root: testRoot, MemTableSize: 2 << 20, MinFree: 1, Ballast: -1}
}

func open(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func update(t testing.TB, s *Store, fn func(tx *Tx) error) {
	t.Helper()
	if err := s.Update(fn); err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, s *Store, key, value string) {
	t.Helper()
	update(t, s, func(tx *Tx) error { return tx.Put(Key(key), []byte(value)) })
}

// get returns the value, or "-" when there is none.
func get(t testing.TB, s *Store, key string) (value string) {
	t.Helper()
	err := s.View(func(tx *Tx) error {
		b, err := tx.Get(Key(key))
		value = string(b)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return "-"
	}
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func wantClean(t testing.TB, s *Store) Report {
	t.Helper()
	r, err := s.Check(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Problems) > 0 {
		t.Fatalf("Check: %v", r.Problems)
	}
	return r
}

func scan(t testing.TB, tx *Tx, prefix, from string, reverse bool) string {
	t.Helper()
	var f Key
	if from != "" {
		f = Key(from)
	}
	var withValues, keysOnly []string
	err := tx.Scan(Key(prefix), f, reverse, func(k Key, v []byte) (bool, error) {
		withValues = append(withValues, string(k)+"="+string(v))
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = tx.ScanKeys(Key(prefix), f, reverse, func(k Key) (bool, error) {
		keysOnly = append(keysOnly, string(k))
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, kv := range withValues {
		if i >= len(keysOnly) || !strings.HasPrefix(kv, keysOnly[i]+"=") {
			t.Fatalf("Scan %v, ScanKeys %v", withValues, keysOnly)
		}
	}
	return strings.Join(withValues, " ")
}

func TestReadBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, testOptions(dir))
	put(t, s, "ab", "1")
	put(t, s, "empty", "")
	big := bytes.Repeat([]byte{7}, MaxValue)
	put(t, s, "big", string(big))
	head := s.Head()
	for range 2 {
		if get(t, s, "ab") != "1" || get(t, s, "empty") != "" || get(t, s, "big") != string(big) || get(t, s, "a") != "-" {
			t.Fatal("wrong values")
		}
		wantClean(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, testOptions(dir))
		if s.Head() != head+1 { // the note that it was closed in order, once
			t.Fatalf("head %d after reopening, %d before", s.Head(), head)
		}
	}
	head = s.Head()
	update(t, s, func(tx *Tx) error { return tx.Delete(Key("ab")) })
	if get(t, s, "ab") != "-" {
		t.Fatal("deleted record found")
	}
	if s.Head() != head+1 {
		t.Fatal("an Update must count once")
	}
}

func TestUpdateIsAllOrNothing(t *testing.T) {
	s := open(t, testOptions(t.TempDir()))
	put(t, s, "k", "old")
	boom := errors.New("boom")
	err := s.Update(func(tx *Tx) error {
		if err := tx.Put(Key("k"), []byte("new")); err != nil {
			return err
		}
		if err := tx.Put(Key("l"), []byte("new")); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) || get(t, s, "k") != "old" || get(t, s, "l") != "-" {
		t.Fatalf("after a failed Update: %v %q %q", err, get(t, s, "k"), get(t, s, "l"))
	}
	// A write that failed isn't lost silently when its error is ignored.
	err = s.Update(func(tx *Tx) error {
		_ = tx.Put(Key("k"), []byte("new"))
		_ = tx.Put(Key("l"), make([]byte, MaxValue+1))
		return nil
	})
	if err == nil || get(t, s, "k") != "old" {
		t.Fatal("an Update with a failed write was committed")
	}
	func() {
		defer func() { _ = recover() }()
		_ = s.Update(func(tx *Tx) error { _ = tx.Put(Key("k"), []byte("new")); panic("x") })
	}()
	if get(t, s, "k") != "old" {
		t.Fatal("an Update that panicked was committed")
	}
	put(t, s, "k", "newer")
}

func TestTry(t *testing.T) {
	s := open(t, testOptions(t.TempDir()))
	put(t, s, "a", "0")
	boom := errors.New("boom")
	update(t, s, func(tx *Tx) error {
		_ = tx.Put(Key("b"), []byte("1"))
		_, before := tx.Size()
		err := tx.Try(func() error {
			_ = tx.Put(Key("b"), []byte("22"))
			_ = tx.Put(Key("b"), []byte("333"))
			_ = tx.Delete(Key("a"))
			if got := scan(t, tx, "", "b", false); got != "b=333" {
				t.Fatalf("inside: %s", got)
			}
			_ = tx.Put(Key("c"), []byte("1"))
			_ = tx.Try(func() error { _ = tx.Put(Key("d"), []byte("1")); return nil })
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		if _, after := tx.Size(); after != before {
			t.Fatalf("size %d, before %d", after, before)
		}
		if err := tx.Try(func() error { return tx.Put(Key("x"), make([]byte, MaxValue+1)) }); err == nil {
			t.Fatal("no error")
		}
		if err := tx.Try(func() error { return tx.Put(Key("e"), []byte("1")) }); err != nil {
			t.Fatal(err)
		}
		return nil
	})
	_ = s.View(func(tx *Tx) error {
		got := scan(t, tx, "", "!", false)
		if got != "a=0 b=1 e=1" {
			t.Fatalf("got %s", got)
		}
		return nil
	})
}

func TestScan(t *testing.T) {
	s := open(t, testOptions(t.TempDir()))
	for _, k := range []string{"a1", "a2", "a4", "a\xff\xff", "b1", "\xff\xff", "\xff\xff1"} {
		put(t, s, k, "d")
	}
	update(t, s, func(tx *Tx) error {
		_ = tx.Put(Key("a3"), []byte("t"))
		_ = tx.Put(Key("a4"), []byte("t"))
		_ = tx.Delete(Key("a1"))
		_ = tx.Put(Key("a5"), []byte("t"))
		for _, c := range []struct {
			prefix, from string
			reverse      bool
			want         string
		}{
			{"a", "", false, "a2=d a3=t a4=t a5=t a\xff\xff=d"},
			{"a", "", true, "a\xff\xff=d a5=t a4=t a3=t a2=d"},
			{"a", "a3", false, "a3=t a4=t a5=t a\xff\xff=d"},
			{"a", "a3", true, "a3=t a2=d"},
			{"a", "a31", true, "a3=t a2=d"},
			{"a", "b", false, ""},
			{"a", "b", true, "a\xff\xff=d a5=t a4=t a3=t a2=d"},
			{"a", "A", false, "a2=d a3=t a4=t a5=t a\xff\xff=d"},
			{"a", "A", true, ""},
			{"a\xff", "", true, "a\xff\xff=d"},
			{"\xff", "", true, "\xff\xff1=d \xff\xff=d"},
			{"\xff\xff", "", false, "\xff\xff=d \xff\xff1=d"},
			{"c", "", false, ""},
			{"c", "", true, ""},
		} {
			if got := scan(t, tx, c.prefix, c.from, c.reverse); got != c.want {
				t.Errorf("Scan(%q, %q, %v)\n got %q\nwant %q", c.prefix, c.from, c.reverse, got, c.want)
			}
		}
		// Deleting what a scan shows, and stopping.
		n := 0
		err := tx.Scan(Key("a"), nil, false, func(k Key, _ []byte) (bool, error) {
			n++
			_ = tx.Delete(Key("a4"))
			return n < 4, tx.Delete(k)
		})
		if got := scan(t, tx, "a", "", false); err != nil || got != "" || n != 4 {
			t.Fatalf("after deleting: %q %d %v", got, n, err)
		}
		return nil
	})
}

func TestExpiryByTheLatestTimeSeen(t *testing.T) {
	none := 0
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		o := testOptions(dir)
		o.Compactors = &none
		s := open(t, o)
		day := 24 * time.Hour
		end := time.Now().Add(day)
		update(t, s, func(tx *Tx) error {
			_ = tx.PutExpiring(Key("m1"), []byte("x"), end)
			_ = tx.PutExpiring(Key("m2"), []byte("y"), end.Add(40*day))
			return nil
		})
		if get(t, s, "m1") != "x" {
			t.Fatal("gone too early")
		}
		time.Sleep(day)
		check := func(want string) {
			t.Helper()
			_ = s.View(func(tx *Tx) error {
				if got := scan(t, tx, "m", "", false); got != want {
					t.Fatalf("got %q, want %q", got, want)
				}
				has, err := tx.Has(Key("m1"))
				if err != nil || has != strings.Contains(want, "m1") {
					t.Fatalf("Has: %v %v", has, err)
				}
				_, at, err := tx.Expiring(Key("m2"))
				if err != nil || !at.Equal(end.Add(40*day).Truncate(time.Millisecond)) {
					t.Fatalf("Expiring: %v %v", at, err)
				}
				return nil
			})
		}
		check("m2=y")
		// The store has seen a later time than the system's clock has now:
		// nothing comes back, also after reopening.
		s.CorrectClock(time.Now().Add(10 * day))
		put(t, s, "z", "")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, o)
		if d := time.Until(s.Now()); d < 10*day-time.Second {
			t.Fatalf("the time seen was forgotten: %v ahead", d)
		}
		check("m2=y")
		// A correction never goes behind the system's clock.
		s.CorrectClock(end.Add(-time.Hour))
		if d := time.Until(s.Now()); d < 0 || d > time.Second {
			t.Fatalf("after the correction %v ahead", d)
		}
		_ = s.Close()
	})
}

func TestFitsBoundsACommit(t *testing.T) {
	s := open(t, testOptions(t.TempDir()))
	for _, size := range []int{0, 1, 300, 20_000, MaxValue} {
		n := 0
		value := make([]byte, size)
		update(t, s, func(tx *Tx) error {
			for ; tx.Fits(1, 9+size); n++ {
				if err := tx.Put(fmt.Appendf(nil, "f%08d", n), value); err != nil {
					t.Fatalf("size %d, record %d: %v", size, n, err)
				}
			}
			return nil
		})
		if n == 0 {
			t.Fatalf("size %d: nothing fits", size)
		}
		// Control: without asking it ends in ErrFull, and nothing is written.
		head := s.Head()
		err := s.Update(func(tx *Tx) error {
			for i := range n + 100 {
				if err := tx.Put(fmt.Appendf(nil, "g%08d", i), value); err != nil {
					return err
				}
			}
			return nil
		})
		if !errors.Is(err, ErrFull) || s.Head() != head {
			t.Fatalf("size %d: %v", size, err)
		}
	}
}

func TestOneWriter(t *testing.T) {
	s := open(t, testOptions(t.TempDir()))
	update(t, s, func(*Tx) error {
		if err := s.Update(func(*Tx) error { return nil }); err == nil {
			t.Fatal("an Update inside an Update")
		}
		if get(t, s, "a") != "-" {
			t.Fatal("a View inside an Update")
		}
		return nil
	})
	var kept *Tx
	update(t, s, func(tx *Tx) error { kept = tx; return nil })
	if err := kept.Put(Key("a"), nil); err == nil {
		t.Fatal("a write after the end")
	}
	if _, err := kept.Get(Key("a")); err == nil {
		t.Fatal("a read after the end")
	}
	_ = s.View(func(tx *Tx) error {
		if tx.Put(Key("a"), nil) == nil {
			t.Fatal("a write in a View")
		}
		return nil
	})
	for _, bad := range []Key{nil, {}, make(Key, MaxKey+1), Key("\x00head"), Key("!badger!x")} {
		if err := s.Update(func(tx *Tx) error { return tx.Put(bad, nil) }); err == nil {
			t.Fatalf("key of %d bytes accepted", len(bad))
		}
	}
}

func TestSnapshot(t *testing.T) {
	s := open(t, testOptions(t.TempDir()))
	put(t, s, "k", "1")
	_ = s.View(func(tx *Tx) error {
		put(t, s, "k", "2")
		if v, err := tx.Get(Key("k")); err != nil || string(v) != "1" {
			t.Fatalf("%q %v", v, err)
		}
		return nil
	})
	if get(t, s, "k") != "2" {
		t.Fatal("not written")
	}
}

func TestCommitErrorPoisons(t *testing.T) {
	dir := t.TempDir()
	s := open(t, testOptions(dir))
	put(t, s, "k", "1")
	s.merger.Close()
	if err := s.db.Close(); err != nil { // every commit fails from here
		t.Fatal(err)
	}
	err := s.Update(func(tx *Tx) error { tx.base.Discard(); return tx.Put(Key("k"), []byte("2")) })
	if !errors.Is(err, ErrPoisoned) {
		t.Fatalf("failed commit: %v", err)
	}
	called := false
	err = s.Update(func(*Tx) error { called = true; return nil })
	if !errors.Is(err, ErrPoisoned) || errors.Unwrap(err) != nil || called {
		t.Fatalf("after it: %v", err)
	}
	var p *poisonError
	if !errors.As(err, &p) || p.cause == nil {
		t.Fatal("the cause is lost")
	}
	_ = s.Close()
	if err := s.Update(func(*Tx) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Fatalf("closed: %v", err)
	}
	s = open(t, testOptions(dir))
	if get(t, s, "k") != "1" {
		t.Fatal("lost")
	}
	put(t, s, "k", "2")
}

func TestInvariants(t *testing.T) {
	o := testOptions(t.TempDir())
	o.Invariants = []Invariant{{Name: "no x", Check: func(tx *Tx, problem func(string)) error {
		has, err := tx.Has(Key("x"))
		if has {
			problem("there is one")
		}
		return err
	}}}
	s := open(t, o)
	wantClean(t, s)
	put(t, s, "x", "")
	r, err := s.Check(context.Background())
	if err != nil || !slices.Equal(r.Problems, []Problem{{0, "no x: there is one"}}) || r.Records['x'] != 1 {
		t.Fatalf("%+v %v", r, err)
	}
}

func TestPseudonym(t *testing.T) {
	a, b := open(t, testOptions(t.TempDir())), open(t, Options{Dir: t.TempDir(), Root: [32]byte{9}, MinFree: 1, Ballast: -1})
	p := a.Pseudonym("conversation", []byte("id"))
	if p != a.Pseudonym("conversation", []byte("id")) {
		t.Fatal("not stable")
	}
	if p == a.Pseudonym("contact", []byte("id")) || p == b.Pseudonym("conversation", []byte("id")) {
		t.Fatal("label or root makes no difference")
	}
}
