package storage

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A process that is being started holds what this one had locked for a moment:
// a store that is opened again waits for it. Whoever keeps it is named.
func TestBadgersLockIsWaitedFor(t *testing.T) {
	o := testOptions(filepath.Join(t.TempDir(), "store"))
	if err := open(t, o).Close(); err != nil {
		t.Fatal(err)
	}
	held, err := os.Open(filepath.Join(o.Dir, dirDatabase))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := unix.Flock(int(held.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(o); !errors.Is(err, ErrLocked) {
		t.Errorf("held for ever: %v", err)
	}
	time.AfterFunc(100*time.Millisecond, func() { _ = held.Close() })
	if err := open(t, o).Close(); err != nil {
		t.Error(err)
	}
}
