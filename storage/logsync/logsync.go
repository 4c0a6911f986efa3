// Package logsync brings the log of a Badger database to the disk.
//
// With SyncWrites Badger syncs two files for each transaction: its log, and the
// value log, which stays empty in our databases but costs the disk a flush all
// the same. Where [Alone] is true, the log alone does: its writer, who must be
// the only one, lets Badger write without SyncWrites and calls [Log.Sync] when
// a transaction is done, before anybody hears of it.
//
// It promises that all transactions that were done before Sync began are on the
// disk when it returns nil. After an error nothing is known of those since the
// last Sync, and the database must be opened again.
package logsync

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Log is the log that Badger writes. It belongs to one goroutine at a time.
type Log struct {
	dir    string
	number uint64
	file   *os.File
}

// Open finds the log in the directory of an open database.
func Open(dir string) (*Log, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("looking for the log: %w", err)
	}
	l := &Log{dir: dir}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".mem")
		if n, err := strconv.ParseUint(name, 10, 64); ok && err == nil {
			l.number = max(l.number, n)
		}
	}
	if l.file, err = os.OpenFile(l.path(l.number), os.O_RDWR, 0); err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	return l, nil
}

// path is that of a log: Badger numbers them.
func (l *Log) path(number uint64) string {
	return filepath.Join(l.dir, fmt.Sprintf("%05d.mem", number))
}

// Sync returns when the log is on the disk. A transaction is in one log as a
// whole, and Badger begins a new one only before it writes one: what is in the
// logs before was synced when it was new.
func (l *Log) Sync() error {
	for {
		next, err := os.OpenFile(l.path(l.number+1), os.O_RDWR, 0)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return fmt.Errorf("opening a new log: %w", err)
		}
		_ = l.file.Close()
		l.number, l.file = l.number+1, next
	}
	if err := sync(l.file); err != nil {
		return fmt.Errorf("syncing the log: %w", err)
	}
	return nil
}

// Close gives up the file. It syncs nothing.
func (l *Log) Close() { _ = l.file.Close() }
