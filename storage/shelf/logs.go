package shelf

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
)

// settleLogs makes tables of the logs that a shelf with a larger MemTableSize left
// when it was killed. Badger reads a log into one memtable when it opens, and
// ends the process when it doesn't fit.
func (o Options) settleLogs(db string) error {
	logs, err := filepath.Glob(filepath.Join(db, "*.mem"))
	if err != nil {
		return fmt.Errorf("listing logs: %w", err)
	}
	foreign := int64(0) // the size of the largest
	for _, name := range logs {
		st, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("looking at a log: %w", err)
		}
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
