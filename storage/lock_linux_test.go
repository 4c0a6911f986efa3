package storage

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

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
	o.Logger = slog.New(slog.NewTextHandler(writerFunc(func(line []byte) {
		if bytes.Contains(line, []byte("waiting for the database's lock")) {
			_ = held.Close()
		}
	}), &slog.HandlerOptions{Level: slog.LevelDebug}))
	if err := open(t, o).Close(); err != nil {
		t.Error(err)
	}
	if held.Close() == nil {
		t.Error("it was opened while the lock was held")
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }
