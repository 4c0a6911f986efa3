package door

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// FileName is where a profile directory keeps the port of the page and the
// hashes of tokens.
const FileName = "door.json"

const fileVersion = 1

// maxFile bounds what is read: more was not written by [Tokens].
const maxFile = 1 << 20

// readFile reads the tokens at path. A file that can't be understood counts as
// none: whoever had a token makes another.
func readFile(path string, into *file) error {
	*into = file{Version: fileVersion}
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && fi.Size() > maxFile {
		return nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the tokens: %w", bare(err))
	}
	var f file
	if json.Unmarshal(b, &f) == nil && f.Version == fileVersion {
		*into = f
	}
	return nil
}

// save writes the file anew, and in its place only when it is whole.
func (t *Tokens) save() error {
	b, err := json.Marshal(t.file)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(t.path), ".door-*")
	if err != nil {
		return fmt.Errorf("saving the tokens: %w", bare(err))
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), t.path)
	}
	if err != nil {
		return fmt.Errorf("saving the tokens: %w", errors.Join(bare(err), os.Remove(f.Name())))
	}
	return nil
}

// bare takes the path out of an error.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	var l *os.LinkError
	if errors.As(err, &l) {
		return l.Err
	}
	return err
}

// Forget removes the file of a profile directory.
func Forget(dir string) error {
	err := os.Remove(filepath.Join(dir, FileName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
