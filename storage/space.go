package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"rushlight/protocol/suite"
)

// Badger maps files that have no blocks yet into memory and dies by a signal
// when the disk is full; and when it can't create a file while merging tables
// it drops what it merged. So room is checked before every Update, and a
// ballast file can be given up to get a full disk's store open again.

const (
	checkEvery = 250 * time.Millisecond
	minInodes  = 1000
	minFiles   = 128
)

// room is what a filesystem and the process have left; negative is unknown.
type room struct {
	bytes  int64
	inodes int64
	files  int64
}

type space struct {
	dir     string
	minFree int64 // for an Update
	need    int64 // to open and to close: the logs are written as tables
	ballast int64

	mu      sync.Mutex
	at      time.Time // of the last question
	written int64     // bytes since then
	last    error
}

// wrote counts what a commit wrote.
func (s *space) wrote(bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written += bytes
}

// check refuses a write while there is too little room. It asks the system four
// times a second, and whenever much was written since.
func (s *space) check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.at.IsZero() || now.Sub(s.at) >= checkEvery || now.Before(s.at) || s.written >= s.minFree/16 {
		s.at, s.written, s.last = now, 0, s.ask(s.minFree)
		if s.last != nil {
			_ = s.give()
		}
	}
	return s.last
}

func (s *space) ask(minFree int64) error {
	r, err := measure(s.dir)
	if err != nil {
		return fmt.Errorf("storage: measuring free space: %w", err)
	}
	switch {
	case r.bytes >= 0 && r.bytes < minFree:
		return fmt.Errorf("storage: %w: %d MiB free on the disk, %d MiB needed", ErrNoSpace, r.bytes>>20, minFree>>20)
	case r.inodes >= 0 && r.inodes < minInodes:
		return fmt.Errorf("storage: %w: %d free inodes, %d needed", ErrNoSpace, r.inodes, minInodes)
	case r.files >= 0 && r.files < minFiles:
		return fmt.Errorf("storage: %w: %d free file handles, %d needed", ErrNoSpace, r.files, minFiles)
	}
	return nil
}

// give gives up the ballast when what opening, closing and merging write would
// not fit otherwise, and reports whether it fits now.
func (s *space) give() error {
	err := s.ask(s.need)
	if errors.Is(err, ErrNoSpace) {
		if rerr := os.Remove(filepath.Join(s.dir, fileBallast)); rerr == nil {
			err = s.ask(s.need)
		}
	}
	return err
}

// keepBallast makes the ballast file when there is ample room for it.
func (s *space) keepBallast() {
	path := filepath.Join(s.dir, fileBallast)
	if s.ballast <= 0 {
		return
	}
	if st, err := os.Lstat(path); err == nil && st.Size() == s.ballast {
		return
	}
	if s.ask(s.minFree+s.ballast) != nil {
		return
	}
	if err := writeBallast(path, s.ballast); err != nil {
		_ = os.Remove(path)
	}
}

func writeBallast(path string, size int64) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err = allocate(f, size); err != nil {
		err = fill(f, size)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// fill writes bytes that don't compress.
func fill(f *os.File, size int64) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	buf := make([]byte, 1<<20)
	suite.Random(buf)
	for at := int64(0); at < size; at += int64(len(buf)) {
		if _, err := f.WriteAt(buf[:min(int64(len(buf)), size-at)], at); err != nil {
			return err
		}
	}
	return f.Sync()
}
