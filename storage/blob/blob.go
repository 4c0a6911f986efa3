// Package blob keeps the sealed pieces of files (spec §15), one file each, in a
// directory of its own beside the store.
//
// It is not a store of keys and holds none: whoever reads a message has the key
// of its files, and when that is destroyed with the message nobody can open
// what is here, or tell what it was, whether or not it is deleted. It promises
// that a file which is said to be whole was found whole, and is on the disk;
// that what was written of one that isn't is found again after a crash, piece
// by piece, and that no piece is counted which isn't the right one.
package blob

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"rushlight/protocol/file"
	"rushlight/storage"
)

// Place is the name of a file in the directory; see file.Key.Place.
type Place = [16]byte

// Dir is the directory.
type Dir struct {
	path  string
	spare int64
}

// partial ends the name of a file that isn't whole.
const partial = ".part"

// Open opens the directory, and makes it. spare is how many bytes are left free
// on its disk.
func Open(path string, spare int64) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, storage.Cause(err, "blob: making the directory")
	}
	return &Dir{path: path, spare: spare}, nil
}

func (d *Dir) name(p Place) string { return filepath.Join(d.path, fmt.Sprintf("%x", p)) }

// List calls fn for every file in the directory.
func (d *Dir) List(fn func(p Place, whole bool)) error {
	list, err := os.ReadDir(d.path)
	if err != nil {
		return storage.Cause(err, "blob: reading the directory")
	}
	for _, e := range list {
		name, part := strings.CutSuffix(e.Name(), partial)
		var p Place
		if n, err := fmt.Sscanf(name, "%x", (*placeText)(&p)); n != 1 || err != nil || fmt.Sprintf("%x", p) != name {
			continue
		}
		fn(p, !part)
	}
	return nil
}

// placeText scans the hexadecimal form of a place.
type placeText Place

// Scan implements [fmt.Scanner].
func (p *placeText) Scan(s fmt.ScanState, _ rune) error {
	tok, err := s.Token(false, nil)
	if err != nil {
		return err
	}
	var b []byte
	if _, err := fmt.Sscanf(string(tok), "%x", &b); err != nil || len(b) != len(p) {
		return errors.Join(err, errors.New("blob: not a place"))
	}
	copy(p[:], b)
	return nil
}

// Remove deletes a file, whole or not. That there is none is no error.
func (d *Dir) Remove(p Place) error {
	var errs []error
	for _, name := range []string{d.name(p), d.name(p) + partial} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, storage.Cause(err, "blob: deleting"))
		}
	}
	return errors.Join(errs...)
}

// Whole reports whether there is the whole of a file.
func (d *Dir) Whole(p Place) bool {
	_, err := os.Lstat(d.name(p))
	return err == nil
}

// Begun reports whether something was kept of a file that isn't whole.
func (d *Dir) Begun(p Place) bool {
	_, err := os.Lstat(d.name(p) + partial)
	return err == nil
}

// Room returns storage.ErrNoSpace when n more bytes don't fit.
func (d *Dir) Room(n int64) error {
	free, err := storage.Free(d.path)
	if err != nil || free < 0 {
		return err
	}
	if n > free-d.spare {
		return fmt.Errorf("blob: %w", storage.ErrNoSpace)
	}
	return nil
}

// Free is how many bytes may still be written here.
func (d *Dir) Free() int64 {
	free, err := storage.Free(d.path)
	if err != nil || free < 0 {
		return 1 << 62
	}
	return max(0, free-d.spare)
}

// Blob is a file of the directory. Its methods may be called from many
// goroutines.
type Blob struct {
	dir    *Dir
	f      *os.File
	place  Place
	key    file.Key
	layout file.Layout
	disk   *flusher // of one that isn't whole

	mu    sync.Mutex
	names []file.Name // of pieces, as far as their parents are known
	known file.Set    // which names are known
	have  file.Set
	left  uint32 // how many pieces are missing
	bytes uint64 // of the file itself that are there
}

// Open opens a file, or begins one that isn't there. What there is of one that
// isn't whole is found by [Blob.Scan].
func (d *Dir) Open(k file.Key, size uint64, root file.Name) (*Blob, error) {
	l, err := file.NewLayout(size)
	if err != nil {
		return nil, err
	}
	b := &Blob{dir: d, place: k.Place(), key: k, layout: l}
	if b.f, err = os.OpenFile(d.name(b.place), os.O_RDONLY, 0); err == nil {
		b.bytes = size
		return b, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, storage.Cause(err, "blob: opening")
	}
	if b.f, err = os.OpenFile(d.name(b.place)+partial, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, storage.Cause(err, "blob: beginning")
	}
	b.disk = &flusher{f: b.f}
	b.names = make([]file.Name, l.Pieces())
	b.known, b.have, b.left = l.NewSet(), l.NewSet(), l.Pieces()
	b.names[l.Root()] = root
	b.known.Add(l.Root())
	return b, nil
}

// Close gives up the file.
func (b *Blob) Close() error {
	if b.disk != nil {
		b.disk.rest()
	}
	if err := b.f.Close(); err != nil {
		return storage.Cause(err, "blob: closing")
	}
	return nil
}

// Layout is how the file is divided.
func (b *Blob) Layout() file.Layout { return b.layout }

// Whole reports whether every piece is there.
func (b *Blob) Whole() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left == 0
}

// Bytes is how many bytes of the file itself are there.
func (b *Blob) Bytes() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes
}

// Has reports whether piece i is there.
func (b *Blob) Has(i uint32) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left == 0 || b.have.Has(i)
}

// Holds says what is there.
func (b *Blob) Holds() file.Has {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left == 0 {
		return file.Has{All: true}
	}
	return file.Has{Some: append(file.Set(nil), b.have...)}
}

// Wanted calls fn for every piece that is missing and whose name is known, the
// tree before the chunks, until fn returns false.
func (b *Blob) Wanted(fn func(i uint32) bool) {
	b.mu.Lock()
	if b.left == 0 {
		b.mu.Unlock()
		return
	}
	have, known := append(file.Set(nil), b.have...), append(file.Set(nil), b.known...)
	b.mu.Unlock()
	n, chunks := b.layout.Pieces(), b.layout.Chunks()
	for i := n; i > chunks; i-- {
		if known.Has(i-1) && !have.Has(i-1) && !fn(i-1) {
			return
		}
	}
	for i := range chunks {
		if known.Has(i) && !have.Has(i) && !fn(i) {
			return
		}
	}
}

// ReadPart reads piece i from an offset on into dst, which must hold it. Only
// what was checked is worth reading.
func (b *Blob) ReadPart(dst []byte, i uint32, offset int) ([]byte, error) {
	dst = dst[:b.layout.Sealed(i)-offset]
	if _, err := b.f.ReadAt(dst, b.layout.Offset(i)+int64(offset)); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, storage.Cause(err, "blob: reading")
	}
	return dst, nil
}

// ReadChunk opens chunk i into dst, which must have room for [file.Slot] bytes.
func (b *Blob) ReadChunk(dst []byte, i uint32) ([]byte, error) {
	sealed, err := b.ReadPart(dst, i, 0)
	if err != nil {
		return nil, err
	}
	return b.layout.Open(sealed[:0], b.key, i, sealed)
}

// Known reports whether the name of piece i is known.
func (b *Blob) Known(i uint32) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left == 0 || b.known.Has(i)
}

// Wants reports whether piece i is missing and its name known.
func (b *Blob) Wants(i uint32) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left > 0 && b.known.Has(i) && !b.have.Has(i)
}

// Raw is the file on the disk, for reading what isn't checked.
func (b *Blob) Raw() io.ReaderAt { return b.f }
