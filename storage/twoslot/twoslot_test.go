package twoslot

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func body(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }

func TestReplaceAndReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f, err := Create(path, body(1, 100))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(path, body(9, 1)); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("second Create: %v", err)
	}
	for i := byte(2); i < 10; i++ {
		if err := f.Replace(body(i, int(i)*400)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if f, err = Open(path); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(f.Body(), body(i, int(i)*400)) || !f.Older() {
			t.Fatalf("generation %d: wrong record", i)
		}
	}
	if err := f.Scrub(); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, body(8, 64)) {
		t.Fatal("the scrubbed record is still in the file")
	}
	if !bytes.Contains(raw, body(9, 64)) {
		t.Fatal("control: the live record isn't in the file")
	}
}

// A write that stops anywhere leaves the record before or the one after.
func TestTornWrite(t *testing.T) {
	old, next := encode(5, body(1, 700)), encode(6, body(2, 900))
	for cut := 0; cut <= SlotSize; cut += 97 {
		for _, under := range [][]byte{encode(4, body(3, 50)), bytes.Repeat([]byte{0xA5}, SlotSize)} {
			torn := append(append([]byte(nil), next[:cut]...), under[cut:]...)
			var f File
			if err := f.pick(old, torn); err != nil {
				t.Fatalf("cut %d: %v", cut, err)
			}
			if !bytes.Equal(f.body, body(1, 700)) && !bytes.Equal(f.body, body(2, 900)) {
				t.Fatalf("cut %d: a third record", cut)
			}
		}
	}
}

func TestDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f, err := Create(path, body(1, 100))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < SlotSize; i += 13 {
		bad := bytes.Clone(raw)
		bad[i] ^= 0x10
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	for _, n := range []int{0, 1, SlotSize, 2*SlotSize - 1} {
		if err := os.WriteFile(path, raw[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); !errors.Is(err, ErrDamaged) {
			t.Fatalf("length %d: %v", n, err)
		}
	}
}

func TestDestroy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f, err := Create(path, body(1, 100))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := Destroy(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	raw := make([]byte, 2*SlotSize) // through the handle that was open
	if _, err := f.f.ReadAt(raw, 0); err != nil || bytes.Contains(raw, body(1, 64)) {
		t.Fatalf("the record is still there (%v)", err)
	}
}

func FuzzSlot(f *testing.F) {
	f.Add(encode(1, nil))
	f.Add(encode(1<<40, body(7, MaxBody)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) != SlotSize {
			return
		}
		gen, body, err := decode(b)
		if err == nil && !bytes.Equal(encode(gen, body), b) {
			t.Fatal("a slot has two spellings")
		}
	})
}
