package wheel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"rushlight/storage/twoslot"
)

const (
	fileAnchor = "anchor"
	fileLock   = "lock"
)

func topName(gen uint64) string  { return fmt.Sprintf("top.%016x", gen) }
func packName(gen uint64) string { return fmt.Sprintf("pack.%016x", gen) }
func shardsName(n int) string    { return fmt.Sprintf("shards.%d", n) }

// parseName returns the generation of a top or pack file.
func parseName(name, form string) (gen uint64, ok bool) {
	_, err := fmt.Sscanf(name, form+".%016x", &gen)
	return gen, err == nil && name == fmt.Sprintf(form+".%016x", gen)
}

// disk is one wheel's directory. What it returns from is on the medium, except
// removals.
type disk interface {
	lock() (release func() error, err error)
	list() ([]string, error)
	read(name string) ([]byte, error)
	write(name string, b []byte) error
	remove(name string) error
	syncDir() error
	createSlots(name string, body []byte) (slotFile, error)
	openSlots(name string) (slotFile, error)
	// locate says where the slots of the anchor are.
	locate() site
}

// slotFile is a [twoslot.File].
type slotFile interface {
	Body() []byte
	Older() bool
	Replace(body []byte) error
	Scrub() error
	Close() error
}

// directory is the real disk.
type directory string

func (d directory) path(name string) string { return filepath.Join(string(d), name) }

func (d directory) lock() (func() error, error) {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return nil, err
	}
	l := flock.New(d.path(fileLock), flock.SetPermissions(0o600))
	ok, err := l.TryLock()
	if err == nil && !ok {
		err = ErrLocked
	}
	if err != nil {
		return nil, err
	}
	return l.Close, nil
}

func (d directory) list() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (d directory) read(name string) ([]byte, error) { return os.ReadFile(d.path(name)) }

func (d directory) write(name string, b []byte) error {
	f, err := os.OpenFile(d.path(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func (d directory) remove(name string) error {
	err := os.Remove(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (d directory) syncDir() error { return twoslot.SyncDir(string(d)) }

func (d directory) createSlots(name string, body []byte) (slotFile, error) {
	f, err := twoslot.Create(d.path(name), body)
	if err != nil {
		return nil, err // not a nil *File in an interface
	}
	return f, nil
}

func (d directory) openSlots(name string) (slotFile, error) {
	f, err := twoslot.Open(d.path(name))
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (d directory) locate() site { return locate(d.path(fileAnchor)) }
