package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sync/errgroup"
)

// Badger deletes tables that its manifest doesn't list, stops reading a log at
// the first byte that doesn't fit, skips a table whose checksum is wrong, and
// panics or exits at other damage. So all its files are read here first, and
// Badger opens them only when nothing is missing between the first commit and
// the last one found (FORMAT.md §6).

// found is what inspect learnt.
type found struct {
	version  uint64       // Badger's version of the newest commit in the files
	memTable int64        // least MemTableSize that can replay the logs
	tables   []*tableFile // that the manifest lists
}

// listing is the files of a database directory by kind.
type listing struct {
	tables   map[uint64]string
	logs     []logFile // by number
	valueLog []string
	manifest bool
	registry bool
}

type logFile struct {
	number uint64
	path   string
}

// inspect reads every file of the database in dir; of the tables that were
// noted, and have the same fingerprint, only what Badger needs to open them. It
// changes nothing unless everything is in order; then it removes what a crash
// left over.
func inspect(dir string, k keys, noted map[uint64]fingerprint) (found, error) {
	ls, err := list(dir)
	if err != nil {
		return found{}, err
	}
	if !ls.manifest {
		if len(ls.tables) > 0 {
			return found{}, fmt.Errorf("%w: the manifest is gone", ErrCorrupt)
		}
	}
	reg, err := readRegistry(filepath.Join(dir, badger.KeyRegistryFileName), &k)
	if err != nil {
		return found{}, err
	}
	m, err := inspectManifest(dir, ls)
	if err != nil {
		return found{}, err
	}
	listed := m.tables
	var out found
	if out.tables, out.version, err = verifyListed(ls, listed, reg, noted); err != nil {
		return found{}, err
	}
	repairs := append(reg.repairs, m.repairs...)
	whole := !m.flushed
	for _, l := range ls.logs {
		info, err := readLog(l.path, reg, out.version)
		if err != nil {
			return found{}, err
		}
		if info.first > out.version+1 {
			return found{}, fmt.Errorf("%w: commits are missing between the tables and log %d", ErrCorrupt, l.number)
		}
		whole = whole || info.first != 0
		out.version = max(out.version, info.last)
		out.memTable = max(out.memTable, info.memTable)
		repairs = append(repairs, info.repairs...)
	}
	if !whole {
		return found{}, fmt.Errorf("%w: a table is gone, and so is its log", ErrCorrupt)
	}
	for id, path := range ls.tables {
		if _, ok := listed[id]; ok {
			continue
		}
		if newest := reg.guessTable(path); newest > out.version {
			return found{}, fmt.Errorf("%w: the manifest doesn't list table %d, which has the newest commits", ErrCorrupt, id)
		}
	}
	for _, path := range ls.valueLog {
		repairs = append(repairs, func() error { return os.Remove(path) })
	}
	for _, r := range repairs {
		if err := r(); err != nil {
			return found{}, cause(err, "clearing up after a crash")
		}
	}
	return out, nil
}

func list(dir string) (ls listing, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return ls, nil
	}
	if err != nil {
		return ls, cause(err, "listing the database")
	}
	ls.tables = map[uint64]string{}
	for _, e := range entries {
		name, path := e.Name(), filepath.Join(dir, e.Name())
		base, ext, _ := strings.Cut(name, ".")
		n, nerr := strconv.ParseUint(base, 10, 32)
		switch {
		case name == badger.ManifestFilename:
			ls.manifest = true
		case name == badger.KeyRegistryFileName:
			ls.registry = true
		case ext == "sst" && nerr == nil:
			ls.tables[n] = path
		case ext == "mem" && nerr == nil:
			ls.logs = append(ls.logs, logFile{n, path})
		case ext == "sst" || ext == "mem":
			return ls, fmt.Errorf("%w: a file with a strange name", ErrCorrupt)
		case ext == "vlog", name == "DISCARD":
			// All values are inline: these never hold anything.
			ls.valueLog = append(ls.valueLog, path)
		}
	}
	slices.SortFunc(ls.logs, func(a, b logFile) int { return int(a.number) - int(b.number) })
	return ls, nil
}

// verifyListed reads every listed table whole, or the ends of it when it is
// noted with the fingerprint it has now, and returns the newest version in them.
func verifyListed(ls listing, listed map[uint64]badger.TableManifest, reg *registry, noted map[uint64]fingerprint,
) (tables []*tableFile, newest uint64, err error) {
	for id, t := range listed {
		tables = append(tables, &tableFile{id: id, path: ls.tables[id], key: reg.keys[t.KeyID]})
	}
	workers := min(runtime.GOMAXPROCS(0), 4)
	versions := make([]uint64, workers)
	var next atomic.Int64
	var g errgroup.Group
	for w := range workers {
		g.Go(func() error {
			var buf []byte
			for {
				i := int(next.Add(1)) - 1
				if i >= len(tables) {
					return nil
				}
				t := tables[i]
				v, b, err := t.verify(noted, buf)
				if err != nil {
					next.Store(int64(len(tables)))
					return fmt.Errorf("%w: table %d: %w", ErrCorrupt, t.id, err)
				}
				buf, versions[w] = b, max(versions[w], v)
			}
		})
	}
	err = g.Wait()
	return tables, slices.Max(versions), err
}

func (t *tableFile) verify(noted map[uint64]fingerprint, buf []byte) (newest uint64, next []byte, err error) {
	if t.print, err = fingerprintOf(t.path); err != nil {
		return 0, buf, err
	}
	if then, ok := noted[t.id]; ok && then == t.print {
		return verifyEnds(t.path, t.key, buf)
	}
	t.read = true
	return verifyTable(t.path, t.key, buf)
}
