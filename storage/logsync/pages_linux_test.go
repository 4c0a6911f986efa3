package logsync

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sys/unix"
)

// present is how many pages of a mapping this process has.
func present(t *testing.T, at, size uintptr) (n int) {
	t.Helper()
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		t.Skip("needs /proc/self/pagemap: ", err)
	}
	defer f.Close()
	page := uintptr(os.Getpagesize())
	b := make([]byte, size/page*8)
	if _, err := f.ReadAt(b, int64(at/page*8)); err != nil {
		t.Fatal(err)
	}
	for ; len(b) > 0; b = b[8:] {
		n += int(binary.NativeEndian.Uint64(b) >> 63)
	}
	return n
}

func addressOf(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// recordsOf is the value of each record of a transaction, which is 256 KiB.
func recordsOf(n int) [64][]byte {
	var all [64][]byte
	for i := range all {
		h := sha256.Sum256(fmt.Appendf(nil, "%d/%d", n, i))
		all[i] = bytes.Repeat(h[:], 128)
	}
	return all
}

func recordKey(n, i int) []byte { return fmt.Appendf(nil, "%04d/%02d", n, i) }

// verify reads transactions 0 to end.
func verify(db *badger.DB, end int) error {
	return db.View(func(tx *badger.Txn) error {
		for n := range end {
			for i, want := range recordsOf(n) {
				it, err := tx.Get(recordKey(n, i))
				if err != nil {
					return fmt.Errorf("record %d of %d: %w", i, n, err)
				}
				if err := it.Value(func(got []byte) error {
					if !bytes.Equal(got, want) {
						return fmt.Errorf("record %d of %d is another", i, n)
					}
					return nil
				}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func openDatabase(t *testing.T, dir string) *badger.DB {
	t.Helper()
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil).WithSyncWrites(false).
		WithMemTableSize(2 << 20).WithValueThreshold(8 << 10).WithNumMemtables(1))
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// What was written leaves the mapping of the log that Badger writes, through
// many logs and beside readers, and neither the database nor a copy of its files
// misses anything.
func TestPagesLeave(t *testing.T) {
	dir := t.TempDir()
	db := openDatabase(t, dir)
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const end = 60
	read, synced := make(chan error, end), make(chan error, 1)
	synced <- nil
	logs, before, after := map[uint64]bool{}, 0, 0
	for n := range end {
		err := db.Update(func(tx *badger.Txn) error {
			for i, v := range recordsOf(n) {
				if err := tx.Set(recordKey(n, i), v); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		newest, err := l.newest()
		if err != nil {
			t.Fatal(err)
		}
		at, size := mapped(l.path(newest))
		if size == 0 {
			t.Fatal("the log isn't found among the mappings")
		}
		logs[newest] = true
		before += present(t, at, size)
		l.Written(64 * 4096)
		after += present(t, at, size)
		if l.pages.number != newest || l.pages.at != at || l.pages.size != size {
			t.Fatalf("log %d at %x: %+v", newest, at, l.pages)
		}
		if n%10 == 0 {
			go func() { read <- verify(db, n) }()
		}
		if err := <-synced; err != nil {
			t.Fatal(err)
		}
		go func() { synced <- l.Sync() }() // beside the next transaction
	}
	if err := <-synced; err != nil {
		t.Error(err)
	}
	if l.pages.reclaim == nil {
		t.Skip("the kernel doesn't know MADV_PAGEOUT")
	}
	t.Logf("%d logs, %d pages were there, and %d afterwards", len(logs), before, after)
	if len(logs) < 4 || before < end*64 {
		t.Error("control: too few logs or pages")
	}
	// Some stay that another processor has just put on a list of its own.
	if after > before/2 {
		t.Error("the pages stay in the mapping")
	}
	if err := verify(db, end); err != nil {
		t.Error(err)
	}
	copied := t.TempDir()
	if err := os.CopyFS(filepath.Join(copied, "db"), os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	for range end / 10 {
		if err := <-read; err != nil {
			t.Error(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	other := openDatabase(t, filepath.Join(copied, "db"))
	if err := verify(other, end); err != nil {
		t.Error("the copy: ", err)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
}

// Reclaiming takes nothing from memory that isn't the log's either: a mistake
// about whose it is would cost time only.
func TestReclaimKeeps(t *testing.T) {
	const size = 1 << 20
	for _, flags := range []int{unix.MAP_PRIVATE | unix.MAP_ANON, unix.MAP_SHARED | unix.MAP_ANON} {
		b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, flags)
		if err != nil {
			t.Fatal(err)
		}
		for i := range b {
			b[i] = byte(i % 251)
		}
		if err := pageOut(addressOf(b), size); err != nil {
			t.Skip("the kernel doesn't know MADV_PAGEOUT: ", err)
		}
		for i := range b {
			if b[i] != byte(i%251) {
				t.Fatalf("flags %x: byte %d is gone", flags, i)
			}
		}
		// Control: other advice would have destroyed it.
		if err := unix.Madvise(b, unix.MADV_DONTNEED); err != nil {
			t.Fatal(err)
		}
		if flags&unix.MAP_PRIVATE != 0 && b[1] != 0 {
			t.Error("control: the memory can't be lost")
		}
		if err := unix.Munmap(b); err != nil {
			t.Fatal(err)
		}
	}
}

// The log is found again when Badger has begun others, and little is asked for
// nothing.
func TestAsked(t *testing.T) {
	x := newTraced(t)
	var asked []uintptr
	var answer error
	x.pages.reclaim = func(at, size uintptr) error {
		if size != 4*page { // of five that were written
			t.Errorf("%d bytes", size)
		}
		asked = append(asked, at)
		return answer
	}
	mapLog := func(n, prot, flags int) uintptr {
		if err := os.WriteFile(x.path(n), bytes.Repeat([]byte{7}, 5*page), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(x.path(n), 8*page); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(x.path(n), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		b, err := unix.Mmap(int(f.Fd()), 0, 8*page, prot, flags)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Munmap(b) })
		return addressOf(b)
	}
	write := func(size int, want ...uintptr) {
		t.Helper()
		asked = nil
		x.Written(size)
		if fmt.Sprint(asked) != fmt.Sprint(want) {
			t.Errorf("asked for %x, want %x", asked, want)
		}
	}
	write(least) // a log, but not mapped
	const both = unix.PROT_READ | unix.PROT_WRITE
	mapLog(2, unix.PROT_READ, unix.MAP_SHARED)
	write(least) // only to be read
	mapLog(3, both, unix.MAP_PRIVATE)
	write(least) // somebody's own copy
	four := mapLog(4, both, unix.MAP_SHARED)
	write(least - 1)
	write(least, four)
	write(least, four)
	seven := mapLog(7, both, unix.MAP_SHARED)
	for n := range 5 { // those between came and went
		_ = os.Remove(x.path(n))
	}
	answer = errors.New("no such advice")
	write(least, seven)
	write(least) // not again
}
