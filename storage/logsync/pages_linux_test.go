package logsync

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"testing"
	"unsafe"

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

// What was written leaves the mapping of the newest log, through many logs and
// beside syncs and readers, and nothing of it is lost.
func TestPagesLeave(t *testing.T) {
	x := newTraced(t)
	l := x.Log
	l.syncFile = sync
	const logs, of, each = 5, 16, 64 * page
	before, after := 0, 0
	synced := make(chan error, 1)
	synced <- nil
	for n := 2; n < 2+logs; n++ {
		x.make(n)
		if err := os.Truncate(x.path(n), 2*of*each); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(x.path(n), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		m, err := unix.Mmap(int(f.Fd()), 0, 2*of*each, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Munmap(m) //nolint:errcheck // of a test
		var want []byte
		for i := range of {
			h := sha256.Sum256(fmt.Appendf(nil, "%d/%d", n, i))
			part := bytes.Repeat(h[:], (each+8*32)/32) // not whole pages
			copy(m[len(want):], part)
			want = append(want, part...)
			before += present(t, addressOf(m), uintptr(len(m)))
			l.Written(len(part))
			after += present(t, addressOf(m), uintptr(len(m)))
			if l.pages.at != addressOf(m) || l.pages.size != uintptr(len(m)) {
				t.Fatalf("log %d: %+v", n, l.pages)
			}
			if err := <-synced; err != nil {
				t.Fatal(err)
			}
			go func() { synced <- l.Sync() }() // beside the next transaction
			got, err := os.ReadFile(x.path(n))
			if err != nil || !bytes.Equal(got[:len(want)], want) || !bytes.Equal(m[:len(want)], want) {
				t.Fatalf("log %d isn't what was written to it: %v", n, err)
			}
		}
	}
	if err := <-synced; err != nil {
		t.Error(err)
	}
	if l.pages.reclaim == nil {
		t.Skip("the kernel doesn't know MADV_PAGEOUT")
	}
	t.Logf("%d pages were there, and %d afterwards", before, after)
	if before < logs*of*64 {
		t.Error("control: too few pages")
	}
	// Some stay that another processor has just put on a list of its own.
	if after > before/2 {
		t.Error("the pages stay in the mapping")
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
