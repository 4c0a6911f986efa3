package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rushlight/storage/keyfile/wheel"
)

// A copy taken before has the only keys left.
func TestWipe(t *testing.T) {
	for _, open1 := range []bool{true, false} {
		t.Run(fmt.Sprint("open ", open1), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "s")
			s := open(t, testOptions(dir))
			putUnder(t, s, "\x41k", "secret", wheel.BucketState(0), conv1)
			if !open1 {
				_ = s.Close()
			}
			before := copyDir(t, dir)
			if open1 {
				if err := s.Wipe(); err != nil {
					t.Fatal(err)
				}
				if err := s.Update(func(tx *Tx) error { return tx.Put(Key("k"), nil) }); !errors.Is(err, ErrPoisoned) {
					t.Errorf("writing: %v", err)
				}
				if err := s.View(func(tx *Tx) error { _, err := tx.Get(Key("\x41k")); return err }); err == nil {
					t.Error("a record is still readable")
				}
				wiped := copyDir(t, dir)
				_ = s.Close()
				if _, err := Open(testOptions(wiped)); !errors.Is(err, ErrCorrupt) {
					t.Errorf("opening what a wipe left: %v", err)
				}
			}
			if err := Wipe(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
				t.Error("the directory is still there")
			}
			if err := Wipe(dir); err != nil {
				t.Errorf("again: %v", err)
			}
			if s = open(t, testOptions(before)); !has(t, s, "\x41k") {
				t.Error("control: the copy doesn't open")
			}
		})
	}
}

// A locked store forgets what has ended, and nothing else.
func TestExpireLocked(t *testing.T) {
	dir := t.TempDir()
	s := open(t, testOptions(dir))
	now := time.Now()
	short, long := wheel.BucketFor(now.Add(time.Hour), time.Hour), wheel.BucketFor(now.Add(48*time.Hour), 48*time.Hour)
	putUnder(t, s, "\x41short", "1", short, conv1)
	putUnder(t, s, "\x41long", "2", long, conv1)
	_ = s.Close()
	next, err := Expire(dir, now)
	if err != nil || !next.Equal(wheel.BucketEnd(short)) {
		t.Fatalf("next %v, want %v, %v", next, wheel.BucketEnd(short), err)
	}
	if next, err = Expire(dir, next); err != nil || !next.Equal(wheel.BucketEnd(long)) {
		t.Fatalf("next %v, want %v, %v", next, wheel.BucketEnd(long), err)
	}
	s = open(t, testOptions(dir))
	if has(t, s, "\x41short") || !has(t, s, "\x41long") {
		t.Error("the wrong one went")
	}
}

// BenchmarkWipe measures until every key is destroyed, in a store of 20,000
// records that is open.
func BenchmarkWipe(b *testing.B) {
	from := b.TempDir()
	s, err := Open(benchOptions(from))
	if err != nil {
		b.Fatal(err)
	}
	value := make([]byte, benchValue)
	for n := uint64(0); n < 20_000; {
		update(b, s, func(tx *Tx) error {
			for range 1000 {
				n++
				ttl := time.Duration(n%2000+1) * time.Hour
				l, err := tx.NewLeaf(wheel.BucketFor(time.Now().Add(ttl), ttl), [16]byte{byte(n)})
				if err != nil {
					return err
				}
				if err := tx.PutUnder(benchKey(n), value, time.Time{}, l); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		b.StopTimer()
		dir := copyDir(b, from)
		s, err := Open(benchOptions(dir))
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := s.Wipe(); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		_ = s.Close()
		if err := os.RemoveAll(filepath.Dir(dir)); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
