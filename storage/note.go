package storage

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

const labelNote suite.Label = "rushlight/storage/note/1"

// fingerprint is how a file looks from outside. Everything that changes a file
// through the system changes it; a disk that forgets a bit doesn't.
type fingerprint struct {
	size     uint64
	modified uint64 // Unix ns
	changed  uint64 // Unix ns; 0 where the system doesn't keep it
	number   uint64 // of the inode
}

const noteMagic = "RSN\x01"

// encodeNote is magic ‖ (table u64 ‖ size u64 ‖ modified u64 ‖ changed u64 ‖
// number u64)* ‖ tag[32], by table.
func encodeNote(k *keys, read map[uint64]fingerprint) []byte {
	w := wire.NewWriter(nil).Raw([]byte(noteMagic))
	for _, id := range slices.Sorted(maps.Keys(read)) {
		f := read[id]
		w.U64(id).U64(f.size).U64(f.modified).U64(f.changed).U64(f.number)
	}
	b := w.Out()
	tag := suite.MAC(k.guard[:], labelNote, b)
	return append(b, tag[:]...)
}

// parseNote returns nothing when the note isn't whole.
func parseNote(k *keys, b []byte) map[uint64]fingerprint {
	const entry = 5 * 8
	n := len(b) - len(noteMagic) - 32
	if n < 0 || n%entry != 0 || string(b[:len(noteMagic)]) != noteMagic {
		return nil
	}
	want := suite.MAC(k.guard[:], labelNote, b[:len(b)-32])
	if !suite.Equal(want[:], b[len(b)-32:]) {
		return nil
	}
	read := make(map[uint64]fingerprint, n/entry)
	r := wire.NewReader(b[len(noteMagic) : len(b)-32])
	for r.Len() > 0 {
		id := r.U64()
		read[id] = fingerprint{r.U64(), r.U64(), r.U64(), r.U64()}
	}
	return read
}

// readNote returns the tables that an earlier run read whole.
func readNote(dir string, k *keys) map[uint64]fingerprint {
	b, err := os.ReadFile(filepath.Join(dir, fileNote))
	if err != nil {
		return nil
	}
	return parseNote(k, b)
}

// saveNote replaces the note. It isn't synced: a torn one counts as none.
func (s *Store) saveNote(read map[uint64]fingerprint) {
	path := filepath.Join(s.dir, fileNote)
	err := os.WriteFile(path+".new", encodeNote(&s.keys, read), 0o600)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		_ = os.Remove(path + ".new")
		if !errors.Is(err, fs.ErrNotExist) {
			s.log.Info("the note of tables read can't be written", "error", err)
		}
	}
}
