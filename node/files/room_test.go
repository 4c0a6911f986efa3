package files

import (
	"bytes"
	"errors"
	"io"
	"sync/atomic"
	"testing"

	"rushlight/protocol/file"
	"rushlight/protocol/message"
	"rushlight/storage"
)

// unread fails a test when somebody reads it.
type unread struct{ t *testing.T }

func (u unread) ReadAt([]byte, int64) (int, error) {
	u.t.Error("it was read")
	return 0, io.ErrUnexpectedEOF
}

func (u unread) Read(b []byte) (int, error) { return u.ReadAt(b, 0) }

// What can't be kept is refused before any of it is read.
func TestNoRoomToSend(t *testing.T) {
	var free atomic.Int64
	free.Store(1 << 50)
	n := newNode(t, func(m *Manager) { m.free = free.Load })
	refused := func(size int64, want error) {
		t.Helper()
		if _, _, err := n.Seal(t.Context(), []Source{{Name: "a", Size: size, ReaderAt: unread{t}}}); !errors.Is(err, want) {
			t.Errorf("sending %d bytes: %v", size, err)
		}
		if _, err := n.Stage(t.Context(), "a", size, unread{t}); !errors.Is(err, want) {
			t.Errorf("taking in %d bytes: %v", size, err)
		}
		if k := n.onDisk(); k != 0 {
			t.Errorf("%d files are left", k)
		}
	}
	refused(file.MaxSize+1, ErrTooLarge)
	free.Store(1 << 20)
	refused(1<<20+1, storage.ErrNoSpace)
	content := random(1, 1<<20)
	if _, done, err := n.Seal(t.Context(), []Source{{Name: "a", Size: 1 << 20, ReaderAt: bytes.NewReader(content)}}); err != nil {
		t.Errorf("what just fits: %v", err)
	} else {
		done(true)
	}
}

// What takes more than a quarter of the free disk isn't fetched unasked, and
// what doesn't fit isn't even then. What was begun goes on when the disk has
// less room than before, as it must have.
func TestLarge(t *testing.T) {
	const size = 20 << 20
	var free atomic.Int64
	a, b := newNode(t), newNode(t, func(m *Manager) { m.free = free.Load })
	id, second := message.ID{1}, message.ID{2}
	content, other := random(1, size), random(2, size)
	free.Store(4*size - 1)
	b.e.put(id, false, a.sealed(id, content)...)
	b.meet(a)
	is := func(want State) {
		t.Helper()
		b.eventually(func() bool { _, s := b.Have(id, 0); return s == want }, string(want))
	}
	is(Left)
	if all := b.Transfers(); len(all) != 1 || all[0].State != Left || b.onDisk() != 0 {
		t.Errorf("%+v, %d files", all, b.onDisk())
	}
	free.Store(size - 1)
	if err := b.Want(t.Context(), id, 0); !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("asking for what doesn't fit: %v", err)
	}
	if err := b.Fetch(t.Context(), id, 0); !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("waiting for what doesn't fit: %v", err)
	}
	is(Left)
	free.Store(size)
	if err := b.Want(t.Context(), id, 0); err != nil {
		t.Error(err)
	}
	b.has(id, 0, content)

	free.Store(4 * size)
	b.e.put(second, false, a.sealed(second, other)...)
	b.eventually(func() bool { h, _ := b.Have(second, 0); return h > 0 }, "some of it is here")
	b.stop()
	free.Store(3 * size)
	b.start()
	b.meet(a)
	b.has(second, 0, other)
}
