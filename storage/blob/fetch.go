package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"os"

	"rushlight/protocol/file"
	"rushlight/storage"
)

// Scan finds what is there of a file that isn't whole, by its content: nothing
// else is noted anywhere.
func (b *Blob) Scan(ctx context.Context) error {
	if b.Whole() {
		return nil
	}
	buf := make([]byte, file.Slot)
	st, err := b.f.Stat()
	if err != nil {
		return storage.Cause(err, "blob: reading")
	}
	for i := b.layout.Pieces(); i > b.layout.Chunks() && ctx.Err() == nil; i-- {
		b.scan(buf, i-1, st.Size())
	}
	for i := range b.layout.Chunks() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		b.scan(buf, i, st.Size())
	}
	return ctx.Err()
}

func (b *Blob) scan(buf []byte, i uint32, size int64) {
	n := b.layout.Sealed(i)
	if b.layout.Offset(i)+int64(n) > size || !b.Known(i) || b.begun(i) < n {
		return
	}
	if sealed, err := b.ReadPart(buf, i, 0); err == nil {
		_ = b.check(i, sealed) // what isn't right is fetched
	}
}

// Begun is how many bytes of a missing piece were written, in whole parts. They
// may be wrong.
func (b *Blob) Begun(i uint32) int {
	if n := b.begun(i); n < b.layout.Sealed(i) {
		return n
	}
	return 0 // all of it is there and not right
}

// begun counts the parts that end in something else than what a file is where
// nothing was written.
func (b *Blob) begun(i uint32) (n int) {
	var end [32]byte
	for total := b.layout.Sealed(i); n < total; {
		next := min(n+file.PartSize, total)
		if _, err := b.f.ReadAt(end[:], b.layout.Offset(i)+int64(next-len(end))); err != nil || end == [32]byte{} {
			break
		}
		n = next
	}
	return n
}

// WritePart writes a part of a missing piece, unchecked.
func (b *Blob) WritePart(i uint32, offset int, part []byte) error {
	if _, err := b.f.WriteAt(part, b.layout.Offset(i)+int64(offset)); err != nil {
		return storage.Cause(err, "blob: writing")
	}
	b.disk.wrote(len(part))
	return nil
}

// Check takes the whole of a piece (spec §15.4): [file.ErrPiece] if it is not the right one.
// It must be written, or be written next, by [Blob.WritePart].
func (b *Blob) Check(i uint32, sealed []byte) error { return b.check(i, sealed) }

func (b *Blob) check(i uint32, sealed []byte) error {
	name := file.NameOf(sealed)
	first, n := b.layout.Children(i)
	var content []byte
	if n > 0 {
		var err error
		if content, err = b.layout.Open(nil, b.key, i, sealed); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left == 0 || b.have.Has(i) {
		return nil
	}
	if !b.known.Has(i) || len(sealed) != b.layout.Sealed(i) || name != b.names[i] {
		return fmt.Errorf("%w: it has another name", file.ErrPiece)
	}
	for c := range n {
		b.names[first+c] = file.Name(content[32*c:])
		b.known.Add(first + c)
	}
	b.have.Add(i)
	b.left--
	if i < b.layout.Chunks() {
		b.bytes += uint64(b.layout.Plain(i))
	}
	return nil
}

// Forget is called when what was written of a piece turned out to be wrong.
func (b *Blob) Forget(i uint32) error {
	return b.WritePart(i, 0, make([]byte, b.layout.Sealed(i)))
}

// Finish makes a file whole for good once all of its pieces are there: they
// are on the disk when it returns.
func (b *Blob) Finish() error {
	if !b.Whole() {
		return fmt.Errorf("blob: the file isn't whole")
	}
	if err := b.disk.finish(); err != nil {
		return err
	}
	name := b.dir.name(b.place)
	if err := os.Rename(name+partial, name); err != nil {
		return storage.Cause(err, "blob: saving")
	}
	return syncDir(b.dir.path)
}

// syncDir makes changes of names durable, where the system knows how.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return storage.Cause(err, "blob: saving")
	}
	_ = d.Sync() // not every system can
	return d.Close()
}

// Sum computes the hash of a file while its chunks come.
type Sum struct {
	b    *Blob
	h    hash.Hash
	next uint32
	buf  []byte
}

// NewSum begins with the first chunk.
func (b *Blob) NewSum() *Sum {
	return &Sum{b: b, h: sha256.New(), buf: make([]byte, file.Slot)}
}

// Next is the chunk that comes next.
func (s *Sum) Next() uint32 { return s.next }

// Chunk takes chunk i, just checked, if it is the next one. It may overwrite
// sealed.
func (s *Sum) Chunk(i uint32, sealed []byte) error {
	if i != s.next {
		return nil
	}
	return s.add(sealed)
}

func (s *Sum) add(sealed []byte) error {
	plain, err := s.b.layout.Open(sealed[:0], s.b.key, s.next, sealed)
	if err != nil {
		return err
	}
	s.h.Write(plain)
	s.next++
	return nil
}

// Follow takes the chunks that are there and were not taken, in order, up to
// the first one that is missing, and at most n.
func (s *Sum) Follow(ctx context.Context, n int) error {
	for ; n > 0 && s.next < s.b.layout.Chunks() && s.b.Has(s.next); n-- {
		if err := ctx.Err(); err != nil {
			return err
		}
		sealed, err := s.b.ReadPart(s.buf, s.next, 0)
		if err != nil {
			return err
		}
		if err := s.add(sealed); err != nil {
			return err
		}
	}
	return nil
}

// Is reports whether all chunks were taken and have the hash.
func (s *Sum) Is(want [32]byte) bool {
	return s.next == s.b.layout.Chunks() && bytes.Equal(s.h.Sum(nil), want[:])
}
