package shelf

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"rushlight/protocol/wire"
	"rushlight/storage/twoslot"
)

// guard is the file beside the database that remembers how far the shelf had
// come, so that a database that is older, or was cut short, is noticed.
type guard struct {
	file  *twoslot.File
	batch uint64
}

func openGuard(path string) (*guard, error) {
	f, err := twoslot.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = twoslot.Create(path, wire.NewWriter(nil).U8(version).U64(0).Out())
	}
	if err != nil {
		return nil, fmt.Errorf("opening the guard file: %w", err)
	}
	r := wire.NewReader(f.Body())
	readVersion(r)
	g := &guard{file: f, batch: r.U64()}
	if err := readErr("guard", r); err != nil {
		_ = f.Close()
		return nil, err
	}
	return g, nil
}

// note remembers a commit that is on the disk.
func (g *guard) note(batch uint64) error {
	if batch == g.batch {
		return nil
	}
	if err := g.file.Replace(wire.NewWriter(nil).U8(version).U64(batch).Out()); err != nil {
		return fmt.Errorf("shelf: writing the guard file: %w", err)
	}
	g.batch = batch
	return nil
}

func (g *guard) close() error { return g.file.Close() }

// setAside moves tables that the manifest doesn't list out of Badger's way,
// which deletes them at opening. Most are left by a crash and hold nothing
// that isn't elsewhere; when a manifest was cut short they hold everything.
// What was set aside before is removed once an opening finds all in order.
func setAside(db, aside string, o badger.Options, log *slog.Logger) error {
	f, err := os.OpenFile(filepath.Join(db, badger.ManifestFilename), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening the manifest: %w", err)
	}
	m, _, err := badger.ReplayManifestFile(f, schema, o)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("reading the manifest: %w", err)
	}
	names, err := filepath.Glob(filepath.Join(db, "*.sst"))
	if err != nil {
		return fmt.Errorf("listing tables: %w", err)
	}
	var unlisted []string
	for _, name := range names {
		var id uint64
		if _, err := fmt.Sscanf(strings.TrimSuffix(filepath.Base(name), ".sst"), "%d", &id); err != nil {
			continue
		}
		if _, ok := m.Tables[id]; !ok {
			unlisted = append(unlisted, name)
		}
	}
	if err := os.RemoveAll(aside); err != nil {
		return fmt.Errorf("removing what was set aside: %w", err)
	}
	if len(unlisted) == 0 {
		return nil
	}
	log.Warn("tables that nothing refers to are set aside until the next start", "tables", len(unlisted))
	if err := os.Mkdir(aside, 0o700); err != nil {
		return fmt.Errorf("setting tables aside: %w", err)
	}
	for _, name := range unlisted {
		if err := os.Rename(name, filepath.Join(aside, filepath.Base(name))); err != nil {
			return fmt.Errorf("setting tables aside: %w", err)
		}
	}
	return nil
}
