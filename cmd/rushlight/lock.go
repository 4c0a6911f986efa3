package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// lockProfile makes the profile directory if need be and takes the lock that
// lets one process own it. The lock ends with the process.
func lockProfile(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the profile directory: %w", bareFile(err))
	}
	l := flock.New(filepath.Join(dir, "lock"), flock.SetPermissions(0o600))
	ok, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("locking the profile: %w", bareFile(err))
	}
	if !ok {
		return nil, errRunning
	}
	// A failure has no consequence: the lock ends with the process.
	return func() { _ = l.Close() }, nil
}

// isRunning reports whether a process owns the profile.
func isRunning(dir string) bool {
	unlock, err := lockProfile(dir)
	if err == nil {
		unlock()
	}
	return errors.Is(err, errRunning)
}
