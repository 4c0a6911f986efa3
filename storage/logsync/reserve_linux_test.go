package logsync

import (
	"bytes"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// written is a log that was written up to some place, larger than anything that
// is reserved in it.
func written(t *testing.T, to int) (*Log, *os.File) {
	t.Helper()
	dir := t.TempDir()
	x := &traced{t: t}
	x.Log = &Log{dir: dir}
	x.make(1)
	f, err := os.OpenFile(x.path(1), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if !journals(f) {
		t.Skip("the file system is none of those where room is made")
	}
	if err := f.Truncate(64 << 20); err != nil {
		t.Fatal(err)
	}
	write(t, f, 0, to)
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l, f
}

func write(t *testing.T, f *os.File, from, to int) {
	t.Helper()
	if _, err := f.WriteAt(bytes.Repeat([]byte{7}, to-from), int64(from)); err != nil {
		t.Fatal(err)
	}
}

// blocks is how much of the disk the log has.
func blocks(t *testing.T, f *os.File) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}

// commit syncs what somebody wrote as so many transactions.
func commit(t *testing.T, l *Log, n int) {
	t.Helper()
	for range n {
		if err := l.Sync(); err != nil {
			t.Fatal(err)
		}
	}
}

// A log that small transactions are written to has blocks before they are
// needed, again and again, and nothing in it changes.
func TestReserve(t *testing.T) {
	l, f := written(t, 100)
	commit(t, l, few-1)
	if got := blocks(t, f); got > 2*page {
		t.Errorf("control: %d bytes", got)
	}
	commit(t, l, 1)
	l.room.close()
	if got := blocks(t, f); got < window || got > 2*window {
		t.Errorf("%d bytes of blocks", got)
	}
	at := 100
	for range 20 {
		to := at + few*small*3/4
		write(t, f, at, to)
		at = to
		commit(t, l, few)
		l.room.close()
		if end := endOf(f, 0); end < int64(at) || end > int64(at)+page {
			t.Fatalf("what was written to %d is said to end at %d", at, end)
		}
		if got := blocks(t, f); got < int64(at)+window/2-page || got > int64(at)+2*window {
			t.Fatalf("%d bytes of blocks for %d", got, at)
		}
	}
	b := make([]byte, 64<<20)
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b[:at], bytes.Repeat([]byte{7}, at)) || !bytes.Equal(b[at:], make([]byte, len(b)-at)) {
		t.Error("the log isn't what was written to it")
	}
}

// Where transactions are large no block is written twice; and the end is found
// wherever it is.
func TestNoReserve(t *testing.T) {
	l, f := written(t, 100)
	at := 100
	for range 8 {
		to := at + few*small + page
		write(t, f, at, to)
		at = to
		commit(t, l, few)
		l.room.close()
		if got := blocks(t, f); got > int64(at)+window/2 {
			t.Fatalf("%d bytes of blocks for %d", got, at)
		}
		for from := int64(0); from < int64(at); from += 37 * page {
			if end := endOf(f, from); end < int64(at) || end > int64(at)+page {
				t.Fatalf("from %d on, what was written to %d is said to end at %d", from, at, end)
			}
		}
	}
}

// What is written while room is made for it stays.
func TestReserveBesideWrites(t *testing.T) {
	_, f := written(t, 0)
	m, err := unix.Mmap(int(f.Fd()), 0, 16<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(m) //nolint:errcheck // of a test
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := int64(0); i < 16; i++ {
			fill(f, i<<20, (i+1)<<20)
		}
	}()
	for i := range m {
		m[i] = byte(i%251) + 1
	}
	<-done
	for i, x := range m {
		if x != byte(i%251)+1 {
			t.Fatalf("byte %d is %d", i, x)
		}
	}
	b := make([]byte, len(m))
	if _, err := f.ReadAt(b, 0); err != nil || !bytes.Equal(b, m) {
		t.Error("the file isn't what was written to it", err)
	}
}

// A log that ends, or is taken away, before there is room in it.
func TestReserveBeyond(t *testing.T) {
	l, f := written(t, 100)
	if err := f.Truncate(window); err != nil {
		t.Fatal(err)
	}
	commit(t, l, few)
	l.room.close()
	if got := blocks(t, f); got > 2*page {
		t.Errorf("%d bytes of blocks", got)
	}
	fill(f, 2*window, 3*window) // after its end
	if st, err := f.Stat(); err != nil || st.Size() != window {
		t.Error(st.Size(), err)
	}
	if err := os.Remove(f.Name()); err != nil {
		t.Fatal(err)
	}
	commit(t, l, 2*few)
}
