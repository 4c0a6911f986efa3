package files

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"rushlight/protocol/message"
	"rushlight/protocol/suite"
	"rushlight/storage/blob"
)

// A file that comes over a door is taken in before it belongs to a message. It
// is sealed like any other, and its key is in memory alone: when the daemon
// ends, however it does, nobody can open it.

// Limits of what is taken in.
const (
	maxStaged = 64
	stageLife = 12 * time.Hour
	maxTaking = 8 // files that are taken in at once
)

// What taking in a file is refused for.
var (
	ErrNoUpload = errors.New("files: there is no such upload any more")
	ErrTaking   = errors.New("files: too many files are taken in at once")
)

// staged is one that was taken in.
type staged struct {
	id      string
	name    string
	in      blob.Imported
	since   time.Time
	adopted bool // a message has it, and its key
}

// Stage reads a file to its end and keeps it under a name that nobody can
// guess, until [Manager.Unstage]. Its size is negative when it isn't known. Of
// the oldest of too many, and of one that is kept for long, nothing is left.
// Errors are message.ErrFileName, [ErrTaking], [ErrTooLarge] and what the disk
// says; nothing is left after any.
func (m *Manager) Stage(ctx context.Context, name string, size int64, r io.Reader) (id string, err error) {
	if err := message.CheckFileName(name); err != nil {
		return "", err
	}
	if err := m.fits(size); err != nil {
		return "", err
	}
	m.mu.Lock()
	if m.taking >= maxTaking {
		m.mu.Unlock()
		return "", ErrTaking
	}
	m.taking++
	m.mu.Unlock()
	m.beginImport()
	defer func() {
		m.mu.Lock()
		m.taking--
		m.importing--
		m.mu.Unlock()
	}()
	in, err := m.cfg.Dir.Import(ctx, whole{r})
	if err != nil {
		return "", fmt.Errorf("files: taking in a file: %w", err)
	}
	var random [16]byte
	suite.Random(random[:])
	s := &staged{id: hex.EncodeToString(random[:]), name: name, in: *in, since: time.Now()}
	m.mu.Lock()
	m.staged[s.id] = s
	m.mu.Unlock()
	m.unstageOld(time.Now())
	return s.id, nil
}

// whole tells a file that was cut off from one that ends.
type whole struct{ io.Reader }

var errCut = errors.New("files: it was cut off")

func (w whole) Read(b []byte) (int, error) {
	n, err := w.Reader.Read(b)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errCut
	}
	return n, err
}

// unstageOld forgets what was kept for long, and the oldest of too many.
func (m *Manager) unstageOld(now time.Time) {
	for {
		m.mu.Lock()
		var oldest *staged
		for _, s := range m.staged {
			if oldest == nil || s.since.Before(oldest.since) {
				oldest = s
			}
		}
		over := oldest != nil && (len(m.staged) > maxStaged || now.Sub(oldest.since) > stageLife)
		m.mu.Unlock()
		if !over || m.Unstage(oldest.id) != nil {
			return
		}
	}
}

// Unstage forgets a file that was taken in: [ErrNoUpload].
func (m *Manager) Unstage(id string) error {
	m.mu.Lock()
	s := m.staged[id]
	delete(m.staged, id)
	keep := s != nil && s.adopted
	m.mu.Unlock()
	switch {
	case s == nil:
		return ErrNoUpload
	case keep:
		return nil // it ends with the message
	}
	return m.cfg.Dir.Remove(s.in.Key.Place())
}

// unstageAll is for the end of [Manager.Run].
func (m *Manager) unstageAll() {
	m.mu.Lock()
	var all []string
	for id := range m.staged {
		all = append(all, id)
	}
	m.mu.Unlock()
	for _, id := range all {
		if err := m.Unstage(id); err != nil {
			m.log.Warn("a file that wasn't sent could not be deleted; it can't be opened any more", "err", err)
		}
	}
}

// Staged opens a file that was taken in, to be sent: [ErrNoUpload]. Close it
// afterwards.
func (m *Manager) Staged(id string) (Source, io.Closer, error) {
	m.mu.Lock()
	s := m.staged[id]
	m.mu.Unlock()
	if s == nil || !m.cfg.Dir.Whole(s.in.Key.Place()) {
		return Source{}, nil, ErrNoUpload
	}
	f := message.File{Name: s.name, Size: s.in.Size, SHA256: s.in.SHA256, Key: s.in.Key, Root: s.in.Root}
	o, err := m.openFile(f)
	if err != nil {
		return Source{}, nil, err
	}
	return Source{Name: s.name, Size: int64(s.in.Size), ReaderAt: o, staged: s}, o, nil
}

// adopt returns what was sealed when a file was taken in, if that is what is
// sent, and nothing has its key yet.
func (m *Manager) adopt(s *staged, c Change) *blob.Imported {
	if s == nil || c != Unchanged {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.adopted || m.staged[s.id] != s {
		return nil
	}
	s.adopted = true
	in := s.in
	return &in
}

// adopted tells what became of a message that was to have s.
func (m *Manager) adopted(s *staged, sent bool) {
	if sent {
		return
	}
	m.mu.Lock()
	s.adopted = false
	gone := m.staged[s.id] != s
	m.mu.Unlock()
	if gone {
		_ = m.cfg.Dir.Remove(s.in.Key.Place()) // swept up later
	}
}

// adopts reports whether a file that is sent is the one that was taken in.
func (s Source) adopts(f *message.File) bool { return s.staged != nil && s.staged.in.Key == f.Key }

// Kind is the type that a source looks like.
func (s Source) Kind() (string, error) {
	head := make([]byte, min(s.Size, headSize))
	if _, err := s.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return Kind(head), nil
}
