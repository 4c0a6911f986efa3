package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"rushlight/storage/keyfile/wheel"
)

// Wipe destroys every key of the store in dir, so that nothing put under the
// wheel can be opened again by anybody, and removes its files. It needs no root
// and doesn't mind damage. The keys go first and at once; what is left to do
// after an error is to remove files. Nobody may have the store open; its own
// process calls [Store.Wipe].
func Wipe(dir string) error {
	if err := wheel.Wipe(filepath.Join(dir, dirWheel)); err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return cause(err, "storage: removing the store")
	}
	return nil
}

var errWiped = errors.New("the store was wiped")

// Wipe destroys every key while the store is open. Nothing can be read or
// written any more; Close it and call the function [Wipe] to remove the files.
func (s *Store) Wipe() error {
	s.poison.CompareAndSwap(nil, &poisonError{cause: errWiped})
	if err := s.leaves.Wipe(); err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	return nil
}

// Expire destroys the keys in a store that is locked, whose time has come by
// now, without its root, and returns when the next time is; zero is never. The
// keys of single messages that were read wait until the store is opened.
func Expire(dir string, now time.Time) (next time.Time, err error) {
	dir = filepath.Join(dir, dirWheel)
	buckets, err := wheel.Shards(dir)
	if err != nil {
		return next, fmt.Errorf("storage: %w", err)
	}
	var ended []uint32
	for _, b := range buckets {
		switch end := wheel.BucketEnd(b); {
		case end.IsZero():
		case !end.After(now):
			ended = append(ended, b)
		case next.IsZero() || end.Before(next):
			next = end
		}
	}
	if len(ended) == 0 {
		return next, nil
	}
	if err := wheel.ScrubShards(dir, ended...); err != nil {
		return next, fmt.Errorf("storage: %w", err)
	}
	return next, nil
}
