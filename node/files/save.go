package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"rushlight/node/engine"
	"rushlight/protocol/file"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/blob"
	"rushlight/storage/record"
)

// What saving a file is refused for.
var (
	ErrNotHere = errors.New("files: the file is not here yet")
	ErrFalse   = errFalse
	// ErrExists: there is something under that name, which stays.
	ErrExists = errors.New("files: there is a file of that name already")
)

// Kind is what a file really is; empty as long as its beginning is not here.
func (m *Manager) Kind(id message.ID, nth int) string {
	m.mu.Lock()
	h := m.heldLocked(ref{id, nth})
	if h == nil || h.kind != "" {
		defer m.mu.Unlock()
		if h == nil {
			return ""
		}
		return h.kind
	}
	place := h.place
	m.mu.Unlock()
	if !m.cfg.Dir.Whole(place) {
		return ""
	}
	o, err := m.Open(id, nth)
	if err != nil {
		return ""
	}
	defer func() { _ = o.Close() }()
	head := make([]byte, headSize)
	n, err := o.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	kind := Kind(head[:n])
	m.mu.Lock()
	defer m.mu.Unlock()
	if h := m.heldLocked(ref{id, nth}); h != nil {
		h.kind = kind
	}
	return kind
}

// Opened is a whole file, readable from anywhere. Its methods may not be called
// from several goroutines at once.
type Opened struct {
	File message.File
	b    *blob.Blob
	buf  []byte
	at   int64  // which chunk is open, -1 for none
	now  []byte // what it holds
}

// Open opens a file of a message: [ErrNotHere], engine.ErrUnknownMessage.
func (m *Manager) Open(id message.ID, nth int) (*Opened, error) {
	a, err := m.cfg.Engine.AttachedTo(id)
	if err != nil {
		return nil, err
	}
	if nth < 0 || nth >= len(a.Files) {
		return nil, engine.ErrUnknownMessage
	}
	return m.openFile(a.Files[nth])
}

func (m *Manager) openFile(f message.File) (*Opened, error) {
	if !m.cfg.Dir.Whole(f.Key.Place()) {
		return nil, ErrNotHere
	}
	b, err := m.cfg.Dir.Open(f.Key, f.Size, f.Root)
	if err != nil {
		return nil, err
	}
	return &Opened{File: f, b: b, buf: make([]byte, file.Slot), at: -1}, nil
}

// Close gives up the file, and what of it is in memory.
func (o *Opened) Close() error {
	clear(o.buf)
	return o.b.Close()
}

// ReadAt implements [io.ReaderAt].
func (o *Opened) ReadAt(dst []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	for n < len(dst) {
		if uint64(off) >= o.File.Size {
			return n, io.EOF
		}
		if i := off / file.ChunkSize; i != o.at {
			o.at = -1
			if o.now, err = o.b.ReadChunk(o.buf, uint32(i)); err != nil {
				return n, fmt.Errorf("files: opening what is here: %w", err)
			}
			o.at = i
		}
		k := copy(dst[n:], o.now[off%file.ChunkSize:])
		n, off = n+k, off+int64(k)
	}
	return n, nil
}

// WriteTo implements [io.WriterTo].
func (o *Opened) WriteTo(w io.Writer) (n int64, err error) {
	o.at = -1
	for i := range o.b.Layout().Chunks() {
		plain, err := o.b.ReadChunk(o.buf, i)
		if err != nil {
			return n, fmt.Errorf("files: opening what is here: %w", err)
		}
		k, err := w.Write(plain)
		if n += int64(k); err != nil {
			return n, err
		}
	}
	return n, nil
}

// mayFit returns storage.ErrNoSpace for a file of which nothing is here yet and
// which doesn't fit on the disk.
func (m *Manager) mayFit(id message.ID, nth int) error {
	m.mu.Lock()
	h := m.heldLocked(ref{id, nth})
	if h == nil {
		m.mu.Unlock()
		return nil
	}
	size, place := h.size, h.place
	m.mu.Unlock()
	if m.cfg.Dir.Begun(place) {
		return nil // what is missing fits or doesn't
	}
	return m.fits(int64(size))
}

// Fetch says that a file is wanted, and waits until it is here:
// storage.ErrNoSpace for one that doesn't fit.
func (m *Manager) Fetch(ctx context.Context, id message.ID, nth int) error {
	_, s := m.Have(id, nth)
	m.mu.Lock()
	h := m.heldLocked(ref{id, nth})
	mine := h != nil && h.mine
	m.mu.Unlock()
	if s == "" {
		return engine.ErrUnknownMessage
	} else if mine && s != Done {
		return ErrNotHere // this device was restored, and nobody else has it
	} else if s != Done && s != Failed {
		if err := m.mayFit(id, nth); err != nil {
			return err
		}
		if err := m.wish(ctx, id, nth, record.FileWanted); err != nil {
			return err
		}
	}
	c := make(chan struct{}, 1)
	m.mu.Lock()
	m.changed[c] = struct{}{}
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		delete(m.changed, c)
		m.mu.Unlock()
	}()
	for {
		switch _, s := m.Have(id, nth); s {
		case Done:
			return nil
		case Failed:
			return ErrFalse
		case Cancelled:
			return ErrCancelled
		case "":
			return engine.ErrUnknownMessage
		case Preparing, Waiting, Running, Left:
		}
		select {
		case <-c:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Want asks for a file that isn't fetched, or isn't any more; it comes when it
// does: engine.ErrUnknownMessage, [ErrFalse], storage.ErrNoSpace.
func (m *Manager) Want(ctx context.Context, id message.ID, nth int) error {
	switch _, s := m.Have(id, nth); s {
	case "":
		return engine.ErrUnknownMessage
	case Failed:
		return ErrFalse
	case Done:
		return nil
	case Preparing, Waiting, Running, Left, Cancelled:
	}
	if err := m.mayFit(id, nth); err != nil {
		return err
	}
	return m.wish(ctx, id, nth, record.FileWanted)
}

func (m *Manager) wish(ctx context.Context, id message.ID, nth int, wish record.FileWish) error {
	if err := m.cfg.Engine.WishFile(ctx, id, nth, wish); err != nil {
		return err
	}
	m.mu.Lock()
	r := ref{id, nth}
	h := m.heldLocked(r)
	if h != nil {
		h.wish = wish
	}
	f := m.in[r]
	m.mu.Unlock()
	if wish == record.FileLeft && f != nil {
		f.cancel(ErrCancelled)
		<-f.ended
	}
	if wish == record.FileLeft && h != nil && !h.mine {
		m.mu.Lock()
		m.waiting[r] = struct{}{}
		m.mu.Unlock()
	}
	m.announce()
	m.kick()
	return nil
}

// Cancel stops fetching a file, and deletes what has come of it. It is fetched
// again when somebody asks for it.
func (m *Manager) Cancel(ctx context.Context, id message.ID, nth int) error {
	m.mu.Lock()
	h := m.heldLocked(ref{id, nth})
	var place blob.Place
	mine := false
	if h != nil {
		place, mine = h.place, h.mine
	}
	m.mu.Unlock()
	switch {
	case h == nil:
		return engine.ErrUnknownMessage
	case mine || m.cfg.Dir.Whole(place):
		return ErrNotOnItsWay
	}
	if err := m.wish(ctx, id, nth, record.FileLeft); err != nil {
		return err
	}
	m.mu.Lock()
	if h := m.heldLocked(ref{id, nth}); h != nil {
		h.have = 0
	}
	m.mu.Unlock()
	return m.cfg.Dir.Remove(place)
}

// ErrNotOnItsWay: there is nothing to cancel.
var ErrNotOnItsWay = errors.New("files: it is not on its way here")

// Save writes a file of a message that is here to path, which is a folder or
// the name of a file that doesn't exist yet, and returns its name.
func (m *Manager) Save(ctx context.Context, id message.ID, nth int, path string) (name string, err error) {
	o, err := m.Open(id, nth)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	name = path
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		name = filepath.Join(path, SafeName(o.File.Name, m.Kind(id, nth)))
	}
	return name, write(ctx, name, o)
}

// write makes a new file of a name, all of it or none.
func write(ctx context.Context, name string, o *Opened) (err error) {
	if _, err := os.Lstat(name); err == nil {
		return ErrExists
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".rushlight-*")
	if err != nil {
		return storage.Cause(err, "files: saving")
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = o.WriteTo(&untilDone{ctx, f})
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return storage.Cause(err, "files: saving")
	}
	mark(f.Name())
	// A link is made only where there is nothing.
	err = os.Link(f.Name(), name)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = claimAndRename(f.Name(), name)
	}
	if errors.Is(err, fs.ErrExist) {
		return ErrExists
	}
	return storage.Cause(err, "files: saving")
}

// claimAndRename is for file systems that have no links.
func claimAndRename(from, to string) error {
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Rename(from, to))
}

// untilDone writes until a context ends.
type untilDone struct {
	ctx context.Context //nolint:containedctx // for one call
	w   io.Writer
}

func (u *untilDone) Write(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.w.Write(b)
}
