package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
	"rushlight/storage/twoslot"
)

// mirrorEvery is how old the guard's mark may be while commits go on.
const mirrorEvery = 30 * time.Second

// guard is the file beside the database that remembers how far the store had
// come, so that a database that is older or cut short is noticed.
type guard struct {
	file *twoslot.File
	mark head
	at   time.Time // when mark was written; zero is in an earlier run
}

// A guard record is key id[16] ‖ schema u16 ‖ counter u64 ‖ head mac[32] ‖
// tag[32]. The first two are readable without the root.
func encodeGuard(k *keys, schema uint16, h head) []byte {
	b := wire.NewWriter(nil).Raw(k.id[:]).U16(schema).U64(h.counter).Raw(h.mac[:]).Out()
	tag := suite.MAC(k.guard[:], labelGuard, b)
	return append(b, tag[:]...)
}

func parseGuard(k *keys, b []byte) (schema uint16, h head, err error) {
	r := wire.NewReader(b)
	id := r.A16()
	schema, h.counter, h.mac = r.U16(), r.U64(), r.A32()
	tag := r.A32()
	if err := r.Close(); err != nil {
		return 0, head{}, fmt.Errorf("%w: guard: %w", ErrCorrupt, err)
	}
	want := suite.MAC(k.guard[:], labelGuard, b[:len(b)-32])
	switch {
	case id != k.id:
		return 0, head{}, ErrWrongKey
	case schema > Schema:
		return 0, head{}, ErrVersion
	case schema == 0 || !suite.Equal(want[:], tag[:]):
		return 0, head{}, fmt.Errorf("%w: guard: the tag doesn't fit", ErrCorrupt)
	}
	return schema, h, nil
}

// openGuard reads the guard, or makes one for a store that is new. database
// says whether there is a database already.
func openGuard(path string, k keys, database bool) (*guard, error) {
	f, err := twoslot.Open(path)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case missing && !database:
		f, err = twoslot.Create(path, encodeGuard(&k, Schema, head{}))
		if err != nil {
			return nil, cause(err, "creating the guard file")
		}
		return &guard{file: f}, nil
	case missing:
		return nil, fmt.Errorf("%w: the guard file is gone", ErrCorrupt)
	case errors.Is(err, twoslot.ErrDamaged):
		return nil, fmt.Errorf("%w: the guard file is damaged", ErrCorrupt)
	case err != nil:
		return nil, cause(err, "opening the guard file")
	}
	g := &guard{file: f}
	if _, g.mark, err = parseGuard(&k, f.Body()); err != nil {
		_ = f.Close()
		return nil, err
	}
	return g, nil
}

func (g *guard) close() error { return g.file.Close() }

// Mirror writes how far the store has come into the guard file, if that
// changed. Updates do it every 30 seconds and for every new log, and Close
// does; a daemon that falls idle calls it too. It belongs to the writer, as Update does.
func (s *Store) Mirror() error {
	done, err := s.write()
	if err != nil {
		return err
	}
	defer done()
	if err := s.settle(); err != nil {
		return err
	}
	return s.mirror()
}

func (s *Store) mirror() error {
	if s.guard.mark == s.durable {
		return nil
	}
	s.guard.at = time.Now()
	if err := s.guard.file.Replace(encodeGuard(&s.keys, Schema, s.durable)); err != nil {
		return cause(err, "storage: writing the guard file")
	}
	s.guard.mark = s.durable
	return nil
}

// mirrorIfDue mirrors after a commit: when the mark is old, and when the commit
// is the first in a new log, so that the loss of a whole log is noticed. A
// failure is no failure of the commit.
func (s *Store) mirrorIfDue() {
	fresh := s.logTurned()
	if !fresh && time.Since(s.guard.at) < mirrorEvery {
		return
	}
	if fresh {
		s.audit.logTurned()
	}
	err := s.mirror()
	if err == nil && fresh {
		err = twoslot.SyncDir(filepath.Join(s.dir, dirDatabase))
	}
	if err != nil {
		s.log.Warn("the guard file can't be written", "error", err)
	}
}

// logTurned reports whether Badger has begun a new log. It numbers them.
func (s *Store) logTurned() (turned bool) {
	for {
		_, err := os.Lstat(logPath(filepath.Join(s.dir, dirDatabase), s.logNumber+1))
		if err != nil {
			return turned
		}
		s.logNumber++
		turned = true
	}
}

func logPath(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%05d.mem", number))
}

func manifestExists(dbDir string) bool {
	_, err := os.Lstat(filepath.Join(dbDir, "MANIFEST"))
	return err == nil
}
