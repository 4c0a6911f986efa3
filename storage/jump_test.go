package storage

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"rushlight/storage/keyfile/wheel"
)

// The clock is a year ahead for a while, tables are merged meanwhile, and then
// it is right again: nothing that hadn't expired is lost of what its writer
// ends, be it under a leaf or a state. The control is what Badger may drop.
func TestMergedWhileTheClockIsAhead(t *testing.T) {
	const n, day = 100, 24 * time.Hour
	o := testOptions(t.TempDir())
	merge := func(fill string) {
		t.Helper()
		two := 2
		o.Compactors = &two
		s := open(t, o)
		for i := range 40 { // so that there are tables to merge
			update(t, s, func(tx *Tx) error {
				for j := range 4 {
					if err := tx.Put(fmt.Appendf(nil, "%s%03d", fill, 4*i+j), make([]byte, 50_000)); err != nil {
						return err
					}
				}
				return nil
			})
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	state := func(i int) Key { return append(Key{firstState}, fmt.Sprintf("s%03d", i)...) }
	synctest.Test(t, func(t *testing.T) {
		none := 0
		o.Compactors = &none
		s := open(t, o)
		update(t, s, func(tx *Tx) error {
			end := tx.Now().Add(7 * day)
			for i := range n {
				l, err := tx.NewLeaf(wheel.BucketFor(end, 7*day), [16]byte{1})
				if err != nil {
					return err
				}
				for _, err := range []error{
					tx.PutUnder(fmt.Appendf(nil, "m%03d", i), []byte("x"), end, l),
					tx.PutEnding(state(i), []byte("x"), end),
					tx.PutExpiring(state(n+i), []byte("x"), end),
				} {
					if err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(365 * day)
		merge("a")
	})
	synctest.Test(t, func(t *testing.T) { // time begins again
		s := open(t, o)
		s.CorrectClock(time.Now())
		put(t, s, "z", "")
		lost := 0
		for i := range n {
			for _, k := range []string{fmt.Sprintf("m%03d", i), string(state(i))} {
				if got := get(t, s, k); got != "x" {
					t.Fatalf("%q is %q", k, got)
				}
			}
			if get(t, s, string(state(n+i))) != "x" {
				lost++
			}
		}
		if lost < n {
			t.Errorf("of what Badger may drop, %d of %d are lost", lost, n)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
