package blob

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"rushlight/protocol/file"
	"rushlight/storage"
)

// Imported is a file that was sealed.
type Imported struct {
	Key    file.Key
	Size   uint64
	SHA256 [32]byte
	Root   file.Name
}

// ErrTooLarge: the file is larger than file.MaxSize.
var ErrTooLarge = errors.New("blob: the file is too large")

// Import reads a file to its end, seals it under a fresh key and keeps it:
// [ErrTooLarge], storage.ErrNoSpace. After an error nothing is left of it.
func (d *Dir) Import(ctx context.Context, r io.Reader) (*Imported, error) {
	in := &Imported{Key: file.NewKey()}
	p := in.Key.Place()
	name := d.name(p) + partial
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, storage.Cause(err, "blob: beginning")
	}
	disk := &flusher{f: f}
	if err = d.seal(ctx, disk, in, r); err == nil {
		err = disk.finish()
	}
	disk.rest()
	err = errors.Join(err, f.Close())
	if err == nil {
		err = storage.Cause(os.Rename(name, d.name(p)), "blob: saving")
	}
	if err == nil {
		err = syncDir(d.path)
	}
	if err != nil {
		_ = d.Remove(p)
		return nil, err
	}
	return in, nil
}

// chunk is one on its way from the reader to the disk.
type chunk struct {
	buf []byte // of file.ChunkSize
	n   int
}

// ahead is how many chunks are read ahead of sealing.
const ahead = 4

// seal reads and hashes in this goroutine, and seals and writes in another.
func (d *Dir) seal(ctx context.Context, disk *flusher, in *Imported, r io.Reader) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	full, empty := make(chan chunk, ahead), make(chan chunk, ahead)
	for range ahead {
		empty <- chunk{buf: make([]byte, file.ChunkSize)}
	}
	var names []file.Name
	done := make(chan struct{})
	go func() {
		defer close(done)
		w := sealer{disk: disk, key: in.Key, buf: make([]byte, 0, file.Slot)}
		for c := range full {
			if ctx.Err() == nil {
				if err := w.write(c.buf[:c.n]); err != nil {
					cancel(err)
				}
			}
			empty <- c
		}
		names = w.names
	}()
	err := d.read(ctx, in, r, full, empty)
	close(full)
	<-done
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	w := sealer{disk: disk, key: in.Key, buf: make([]byte, 0, file.Slot), names: names}
	return w.tree(in)
}

// read passes on chunks until the end. Each is full but the last, which is
// empty in an empty file alone.
func (d *Dir) read(ctx context.Context, in *Imported, r io.Reader, full chan<- chunk, empty <-chan chunk) error {
	h := sha256.New()
	for first := true; ; first = false {
		c := <-empty
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n, err := io.ReadFull(r, c.buf)
		end := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !end {
			return fmt.Errorf("blob: reading the file: %w", err)
		}
		if in.Size += uint64(n); in.Size > file.MaxSize {
			return ErrTooLarge
		}
		if in.Size%(64<<20) < file.ChunkSize {
			if err := d.Room(64 << 20); err != nil {
				return err
			}
		}
		h.Write(c.buf[:n])
		if c.n = n; n > 0 || first {
			full <- c
		}
		if end {
			h.Sum(in.SHA256[:0])
			return nil
		}
	}
}

// sealer writes sealed pieces one after another.
type sealer struct {
	disk  *flusher
	key   file.Key
	buf   []byte
	names []file.Name
}

func (w *sealer) write(plain []byte) error {
	var l file.Layout
	i := uint32(len(w.names))
	w.buf = l.Seal(w.buf[:0], w.key, i, plain)
	if _, err := w.disk.f.WriteAt(w.buf, l.Offset(i)); err != nil {
		return storage.Cause(err, "blob: writing")
	}
	w.disk.wrote(len(w.buf))
	w.names = append(w.names, file.NameOf(w.buf))
	return nil
}

// tree writes the names of all chunks, the names of those pieces, and so on.
func (w *sealer) tree(in *Imported) error {
	l, err := file.NewLayout(in.Size)
	if err != nil {
		return err
	}
	plain := make([]byte, 0, file.ChunkSize)
	for i := l.Chunks(); i < l.Pieces(); i++ {
		first, n := l.Children(i)
		plain = plain[:0]
		for c := first; c < first+n; c++ {
			plain = append(plain, w.names[c][:]...)
		}
		if err := w.write(plain); err != nil {
			return err
		}
	}
	in.Root = w.names[l.Root()]
	return nil
}
