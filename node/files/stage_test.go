package files

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"testing/iotest"
	"time"

	"rushlight/protocol/file"
	"rushlight/protocol/message"
)

func (n *node) stage(content []byte) string {
	n.t.Helper()
	id, err := n.Stage(n.t.Context(), "a.bin", int64(len(content)), bytes.NewReader(content))
	if err != nil {
		n.t.Fatal(err)
	}
	return id
}

// onDisk is how many files there are.
func (n *node) onDisk() int {
	n.t.Helper()
	list, err := os.ReadDir(n.dir)
	if err != nil {
		n.t.Fatal(err)
	}
	return len(list)
}

// sendStaged makes a message of a file that was taken in.
func (n *node) sendStaged(id message.ID, upload string, sent bool) message.File {
	n.t.Helper()
	src, c, err := n.Staged(upload)
	if err != nil {
		n.t.Fatal(err)
	}
	defer c.Close()
	out, done, err := n.Seal(n.t.Context(), []Source{src})
	if err != nil {
		n.t.Fatal(err)
	}
	if sent {
		n.e.put(id, true, out...)
	}
	done(sent)
	return out[0]
}

// A file that was taken in is sent as it was sealed, once: a second message
// gets it under a key of its own.
func TestStaged(t *testing.T) {
	a, b := newNode(t), newNode(t)
	b.meet(a)
	content := random(1, 3*file.ChunkSize+5)
	up := a.stage(content)
	failed := a.sendStaged(message.ID{}, up, false)
	if a.onDisk() != 1 {
		t.Fatal("a message that wasn't sent took the file with it")
	}
	first := a.sendStaged(message.ID{1}, up, true)
	if first.Key != failed.Key || a.onDisk() != 1 {
		t.Error("what is sealed was sealed again")
	}
	second := a.sendStaged(message.ID{2}, up, true)
	if second.Key == first.Key || a.onDisk() != 2 {
		t.Error("two messages share a key")
	}
	if err := a.Unstage(up); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Staged(up); !errors.Is(err, ErrNoUpload) {
		t.Error(err)
	}
	if err := a.Unstage(up); !errors.Is(err, ErrNoUpload) {
		t.Error(err)
	}
	for id, f := range map[message.ID]message.File{{1}: first, {2}: second} {
		if f.Name != "a.bin" || f.Type != "application/octet-stream" {
			t.Errorf("%s, %s", f.Name, f.Type)
		}
		b.e.put(id, false, f)
		b.has(id, 0, content)
	}
	if err := a.load(); err != nil || a.onDisk() != 2 {
		t.Errorf("%d files after a sweep: %v", a.onDisk(), err)
	}
	for id := range 2 {
		a.e.end(message.ID{byte(id + 1)})
	}
	a.eventually(func() bool { return a.onDisk() == 0 }, "the files end with their messages")
}

// Nothing is left of what isn't sent: dropped, cut off, too old, one too many,
// or when the daemon ends; and if it is killed, nobody has the key.
func TestStagedEnds(t *testing.T) {
	a := newNode(t)
	content := random(1, 2*file.ChunkSize)
	up := a.stage(content)
	if err := a.load(); err != nil || a.onDisk() != 1 {
		t.Fatalf("swept up while it is wanted: %v", err)
	}
	if err := a.Unstage(up); err != nil || a.onDisk() != 0 {
		t.Errorf("dropped: %v", err)
	}
	for name, r := range map[string]io.Reader{
		"cut off": io.MultiReader(bytes.NewReader(content[:70_000]), iotest.ErrReader(io.ErrUnexpectedEOF)),
		"broken":  io.MultiReader(bytes.NewReader(content), iotest.ErrReader(errors.New("broken"))),
	} {
		if _, err := a.Stage(t.Context(), "a", -1, r); err == nil || a.onDisk() != 0 {
			t.Errorf("%s: %v, %d files", name, err, a.onDisk())
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := a.Stage(ctx, "a", -1, io.MultiReader(bytes.NewReader(content), readerFunc(func(b []byte) (int, error) {
		cancel()
		return len(b), nil
	}))); !errors.Is(err, context.Canceled) || a.onDisk() != 0 {
		t.Errorf("cancelled: %v, %d files", err, a.onDisk())
	}
	for _, name := range []string{"", "..", "a/b", "a\\b", "a\nb", "a\x00"} {
		if _, err := a.Stage(t.Context(), name, -1, bytes.NewReader(content)); !errors.Is(err, message.ErrFileName) || a.onDisk() != 0 {
			t.Errorf("%q: %v", name, err)
		}
	}
	for range maxStaged + 3 {
		up = a.stage(content[:10])
	}
	if a.onDisk() != maxStaged {
		t.Errorf("%d are kept", a.onDisk())
	}
	a.unstageOld(time.Now().Add(stageLife / 2))
	if _, c, err := a.Staged(up); err != nil || c.Close() != nil {
		t.Error(err)
	}
	a.unstageOld(time.Now().Add(stageLife + time.Minute))
	if a.onDisk() != 0 {
		t.Errorf("%d are kept for ever", a.onDisk())
	}
	a.stage(content)
	a.stop()
	if a.onDisk() != 0 {
		t.Error("left when the daemon ended")
	}
	// A kill: what stands on the disk is found by no message, and deleted.
	d := a.cfg.Dir
	if _, err := d.Import(t.Context(), bytes.NewReader(content)); err != nil || a.onDisk() != 1 {
		t.Fatal(err)
	}
	a.start()
	a.eventually(func() bool { return a.onDisk() == 0 }, "what a kill left is deleted")
}

type readerFunc func(b []byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// No more are taken in at once than memory is meant for.
func TestTakingLimit(t *testing.T) {
	a := newNode(t)
	ends := make(chan struct{})
	done := make(chan error, maxTaking)
	for range maxTaking {
		go func() {
			_, err := a.Stage(context.WithoutCancel(t.Context()), "a", -1, readerFunc(func([]byte) (int, error) { <-ends; return 0, io.EOF }))
			done <- err
		}()
	}
	a.eventually(func() bool { a.Manager.mu.Lock(); defer a.Manager.mu.Unlock(); return a.taking == maxTaking }, "all are at it")
	if _, err := a.Stage(t.Context(), "a", -1, bytes.NewReader(nil)); !errors.Is(err, ErrTaking) {
		t.Error(err)
	}
	close(ends)
	for range maxTaking {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if a.onDisk() != maxTaking {
		t.Error("some are missing")
	}
}

// While a file is sealed, it is told how far that is.
func TestIntakes(t *testing.T) {
	a := newNode(t)
	content := random(1, 3*file.ChunkSize)
	var seen []Transfer
	src := Source{Name: "a.bin", Size: int64(len(content)), ReaderAt: readerAtFunc(func(b []byte, off int64) (int, error) {
		if off >= 2*file.ChunkSize && seen == nil {
			seen = a.Intakes()
		}
		return bytes.NewReader(content).ReadAt(b, off)
	})}
	_, done, err := a.Seal(t.Context(), []Source{src})
	if err != nil {
		t.Fatal(err)
	}
	done(false)
	if len(seen) != 1 || seen[0].Name != "a.bin" || seen[0].Size != uint64(len(content)) || seen[0].Have < file.ChunkSize || seen[0].Have >= uint64(len(content)) || seen[0].State != Preparing || !seen[0].Out {
		t.Errorf("%+v", seen)
	}
	if left := a.Intakes(); len(left) > 0 {
		t.Errorf("%+v", left)
	}
}

type readerAtFunc func(b []byte, off int64) (int, error)

func (f readerAtFunc) ReadAt(b []byte, off int64) (int, error) { return f(b, off) }
