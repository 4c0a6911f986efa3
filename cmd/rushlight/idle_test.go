package main

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestLockWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		uses := []time.Duration{4 * time.Minute, 13 * time.Minute}
		lastUse := func() (last time.Time) {
			for _, u := range uses {
				if at := start.Add(u); !at.After(time.Now()) {
					last = at
				}
			}
			return last
		}
		locked := time.Duration(0)
		lockWhenIdle(t.Context(), 10*time.Minute, lastUse, func() { locked = time.Since(start) })
		if locked != 23*time.Minute {
			t.Errorf("locked after %v", locked)
		}
	})
}
