package main

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rushlight/node/api"
	"rushlight/storage"
	"rushlight/storage/keyfile/wheel"
)

// A locked profile destroys what expires when its time comes and not before,
// without a key; a clock that jumps makes it believe no more than a day.
func TestLockedExpires(t *testing.T) {
	for name, c := range map[string]struct {
		life, locked time.Duration // how long the message lives and when it was locked, before now
		wait         time.Duration
		gone         bool
	}{
		"its time comes":          {life: 2 * time.Hour, wait: 3 * time.Hour, gone: true},
		"its time hasn't come":    {life: 2 * time.Hour, wait: time.Hour},
		"over while it slept":     {life: 2 * time.Hour, locked: 3 * time.Hour, wait: time.Minute, gone: true},
		"the clock jumped a week": {life: 48 * time.Hour, locked: 7 * 24 * time.Hour, wait: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			a := &app{dir: t.TempDir()}
			synctest.Test(t, func(t *testing.T) {
				none := 0
				s, err := storage.Open(storage.Options{Dir: storeDir(a.dir), Root: [32]byte{1}, Ballast: -1, MinFree: -1, Compactors: &none})
				if err != nil {
					t.Fatal(err)
				}
				since := time.Now()
				bucket := wheel.BucketFor(since.Add(c.life), c.life)
				if err := s.Update(func(tx *storage.Tx) error {
					l, err := tx.NewLeaf(bucket, [16]byte{1})
					if err != nil {
						return err
					}
					return tx.PutUnder(storage.Key("\x41m"), []byte("text"), since.Add(c.life), l)
				}); err != nil {
					t.Fatal(err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				alive := func() bool {
					all, err := wheel.Shards(wheelDir(a.dir))
					if err != nil {
						t.Fatal(err)
					}
					return slices.Contains(all, bucket)
				}
				if !alive() {
					t.Fatal("control: there is no key to destroy")
				}
				time.Sleep(c.locked) // virtual: the machine slept, or its clock was set
				ctx, stop := context.WithCancel(t.Context())
				var mu sync.Mutex
				var done sync.WaitGroup
				done.Go(func() {
					a.expire(ctx, &mu, func() bool { return false }, lockedClock{since, time.Now()}, slog.New(slog.DiscardHandler))
				})
				time.Sleep(c.wait)
				synctest.Wait()
				stop()
				done.Wait()
				if alive() == c.gone {
					t.Errorf("the key is there: %v", !c.gone)
				}
			})
		})
	}
}

// Whoever waits for a daemon gives up soon when there is none, and not while
// one owns the profile and only doesn't answer yet.
func TestUntil(t *testing.T) {
	never := func(api.Status) bool { return false }
	for _, c := range []struct {
		name  string
		alive bool
		code  string
		after time.Duration
	}{
		{"nobody", false, api.CodeNoDaemon, goneTime},
		{"somebody who opens", true, api.CodeTimeout, changeTime},
	} {
		t.Run(c.name, func(t *testing.T) {
			var said bytes.Buffer
			a := &app{dir: t.TempDir(), err: &said}
			if c.alive {
				unlock, err := lockProfile(a.dir)
				if err != nil {
					t.Fatal(err)
				}
				defer unlock()
			}
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				err := a.until(t.Context(), "Opening", never)
				took := time.Since(began)
				if e := api.AsError(err); e.Code != c.code || took < c.after || took > c.after+time.Second {
					t.Errorf("%v after %v", err, took)
				}
				if said.String() != "Opening …\n" {
					t.Errorf("it says %q", said.String())
				}
			})
		})
	}
}
