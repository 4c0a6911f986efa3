package blob_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"rushlight/protocol/file"
	"rushlight/storage"
	"rushlight/storage/blob"
)

func random(seed byte, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{seed})
	_, _ = r.Read(b)
	return b
}

func open(t *testing.T, spare int64) *blob.Dir {
	t.Helper()
	d, err := blob.Open(filepath.Join(t.TempDir(), "files"), spare)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func imported(t *testing.T, d *blob.Dir, content []byte) *blob.Imported {
	t.Helper()
	in, err := d.Import(t.Context(), bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if in.SHA256 != sha256.Sum256(content) || in.Size != uint64(len(content)) {
		t.Fatalf("imported %d bytes of %d, or another hash", in.Size, len(content))
	}
	return in
}

func get(t *testing.T, d *blob.Dir, in *blob.Imported) *blob.Blob {
	t.Helper()
	b, err := d.Open(in.Key, in.Size, in.Root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func contents(t *testing.T, b *blob.Blob) (out []byte) {
	t.Helper()
	buf := make([]byte, file.Slot)
	for i := range b.Layout().Chunks() {
		plain, err := b.ReadChunk(buf, i)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, plain...)
	}
	return out
}

func TestImport(t *testing.T) {
	d := open(t, 0)
	for _, n := range []int{0, 1, 4096, file.ChunkSize - 1, file.ChunkSize, file.ChunkSize + 1, 9*file.ChunkSize + 5} {
		want := random(1, n)
		b := get(t, d, imported(t, d, want))
		if got := contents(t, b); !bytes.Equal(got, want) || !b.Whole() || b.Bytes() != uint64(n) {
			t.Errorf("%d bytes: read %d, whole %v", n, len(got), b.Whole())
		}
	}
}

// fetch copies n missing pieces from one to the other.
func fetch(t *testing.T, to, from *blob.Blob, n int) {
	t.Helper()
	for range n {
		at, ok := uint32(0), false
		to.Wanted(func(i uint32) bool { at, ok = i, true; return false })
		if !ok {
			return
		}
		piece, err := from.ReadPart(make([]byte, file.Slot), at, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := to.WritePart(at, 0, piece); err != nil {
			t.Fatal(err)
		}
		if err := to.Check(at, piece); err != nil {
			t.Fatal(err)
		}
	}
}

// What was written before a crash is found again, and only that.
func TestResume(t *testing.T) {
	d, e := open(t, 0), open(t, 0)
	want := random(2, 9*file.ChunkSize+5)
	in := imported(t, d, want)
	from := get(t, d, in)

	first := get(t, e, in)
	fetch(t, first, from, 5) // the root and four chunks
	// Of the next there are two parts.
	piece, err := from.ReadPart(make([]byte, file.Slot), 4, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.WritePart(4, 0, piece[:2*file.PartSize]); err != nil {
		t.Fatal(err)
	}
	// Of another one all, and it is wrong.
	piece[100] ^= 1
	if err := first.WritePart(6, 0, piece); err != nil {
		t.Fatal(err)
	}
	if err := first.Check(6, piece); !errors.Is(err, file.ErrPiece) {
		t.Errorf("a wrong piece: %v", err)
	}

	again := get(t, e, in)
	if err := again.Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again.Bytes() != 4*file.ChunkSize || again.Begun(4) != 2*file.PartSize || again.Begun(5) != 0 || again.Begun(6) != 0 || again.Has(6) {
		t.Errorf("found %d bytes, and %d, %d, %d of the next", again.Bytes(), again.Begun(4), again.Begun(5), again.Begun(6))
	}
	if err := again.Forget(6); err != nil {
		t.Fatal(err)
	}
	if err := again.Finish(); err == nil {
		t.Error("finished with holes")
	}
	fetch(t, again, from, 100)
	sum := again.NewSum()
	if err := sum.Follow(t.Context(), 1<<20); err != nil || !sum.Is(in.SHA256) || sum.Is([32]byte{1}) {
		t.Errorf("hash: %v", err)
	}
	if err := again.Finish(); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, get(t, e, in)); !bytes.Equal(got, want) {
		t.Error("another content")
	}
}

func TestListRemove(t *testing.T) {
	d := open(t, 0)
	a, b := imported(t, d, []byte("a")), imported(t, d, []byte("b"))
	if err := d.Remove(b.Key.Place()); err != nil {
		t.Fatal(err)
	}
	get(t, d, b)
	got := map[blob.Place]bool{}
	if err := d.List(func(p blob.Place, whole bool) { got[p] = whole }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || !got[a.Key.Place()] || got[b.Key.Place()] || !d.Whole(a.Key.Place()) || d.Whole(b.Key.Place()) {
		t.Errorf("%v", got)
	}
}

// A file that doesn't fit leaves nothing.
func TestNoRoom(t *testing.T) {
	path := t.TempDir()
	d, err := blob.Open(path, 1<<60)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Import(t.Context(), bytes.NewReader([]byte("x"))); !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("%v", err)
	}
	if list, _ := os.ReadDir(path); len(list) > 0 {
		t.Errorf("%d files are left", len(list))
	}
}

func BenchmarkImport(b *testing.B) {
	d, err := blob.Open(b.TempDir(), 0)
	if err != nil {
		b.Fatal(err)
	}
	content := random(3, 64<<20)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		in, err := d.Import(b.Context(), bytes.NewReader(content))
		if err != nil {
			b.Fatal(err)
		}
		_ = d.Remove(in.Key.Place())
	}
}
