package shelf

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"

	"rushlight/storage/logsync"
)

// disk brings commits to the disk, one after the other. What isn't there yet is
// read by nobody: an owner who has fetched an envelope that a power cut takes
// would never ask for the one that gets its number.
type disk struct {
	log syncer // nil when Badger syncs its log itself

	mu    sync.Mutex // of who commits
	aloft atomic.Pointer[aloft]
}

// syncer is a *logsync.Log, or a test's.
type syncer interface {
	Written(bytes int)
	Sync() error
	Close()
}

// aloft is a commit on its way. One that failed stays there.
type aloft struct {
	done chan struct{}
	err  error // once done
}

// open takes over the log of an open database.
func (d *disk) open(db string, o Options) error {
	if !logsync.Alone || o.UnsafeNoSync {
		return nil
	}
	log, err := logsync.Open(db)
	if err == nil {
		d.log = log
	}
	return err
}

func (d *disk) close() {
	if d.log != nil {
		d.log.Close()
	}
}

// commit returns nil when a transaction of about so many bytes is on the disk.
// After an error it isn't known whether it is.
func (d *disk) commit(tx *badger.Txn, bytes int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a := d.aloft.Load(); a != nil {
		return a.err
	}
	a := &aloft{done: make(chan struct{})}
	defer close(a.done)
	d.aloft.Store(a) // before anybody can see it
	if a.err = tx.Commit(); a.err != nil {
		return a.err
	}
	if d.log != nil {
		d.log.Written(bytes)
		if a.err = d.log.Sync(); a.err != nil {
			return a.err
		}
	}
	d.aloft.Store(nil)
	return nil
}

// landed waits until what a snapshot that was taken before may show is on the
// disk.
func (d *disk) landed() error {
	a := d.aloft.Load()
	if a == nil {
		return nil
	}
	<-a.done
	if a.err != nil {
		return fmt.Errorf("%w: %w", ErrFailed, a.err)
	}
	return nil
}

// view runs fn on a snapshot of what is on the disk.
func (s *Shelf) view(fn func(*badger.Txn) error) error {
	return s.db.View(func(tx *badger.Txn) error {
		if err := s.disk.landed(); err != nil {
			return err
		}
		return fn(tx)
	})
}
