package storage

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rushlight/storage/keyfile/wheel"
)

// What is hidden is held until it is deleted.
func TestHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, testOptions(t.TempDir()))
		burned := putUnder(t, s, "h1", "burned", wheel.BucketSent(time.Now()), conv1)
		put(t, s, "h2", "live")
		update(t, s, func(tx *Tx) error { return tx.PutEnding(Key("h3"), []byte("over"), time.Now().Add(time.Hour)) })
		put(t, s, "h4", "deleted")
		update(t, s, func(tx *Tx) error { tx.Forget(burned); return tx.Delete(Key("h4")) })
		time.Sleep(2 * time.Hour)
		check := func(tx *Tx, want ...string) {
			t.Helper()
			var got []string
			if err := tx.ScanHeld(Key("h"), nil, false, func(k Key) (bool, error) {
				got = append(got, string(k))
				return true, nil
			}); err != nil || !slices.Equal(got, want) {
				t.Errorf("held: %q, not %q, %v", got, want, err)
			}
			for _, k := range []string{"h1", "h2", "h3", "h4", "h5"} {
				if held, err := tx.Held(Key(k)); err != nil || held != slices.Contains(want, k) {
					t.Errorf("%s held: %v, %v", k, held, err)
				}
			}
		}
		if err := s.View(func(tx *Tx) error {
			if got := scan(t, tx, "h", "", false); got != "h2=live" {
				t.Errorf("control: %q can be read", got)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		update(t, s, func(tx *Tx) error {
			check(tx, "h1", "h2", "h3")
			err := tx.PutEnding(Key("h5"), []byte("over"), time.Now().Add(-time.Hour))
			check(tx, "h1", "h2", "h3", "h5")
			return err
		})
		update(t, s, func(tx *Tx) error {
			err := tx.Delete(Key("h3"))
			check(tx, "h1", "h2", "h5")
			return err
		})
		if err := s.View(func(tx *Tx) error { check(tx, "h1", "h2", "h5"); return nil }); err != nil {
			t.Error(err)
		}
	})
}
