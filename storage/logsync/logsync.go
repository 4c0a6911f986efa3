// Package logsync brings the log of a Badger database to the disk.
//
// With SyncWrites Badger syncs two files for each transaction: its log, and the
// value log, which stays empty in our databases but costs the disk a flush all
// the same. Where [Alone] is true, the log alone does: its writer, who must be
// the only one, lets Badger write without SyncWrites and calls [Log.Sync] when
// a transaction is done, before anybody hears of it.
//
// It promises that all transactions that were done before Sync began are on the
// disk when it returns nil, also if Badger has begun another log since, which it
// does without syncing the one before. After an error nothing is known of those
// since the last Sync, and the database must be opened again.
//
// Badger's other files are its own care, with SyncWrites or without: the manifest
// is synced with each change, the key registry is written synchronously, tables
// are synced before the manifest lists them, and a log is removed after that.
package logsync

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"rushlight/storage/twoslot"
)

// Log is the log that Badger writes. It belongs to one goroutine at a time, but
// for [Log.Written].
type Log struct {
	dir    string
	number uint64
	file   *os.File
	room   reserve
	pages  pages // Written's own

	syncFile func(*os.File) error
	syncDir  func(dir string) error
}

// Open finds the log in the directory of an open database, and makes its name
// durable, with what a process that was killed had written to those before it
// and not synced: the database shows that.
func Open(dir string) (*Log, error) {
	l := &Log{dir: dir, syncFile: sync, syncDir: twoslot.SyncDir, pages: newPages()}
	return l, l.open()
}

func (l *Log) open() error {
	numbers, err := l.numbers()
	if err != nil {
		return err
	}
	if len(numbers) == 0 {
		return l.begin(0)
	}
	last := len(numbers) - 1
	for _, n := range numbers[:last] {
		if err := l.syncOld(n); err != nil {
			return err
		}
	}
	return l.begin(numbers[last])
}

// syncOld syncs a log that Badger reads no more and is making a table of.
func (l *Log) syncOld(number uint64) error {
	f, err := os.OpenFile(l.path(number), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the table is there
	}
	if err != nil {
		return fmt.Errorf("opening a log: %w", err)
	}
	defer f.Close() //nolint:errcheck // nothing was written through it
	if err := l.syncFile(f); err != nil {
		return fmt.Errorf("syncing a log: %w", err)
	}
	return nil
}

// numbers lists the logs, the oldest first.
func (l *Log) numbers() (all []uint64, err error) {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, fmt.Errorf("looking for the log: %w", err)
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".mem")
		if n, err := strconv.ParseUint(name, 10, 64); ok && err == nil {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all, nil
}

// newest is the highest number of a log, 0 when there is none.
func (l *Log) newest() (uint64, error) {
	all, err := l.numbers()
	if len(all) == 0 {
		return 0, err
	}
	return all[len(all)-1], nil
}

// path is where Badger puts the log with a number.
func (l *Log) path(number uint64) string {
	return filepath.Join(l.dir, fmt.Sprintf("%05d.mem", number))
}

// begin goes on with another log.
func (l *Log) begin(number uint64) error {
	file, err := os.OpenFile(l.path(number), os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	l.Close()
	l.number, l.file = number, file
	l.room = reserve{}
	if err := l.syncDir(l.dir); err != nil {
		return fmt.Errorf("syncing the name of the log: %w", err)
	}
	return nil
}

// Sync returns when the log is on the disk. A transaction is in one log as a
// whole, and Badger begins a new one only before it writes one. So what was done
// is in the log that was synced last or in those after it, one of which may hold
// nothing but what came since.
func (l *Log) Sync() error {
	for more := true; more; {
		if err := l.syncFile(l.file); err != nil {
			return fmt.Errorf("syncing the log: %w", err)
		}
		var err error
		if more, err = l.follow(); err != nil {
			return err
		}
	}
	l.room.synced(l.file)
	return nil
}

// follow goes on with the next log, if there is one.
func (l *Log) follow() (more bool, err error) {
	next := l.number + 1
	err = l.begin(next)
	if !errors.Is(err, fs.ErrNotExist) {
		return err == nil, err
	}
	// Logs are removed from the oldest on: while this one has its name there was
	// none after it that is gone already.
	if gone, err := removed(l.file); err != nil || !gone {
		return false, err
	}
	if next, err = l.newest(); err != nil || next <= l.number {
		return false, err
	}
	err = l.begin(next)
	return err == nil, err
}

// Close gives up the file. It syncs nothing.
func (l *Log) Close() {
	if l.file != nil {
		_ = l.file.Close()
	}
	l.room.close()
}
