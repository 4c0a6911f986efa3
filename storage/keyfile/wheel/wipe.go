package wheel

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"rushlight/protocol/suite"
	"rushlight/storage/twoslot"
)

// wipeMark begins each slot of a wiped anchor; the rest is random.
var wipeMark = []byte("RWW\x01 wiped     \n")

func hasWipeMark(anchor []byte) bool {
	for at := 0; at < len(anchor); at += twoslot.SlotSize {
		if bytes.HasPrefix(anchor[at:], wipeMark) {
			return true
		}
	}
	return false
}

// Wipe destroys all keys in dir, at once and for good: it overwrites the
// anchor, from which on nothing can be opened, then the shares, and removes the
// files. It needs no kek, doesn't mind damage and doesn't wait for the lock.
// The process that has the wheel open must call [Wheel.Wipe]. After an error it
// may be called again; where there is nothing it does nothing.
func Wipe(dir string) error {
	d := directory(dir)
	errs := []error{d.overwrite(fileAnchor)}
	names, err := d.list()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "shards.") {
			errs = append(errs, d.overwrite(name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("wheel: wiping: %w", err)
	}
	for _, name := range names {
		_, pack := parseName(name, "pack")
		_, top := parseName(name, "top")
		if pack || top || strings.HasPrefix(name, "shards.") || name == fileAnchor+".new" || name == fileLock {
			errs = append(errs, d.remove(name))
		}
	}
	// The mark goes last, so that a wipe that is cut off is noticed.
	errs = append(errs, d.remove(fileAnchor))
	if len(names) > 0 {
		errs = append(errs, d.syncDir())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("wheel: wiping: %w", err)
	}
	return nil
}

// Wipe is [Wipe] for a wheel that is open, which it closes. It waits for a
// commit that is under way.
func (w *Wheel) Wipe() error {
	return errors.Join(w.Close(), Wipe(w.dir))
}

// overwrite replaces what a two-slot file holds, in place.
func (d directory) overwrite(name string) error {
	f, err := os.OpenFile(d.path(name), os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	noise := make([]byte, 2*twoslot.SlotSize)
	suite.Random(noise)
	copy(noise, wipeMark)
	copy(noise[twoslot.SlotSize:], wipeMark)
	_, err = f.WriteAt(noise, 0)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
