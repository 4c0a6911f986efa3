package logsync

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// traced is a log in a directory of its own that notes what is synced.
type traced struct {
	*Log
	t     *testing.T
	trace []string
	fail  string // what can't be synced
}

func newTraced(t *testing.T) *traced {
	t.Helper()
	if !Alone {
		t.Skip("not used here")
	}
	x := &traced{t: t}
	dir := t.TempDir()
	x.Log = &Log{dir: dir}
	x.make(1)
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	l.syncFile = func(f *os.File) error { return x.note(filepath.Base(f.Name())) }
	l.syncDir = func(string) error { return x.note("names") }
	x.Log = l
	return x
}

var errDisk = errors.New("disk")

func (x *traced) note(what string) error {
	x.trace = append(x.trace, what)
	if what == x.fail {
		return errDisk
	}
	return nil
}

func (x *traced) path(n int) string { return filepath.Join(x.dir, fmt.Sprintf("%05d.mem", n)) }

func (x *traced) make(n int) {
	x.t.Helper()
	if err := os.WriteFile(x.path(n), nil, 0o600); err != nil {
		x.t.Fatal(err)
	}
}

func (x *traced) remove(n int) {
	x.t.Helper()
	if err := os.Remove(x.path(n)); err != nil {
		x.t.Fatal(err)
	}
}

// want syncs and compares what was synced.
func (x *traced) want(what ...string) {
	x.t.Helper()
	x.trace = nil
	if err := x.Sync(); err != nil {
		x.t.Fatal(err)
	}
	if !slices.Equal(x.trace, what) {
		x.t.Errorf("synced %v, want %v", x.trace, what)
	}
}

// What was done may be in the log before the newest: the transaction after it
// may have begun one meanwhile.
func TestNewLog(t *testing.T) {
	x := newTraced(t)
	x.want("00001.mem")
	x.make(2)
	x.want("00001.mem", "names", "00002.mem")
	x.want("00002.mem")
	x.remove(1)
	x.want("00002.mem")
	x.make(3)
	x.make(4)
	x.want("00002.mem", "names", "00003.mem", "names", "00004.mem")
	// One that came and went: what it held is in a table.
	x.remove(2)
	x.remove(3)
	x.remove(4)
	x.want("00004.mem")
	x.make(6)
	x.want("00004.mem", "names", "00006.mem")
}

// Whatever can't be synced is said, and what comes after it isn't taken for it.
func TestFails(t *testing.T) {
	for _, what := range []string{"00001.mem", "names", "00002.mem"} {
		x := newTraced(t)
		x.make(2)
		x.fail = what
		if err := x.Sync(); !errors.Is(err, errDisk) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// The log of an open database is the one with the highest number; those before
// it hold what a process that was killed hasn't synced.
func TestOpen(t *testing.T) {
	x := newTraced(t)
	x.make(12)
	x.make(100_000)
	for _, fail := range []string{"", "00001.mem", "00012.mem", "names"} {
		x.trace, x.fail = nil, fail
		l := &Log{dir: x.dir, syncFile: x.Log.syncFile, syncDir: x.Log.syncDir}
		err := l.open()
		l.Close()
		if fail != "" {
			if !errors.Is(err, errDisk) {
				t.Errorf("%s: %v", fail, err)
			}
			continue
		}
		if err != nil || l.number != 100_000 || !slices.Equal(x.trace, []string{"00001.mem", "00012.mem", "names"}) {
			t.Error(err, l.number, x.trace)
		}
	}
	if _, err := Open(filepath.Join(x.dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := Open(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
