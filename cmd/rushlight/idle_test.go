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
		// Twelve hours are chosen, and ten minutes after the first use.
		never, changed := make(chan struct{}), make(chan struct{})
		time.AfterFunc(5*time.Minute, func() { close(changed) })
		after := func() (time.Duration, <-chan struct{}) {
			if time.Since(start) < 5*time.Minute {
				return 12 * time.Hour, changed
			}
			return 10 * time.Minute, never
		}
		locked := time.Duration(0)
		lockWhenIdle(t.Context(), after, lastUse, func() { locked = time.Since(start) })
		if locked != 23*time.Minute {
			t.Errorf("locked after %v", locked)
		}
	})
}
