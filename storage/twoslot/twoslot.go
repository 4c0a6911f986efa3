// Package twoslot keeps one small record in a file that is overwritten in
// place, so that replacing it can physically destroy what it replaced.
//
// It is not a log and has no cache: one File belongs to one goroutine of one
// process. It promises that after a crash at any point [Open] finds either the
// record before or the record after the write that was cut off, and that a
// damaged slot is never returned as a record. It knows nothing of keys: what
// must be secret or authentic is sealed by the caller.
package twoslot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

// SlotSize is the size of one slot in bytes; a file is two slots.
const SlotSize = 4096

// MaxBody is the largest record in bytes.
const MaxBody = SlotSize - 8 - 2 - sumSize

const sumSize = 32

const labelSum suite.Label = "rushlight/twoslot/sum/1"

// ErrDamaged is returned by [Open] when the file has the wrong size or neither
// slot holds a record.
var ErrDamaged = errors.New("twoslot: no slot holds a whole record")

// File is an open two-slot file.
type File struct {
	f     *os.File
	cur   int
	gen   uint64
	body  []byte
	other bool // the other slot holds a valid, older record
}

// Create makes a new file holding body and opens it. The file appears whole or
// not at all; fs.ErrExist when there is one already.
func Create(path string, body []byte) (*File, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("creating two-slot file: %w", fs.ErrExist)
	}
	tmp := path + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("creating two-slot file: %w", err)
	}
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("creating two-slot file: %w", err)
	}
	setInPlace(f)
	both := append(encode(1, body), make([]byte, SlotSize)...)
	suite.Random(both[SlotSize:])
	_, err = f.WriteAt(both, 0)
	if err == nil {
		err = f.Sync()
	}
	// Closed before the rename, which some systems ask for.
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err == nil {
		err = SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return nil, fmt.Errorf("creating two-slot file: %w", err)
	}
	return Open(path)
}

// Open reads the newest record. It changes nothing.
func Open(path string) (*File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("opening two-slot file: %w", err)
	}
	var both [2 * SlotSize]byte
	st, err := f.Stat()
	if err == nil && st.Size() != int64(len(both)) {
		err = ErrDamaged
	}
	if err == nil {
		_, err = f.ReadAt(both[:], 0)
	}
	t := &File{f: f}
	if err == nil {
		err = t.pick(both[:SlotSize], both[SlotSize:])
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("opening two-slot file: %w", err)
	}
	return t, nil
}

func (t *File) pick(a, b []byte) error {
	ga, ba, erra := decode(a)
	gb, bb, errb := decode(b)
	switch {
	case erra != nil && errb != nil:
		return ErrDamaged
	case errb != nil || (erra == nil && ga > gb):
		t.cur, t.gen, t.body, t.other = 0, ga, ba, errb == nil
	case erra != nil || gb > ga:
		t.cur, t.gen, t.body, t.other = 1, gb, bb, erra == nil
	default: // two records of one generation are never written
		return ErrDamaged
	}
	return nil
}

// Body returns the newest record.
func (t *File) Body() []byte { return append([]byte(nil), t.body...) }

// Older reports whether the other slot still holds the record before.
func (t *File) Older() bool { return t.other }

// Replace writes body into the other slot and waits until it is on the disk.
// The record before stays in its slot until [File.Scrub] or the next Replace.
// After an error either of the two may be found by the next Open.
func (t *File) Replace(body []byte) error {
	next := 1 - t.cur
	if err := t.write(next, encode(t.gen+1, body)); err != nil {
		return err
	}
	t.cur, t.gen, t.body, t.other = next, t.gen+1, append([]byte(nil), body...), true
	return nil
}

// Scrub overwrites the slot that isn't current with random bytes and waits
// until they are on the disk.
func (t *File) Scrub() error {
	noise := make([]byte, SlotSize)
	suite.Random(noise)
	if err := t.write(1-t.cur, noise); err != nil {
		return err
	}
	t.other = false
	return nil
}

// Close closes the file and forgets the record.
func (t *File) Close() error {
	clear(t.body)
	return t.f.Close()
}

func (t *File) write(i int, b []byte) error {
	_, err := t.f.WriteAt(b, int64(i)*SlotSize)
	if err == nil {
		err = t.f.Sync()
	}
	if err != nil {
		return fmt.Errorf("writing slot: %w", err)
	}
	return nil
}

// Destroy overwrites a file, damaged or not, with random bytes and removes it.
func Destroy(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("destroying two-slot file: %w", err)
	}
	noise := make([]byte, 2*SlotSize)
	suite.Random(noise)
	_, err = f.WriteAt(noise, 0)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		return fmt.Errorf("destroying two-slot file: %w", err)
	}
	return nil
}

// encode lays out one slot: gen u64 ‖ body vec16 ‖ zeros ‖ sum[32], where sum
// is the hash of everything before it.
func encode(gen uint64, body []byte) []byte {
	if len(body) > MaxBody {
		panic("twoslot: record over MaxBody")
	}
	out := make([]byte, SlotSize)
	wire.NewWriter(out[:0]).U64(gen).Vec16(body)
	sum := suite.Hash(labelSum, out[:SlotSize-sumSize])
	copy(out[SlotSize-sumSize:], sum[:])
	return out
}

func decode(b []byte) (gen uint64, body []byte, err error) {
	r := wire.NewReader(b)
	gen = r.U64()
	body = r.Vec16(MaxBody)
	pad := r.Bytes(r.Len() - sumSize)
	sum := r.Bytes(sumSize)
	for _, p := range pad {
		if p != 0 {
			r.Fail("padding isn't zero")
		}
	}
	if gen == 0 {
		r.Fail("generation is zero")
	}
	if err := r.Close(); err != nil {
		return 0, nil, err
	}
	if want := suite.Hash(labelSum, b[:SlotSize-sumSize]); !suite.Equal(want[:], sum) {
		return 0, nil, ErrDamaged
	}
	return gen, append([]byte(nil), body...), nil
}
