package backup

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
	"rushlight/storage/keyfile"
)

// ErrDamaged: the file isn't a backup, or it was altered or cut short.
var ErrDamaged = errors.New("backup: the file is damaged, or no backup")

// ErrVersion: a newer version of the program wrote the backup.
var ErrVersion = errors.New("backup: the backup needs a newer version")

const labelHeader suite.Label = "rushlight/backup/header/1"

// A file is header ‖ frame*. The header is "RLBK" ‖ version u8 ‖ slot
// (keyfile.NewSlot); a frame is last u8 ‖ vec24(box), where box is
// suite.SealBox of at most 64 KiB under the slot's key with associated data
// hash of the header[32] ‖ number of the frame u64 ‖ last. The last frame alone
// has last = 1, and nothing follows it.
const (
	magic     = "RLBK"
	version   = 1
	frameSize = 64 << 10
	frameHead = 4
)

// HeaderSize is how many bytes [Slot] reads.
const HeaderSize = len(magic) + 1 + keyfile.SlotSize

func header(slot []byte) []byte {
	return wire.NewWriter(nil).Raw([]byte(magic)).U8(version).Raw(slot).Out()
}

// frames is the place in a file.
type frames struct {
	key  [32]byte
	hash [32]byte // of the header
	n    uint64
}

func (f *frames) ad(last bool) []byte {
	return wire.NewWriter(make([]byte, 0, 41)).Raw(f.hash[:]).U64(f.n).Bool(last).Out()
}

// writer encrypts what is written to it.
type writer struct {
	frames
	w   io.Writer
	buf []byte
	err error
}

func newWriter(w io.Writer, slot []byte, key [32]byte) (*writer, error) {
	h := header(slot)
	if _, err := w.Write(h); err != nil {
		return nil, err
	}
	return &writer{frames: frames{key: key, hash: suite.Hash(labelHeader, h)}, w: w}, nil
}

func (w *writer) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 && w.err == nil {
		// A full frame waits until it is known not to be the last.
		if len(w.buf) == frameSize {
			w.flush(false)
		}
		take := min(len(b), frameSize-len(w.buf))
		w.buf, b = append(w.buf, b[:take]...), b[take:]
	}
	return n, w.err
}

func (w *writer) flush(last bool) {
	box := suite.SealBox(nil, w.key[:], w.ad(last), w.buf)
	frame := wire.NewWriter(make([]byte, 0, frameHead+len(box))).Bool(last).Vec24(box).Out()
	if _, err := w.w.Write(frame); err != nil {
		w.err = err
	}
	clear(w.buf)
	w.buf, w.n = w.buf[:0], w.n+1
}

// Close writes the last frame.
func (w *writer) Close() error {
	if w.err == nil {
		w.flush(true)
	}
	clear(w.key[:])
	return w.err
}

// reader decrypts a backup, and returns io.EOF only after a whole one.
type reader struct {
	frames
	r    *bufio.Reader
	buf  []byte
	rest []byte
	last bool
}

// Slot reads the header of a backup and returns the slot to open with a
// passphrase.
func Slot(r io.Reader) (slot []byte, err error) {
	h := make([]byte, HeaderSize)
	if _, err := io.ReadFull(r, h); err != nil {
		return nil, readFailed(err)
	}
	switch {
	case string(h[:len(magic)]) != magic || h[len(magic)] == 0:
		return nil, ErrDamaged
	case h[len(magic)] > version:
		return nil, ErrVersion
	}
	return h[len(magic)+1:], nil
}

// newReader reads what follows the header.
func newReader(r io.Reader, slot []byte, key [32]byte) *reader {
	return &reader{
		frames: frames{key: key, hash: suite.Hash(labelHeader, header(slot))},
		r:      bufio.NewReaderSize(r, frameSize+frameHead+suite.BoxOverhead),
	}
}

func (r *reader) Read(b []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.last {
			return 0, io.EOF
		}
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *reader) next() error {
	var head [frameHead]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return readFailed(err)
	}
	n := int(head[1])<<16 | int(head[2])<<8 | int(head[3])
	if head[0] > 1 || n < suite.BoxOverhead || n > frameSize+suite.BoxOverhead {
		return ErrDamaged
	}
	box := make([]byte, n)
	if _, err := io.ReadFull(r.r, box); err != nil {
		return readFailed(err)
	}
	r.last = head[0] == 1
	plain, err := suite.OpenBox(r.buf[:0], r.key[:], r.ad(r.last), box)
	if err != nil {
		return ErrDamaged
	}
	r.buf, r.rest = plain, plain
	r.n++
	if r.last {
		if _, err := r.r.ReadByte(); !errors.Is(err, io.EOF) {
			return ErrDamaged
		}
	}
	return nil
}

// readFailed tells the end of a file from a disk that can't read it.
func readFailed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrDamaged
	}
	return fmt.Errorf("backup: reading: %w", err)
}
