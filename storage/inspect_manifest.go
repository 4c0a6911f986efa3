package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/pb"
	"google.golang.org/protobuf/proto"
)

// manifest is which tables count. Badger's file is "Bdgr" ‖ u16 external
// version ‖ u16 version ‖ (u32 length ‖ u32 CRC ‖ change set)*.
type manifest struct {
	tables  map[uint64]badger.TableManifest
	flushed bool // a table made from a log was taken back
	repairs []func() error
}

const manifestHead = 8

// maxTakenBack is how many change sets at the end of a manifest may be taken
// back.
const maxTakenBack = 8

// readManifest returns the tables the manifest lists.
func readManifest(dir string, exists bool) (map[uint64]badger.TableManifest, error) {
	if !exists {
		return nil, nil
	}
	f, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if err != nil {
		return nil, cause(err, "opening the manifest")
	}
	defer func() { _ = f.Close() }()
	var h [manifestHead]byte
	if _, err := io.ReadFull(f, h[:]); err != nil || string(h[:4]) != "Bdgr" {
		return nil, fmt.Errorf("%w: the manifest has no header", ErrCorrupt)
	}
	v := manifestSchema(h[:])
	if v > Schema {
		return nil, ErrVersion
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, cause(err, "reading the manifest")
	}
	m, _, err := badger.ReplayManifestFile(f, v, badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		return nil, fmt.Errorf("%w: the manifest: %w", ErrCorrupt, err)
	}
	return m.Tables, nil
}

// inspectManifest is readManifest for tables that must be there. When the
// manifest can't be synced, Badger removes the tables it has just listed, and
// keeps what they were made of: a log, or other tables. So change sets at its
// end are taken back until every table it lists is there. Whether nothing is
// missing then is for the caller to find out: what a log had must be in a log.
func inspectManifest(dir string, ls listing) (*manifest, error) {
	listed, err := readManifest(dir, ls.manifest)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, badger.ManifestFilename)
	raise := []func() error{func() error { return raiseManifest(path) }}
	if !ls.manifest {
		raise = nil
	}
	gone, ok := missing(ls, listed)
	if ok {
		return &manifest{tables: listed, repairs: raise}, nil
	}
	refused := fmt.Errorf("%w: table %d is gone", ErrCorrupt, gone)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, cause(err, "reading the manifest")
	}
	sets, ends, err := parseManifest(b)
	if err != nil {
		return nil, refused
	}
	m := &manifest{repairs: raise}
	for n := len(sets) - 1; n > 0 && n >= len(sets)-maxTakenBack; n-- {
		m.flushed = m.flushed || !deletes(sets[n])
		if m.tables, err = replay(sets[:n]); err != nil {
			return nil, refused
		}
		if _, ok := missing(ls, m.tables); ok {
			m.repairs = append(m.repairs, func() error { return os.Truncate(path, int64(ends[n-1])) })
			return m, nil
		}
	}
	return nil, refused
}

// missing names a listed table that isn't there, unless all are.
func missing(ls listing, listed map[uint64]badger.TableManifest) (gone uint64, ok bool) {
	for id := range listed {
		if _, there := ls.tables[id]; !there {
			return id, false
		}
	}
	return 0, true
}

// parseManifest returns the change sets of a manifest and where each ends.
// Badger has checked the sums.
func parseManifest(b []byte) (sets []*pb.ManifestChangeSet, ends []int, err error) {
	for at := manifestHead; at < len(b); {
		if len(b)-at < 8 {
			return nil, nil, errors.New("cut off")
		}
		n := int(binary.BigEndian.Uint32(b[at:]))
		at += 8
		if n > len(b)-at {
			return nil, nil, errors.New("cut off")
		}
		set := &pb.ManifestChangeSet{}
		if err := proto.Unmarshal(b[at:at+n], set); err != nil {
			return nil, nil, err
		}
		at += n
		sets, ends = append(sets, set), append(ends, at)
	}
	return sets, ends, nil
}

// deletes reports whether a change set is that of a merge, which replaces
// tables, and not of a log that became one.
func deletes(set *pb.ManifestChangeSet) bool {
	for _, c := range set.Changes {
		if c.Op == pb.ManifestChange_DELETE {
			return true
		}
	}
	return false
}

func replay(sets []*pb.ManifestChangeSet) (map[uint64]badger.TableManifest, error) {
	tables := map[uint64]badger.TableManifest{}
	for _, set := range sets {
		for _, c := range set.Changes {
			_, there := tables[c.Id]
			if there != (c.Op == pb.ManifestChange_DELETE) {
				return nil, errors.New("a change that can't be")
			}
			if there {
				delete(tables, c.Id)
				continue
			}
			tables[c.Id] = badger.TableManifest{Level: uint8(c.Level), KeyID: c.KeyId, Compression: options.CompressionType(c.Compression)}
		}
	}
	return maps.Clone(tables), nil
}
