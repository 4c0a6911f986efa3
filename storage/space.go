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

const checkEvery = 250 * time.Millisecond

// room is what a filesystem and the process have left; negative is unknown.
type room struct {
	bytes  int64
	inodes int64
	files  int64 // file handles
}

// toUpdate is the room that an Update asks for.
func toUpdate(bytes int64) room { return room{bytes, 1000, 128} }

// toSettle is the room for opening and closing, which write the logs as tables.
func toSettle(memTable int64) room { return room{6 * memTable, 32, 16} }

type space struct {
	dir     string
	update  room
	settle  room
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
	if s.at.IsZero() || now.Sub(s.at) >= checkEvery || now.Before(s.at) || s.written >= s.update.bytes/16 {
		s.at, s.written, s.last = now, 0, s.ask(s.update)
	}
	return s.last
}

func (s *space) ask(need room) error {
	r, err := measure(s.dir)
	if err != nil {
		return fmt.Errorf("storage: measuring free space: %w", err)
	}
	switch {
	case r.bytes >= 0 && r.bytes < need.bytes:
		return fmt.Errorf("storage: %w: %d MiB free on the disk, %d MiB needed", ErrNoSpace, r.bytes>>20, need.bytes>>20)
	case r.inodes >= 0 && r.inodes < need.inodes:
		return fmt.Errorf("storage: %w: %d free inodes, %d needed", ErrNoSpace, r.inodes, need.inodes)
	case r.files >= 0 && r.files < need.files:
		return fmt.Errorf("storage: %w: %d free file handles, %d needed", ErrNoSpace, r.files, need.files)
	}
	return nil
}

// beforeOpen gives up the ballast when opening would not fit otherwise.
func (s *space) beforeOpen() error {
	err := s.ask(s.settle)
	if errors.Is(err, ErrNoSpace) {
		if rerr := os.Remove(filepath.Join(s.dir, fileBallast)); rerr == nil {
			err = s.ask(s.settle)
		}
	}
	return err
}

// beforeClose asks for the room to close. The ballast stays for the next
// opening.
func (s *space) beforeClose() error { return s.ask(s.settle) }

// keepBallast makes the ballast file when there is ample room for it.
func (s *space) keepBallast() {
	path := filepath.Join(s.dir, fileBallast)
	if s.ballast <= 0 {
		return
	}
	if st, err := os.Lstat(path); err == nil && st.Size() == s.ballast {
		return
	}
	need := s.update
	need.bytes += s.ballast
	if s.ask(need) != nil {
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
