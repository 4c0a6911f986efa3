package shelf

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

// Badger maps its files, so a disk that is full under it ends the process, and
// a merge whose output can't be written loses its input. So deposits stop long
// before: while there is little room on the disk, or the directory comes near
// its cap.

const checkEvery = 250 * time.Millisecond

type space struct {
	dir     string
	cap     int64 // 0 is none
	reserve int64 // kept below the cap for merges
	minFree int64
	settle  int64 // for opening
	ballast int64

	mu      sync.Mutex
	at      time.Time
	written int64 // since then
	used    int64
	last    error
}

func newSpace(o Options) space {
	return space{
		dir: o.Dir, cap: o.DiskCap, reserve: o.reserve(), minFree: o.MinFree,
		settle: 6*o.MemTableSize + o.logged(), ballast: o.Ballast,
	}
}

// logged is how many bytes the logs take that opening makes into tables as long,
// and that may be of larger memtables.
func (o Options) logged() (sum int64) {
	all, _ := logs(filepath.Join(o.Dir, dirDatabase)) // before the first start there is none
	for _, info := range all {
		sum += blocks(info)
	}
	return sum
}

// wrote counts what is about to be written.
func (s *space) wrote(bytes int64) {
	s.mu.Lock()
	s.written += bytes
	s.mu.Unlock()
}

// check returns an error while nothing may be stored. It looks four times a
// second, and whenever much was written since.
func (s *space) check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.at.IsZero() || now.Sub(s.at) >= checkEvery || now.Before(s.at) || s.written > s.reserve/16 {
		s.at, s.written = now, 0
		s.last = s.measure()
	}
	return s.last
}

func (s *space) measure() error {
	free, err := freeBytes(s.dir)
	if err != nil {
		return fmt.Errorf("shelf: measuring free space: %w", err)
	}
	if s.used, err = diskUse(s.dir); err != nil {
		return fmt.Errorf("shelf: measuring the directory: %w", err)
	}
	switch {
	case free >= 0 && free < s.minFree:
		return fmt.Errorf("%w: %d MiB free on the disk, %d MiB needed", ErrNoSpace, free>>20, s.minFree>>20)
	case s.cap > 0 && s.used+s.reserve > s.cap:
		return fmt.Errorf("%w: the directory has %d MiB of at most %d MiB", ErrNoSpace, s.used>>20, s.cap>>20)
	}
	return nil
}

// disk is how many bytes the directory took when it was last measured.
func (s *space) disk() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

// beforeOpen gives up the ballast when opening would not fit otherwise.
func (s *space) beforeOpen() error {
	for range 2 {
		free, err := freeBytes(s.dir)
		if err != nil {
			return fmt.Errorf("measuring free space: %w", err)
		}
		if free < 0 || free >= s.settle {
			return nil
		}
		if os.Remove(filepath.Join(s.dir, fileBallast)) != nil {
			break
		}
	}
	return ErrNoSpace
}

// tight reports whether the disk, whatever the cap, has less room than a merge
// may need.
func (s *space) tight() bool {
	free, err := freeBytes(s.dir)
	return err == nil && free >= 0 && free < s.minFree
}

// keepBallast makes the ballast when there is ample room for it.
func (s *space) keepBallast() {
	path := filepath.Join(s.dir, fileBallast)
	if s.ballast <= 0 {
		_ = os.Remove(path)
		return
	}
	if st, err := os.Lstat(path); err == nil && st.Size() == s.ballast {
		return
	}
	if free, err := freeBytes(s.dir); err != nil || free >= 0 && free < s.minFree+s.ballast {
		return
	}
	if err := writeBallast(path, s.ballast); err != nil {
		_ = os.Remove(path)
	}
}

// writeBallast writes bytes that don't compress.
func writeBallast(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err = allocate(f, size); err != nil {
		buf := make([]byte, 1<<20)
		suite.Random(buf)
		err = nil
		for at := int64(0); at < size && err == nil; at += int64(len(buf)) {
			_, err = f.WriteAt(buf[:min(int64(len(buf)), size-at)], at)
		}
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// diskUse sums the blocks of all files.
func diskUse(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // tables come and go
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if info, err := d.Info(); err == nil {
			sum += blocks(info)
		}
		return nil
	})
	return sum, err
}
