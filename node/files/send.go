package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"rushlight/protocol/file"
	"rushlight/protocol/message"
	"rushlight/protocol/wire"
	"rushlight/storage"
	"rushlight/storage/blob"
)

// Source is a file that is to be sent.
type Source struct {
	Name string // as it is called here, not a path
	Size int64
	io.ReaderAt
	Original bool // send it as it is
	Full     bool // don't make a picture smaller

	// Thumbnail shows an original, and what no thumbnail can be made of here; nil:
	// none.
	Thumbnail []byte

	staged *staged // what it was taken in as, of one that was
}

// Prepared is what is sent in place of a file.
type Prepared struct {
	Name      string // empty: as it is called here
	Type      string // empty: what it looks like
	Content   io.Reader
	Thumbnail []byte // at most message.MaxThumbnail bytes; nil: none
	Rest      []wire.Record
	Change    Change
	Size      int64 // of the content
}

// Change is what was made of a file that is sent.
type Change string

// The changes.
const (
	Unchanged Change = "none"    // nothing is known to be in it that tells of who made it
	Cleaned   Change = "cleaned" // that was taken out
	Scaled    Change = "scaled"  // and a picture made smaller
	Encoded   Change = "encoded" // a picture was written anew, in another format
)

// Prepare makes of a file what is sent. An error means that it isn't sent.
type Prepare func(ctx context.Context, src Source) (*Prepared, error)

// What sending a file is refused for.
var (
	ErrNotFile = errors.New("files: that is not a file")
	ErrNoFile  = errors.New("files: there is no such file, or it can't be read")
	// ErrTooLarge: the file is larger than file.MaxSize.
	ErrTooLarge = blob.ErrTooLarge
)

// Seal takes files in, so that a message can name them. done must be called
// once: with true when it was sent; otherwise nothing is left of them.
func (m *Manager) Seal(ctx context.Context, all []Source) (out []message.File, done func(sent bool), err error) {
	m.beginImport()
	done = func(sent bool) {
		for i := range out {
			switch {
			case all[i].adopts(&out[i]):
				m.adopted(all[i].staged, sent)
			case !sent:
				_ = m.cfg.Dir.Remove(out[i].Key.Place()) // swept up later
			}
		}
		m.mu.Lock()
		m.importing--
		m.mu.Unlock()
	}
	for _, src := range all {
		f, err := m.seal(ctx, src)
		if err != nil {
			done(false)
			return nil, nil, err
		}
		out = append(out, *f)
	}
	return out, done, nil
}

// beginImport keeps what is sealed from being swept up before it belongs to a
// message.
func (m *Manager) beginImport() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.importing++
	m.imports++
}

// fits says before anything is written that a file can't be kept here:
// [ErrTooLarge], storage.ErrNoSpace. A size that isn't known is negative.
func (m *Manager) fits(size int64) error {
	switch {
	case size > file.MaxSize:
		return ErrTooLarge
	case size > m.free():
		return fmt.Errorf("files: %w", storage.ErrNoSpace)
	}
	return nil
}

func (m *Manager) seal(ctx context.Context, src Source) (f *message.File, err error) {
	if src.staged == nil {
		if err := m.fits(src.Size); err != nil {
			return nil, err
		}
	}
	p := &Prepared{Content: io.NewSectionReader(src, 0, src.Size), Change: Unchanged, Size: src.Size, Thumbnail: src.Thumbnail}
	if m.cfg.Prepare != nil && !src.Original {
		if p, err = m.cfg.Prepare(ctx, src); err != nil {
			return nil, err
		}
	}
	if p.Name == "" {
		p.Name = src.Name
	}
	if err := message.CheckFileName(p.Name); err != nil {
		return nil, err
	}
	content, taken := m.takingIn(src.Name, p.Size, p.Content)
	defer taken()
	head := &sniffer{r: content}
	if src.staged != nil && p.Type == "" {
		if p.Type, err = src.Kind(); err != nil {
			return nil, err
		}
	}
	in := m.adopt(src.staged, p.Change) // it was sealed when it was taken in, and nobody has the key
	if in == nil {
		if in, err = m.cfg.Dir.Import(ctx, head); err != nil {
			return nil, err
		}
	}
	if p.Type == "" {
		p.Type = Kind(head.head)
	}
	return &message.File{
		Name: p.Name, Type: p.Type, Size: in.Size, SHA256: in.SHA256, Key: in.Key, Root: in.Root, Thumbnail: p.Thumbnail, Rest: p.Rest,
	}, nil
}

// sniffer keeps the beginning of what is read through it.
type sniffer struct {
	r    io.Reader
	head []byte
}

func (s *sniffer) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if room := headSize - len(s.head); room > 0 {
		s.head = append(s.head, b[:min(n, room)]...)
	}
	return n, err
}

// OpenSource opens a file of this machine to be sent. Close it afterwards.
func OpenSource(path string) (Source, io.Closer, error) {
	f, err := openRegular(path)
	if err != nil {
		return Source{}, nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = ErrNotFile
	}
	if err != nil {
		return Source{}, nil, errors.Join(err, f.Close())
	}
	return Source{Name: filepath.Base(path), Size: st.Size(), ReaderAt: f}, f, nil
}

// openRegular doesn't wait for the other end of a pipe.
func openRegular(path string) (*os.File, error) {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission):
		return nil, ErrNoFile
	case err != nil:
		return nil, fmt.Errorf("files: looking at a file: %w", err)
	case !st.Mode().IsRegular():
		return nil, ErrNotFile
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, ErrNoFile
	}
	return f, nil
}
