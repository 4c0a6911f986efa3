package shelf

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
)

// removeEmpty removes logs in which nothing was written when the power failed:
// some file systems keep a name before the length of its file, and Badger can't
// open such a log.
func removeEmpty(db string) error {
	files, err := os.ReadDir(db)
	if err != nil {
		return fmt.Errorf("listing logs: %w", err)
	}
	for _, f := range files {
		if kind := filepath.Ext(f.Name()); kind != ".mem" && kind != ".vlog" {
			continue
		}
		if info, err := f.Info(); err != nil || info.Size() > 0 {
			continue
		}
		if err := os.Remove(filepath.Join(db, f.Name())); err != nil {
			return fmt.Errorf("removing an empty log: %w", err)
		}
	}
	return nil
}

// logs lists the logs of a database.
func logs(db string) (out []fs.FileInfo, err error) {
	files, err := os.ReadDir(db)
	if err != nil {
		return nil, fmt.Errorf("listing logs: %w", err)
	}
	for _, f := range files {
		if filepath.Ext(f.Name()) != ".mem" {
			continue
		}
		if info, err := f.Info(); err == nil {
			out = append(out, info)
		}
	}
	return out, nil
}

// settleLogs makes tables of the logs that a shelf with a larger MemTableSize left
// when it was killed. Badger reads a log into one memtable when it opens, and
// ends the process when it doesn't fit.
func (o Options) settleLogs(db string) error {
	all, err := logs(db)
	if err != nil {
		return err
	}
	foreign := int64(0) // the size of the largest
	for _, st := range all {
		// A log is twice as long as its memtable, until Badger has read it and
		// cuts it to what it holds.
		if st.Size() != 2*o.MemTableSize {
			foreign = max(foreign, st.Size())
		}
	}
	if foreign <= o.MemTableSize/2 {
		return nil
	}
	none := 0
	o.Compactors = &none
	o.MemTableSize = min(2*foreign, maxMemTable) // a small record takes up to twice as much in it
	d, err := badger.Open(o.badger(db, nil))
	if err == nil {
		err = d.Close()
	}
	if err != nil {
		return fmt.Errorf("making tables of large logs: %w", err)
	}
	return nil
}
