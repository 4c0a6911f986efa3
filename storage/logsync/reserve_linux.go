package logsync

import (
	"bytes"
	"os"

	"golang.org/x/sys/unix"
)

const (
	page   = 4096
	window = 1 << 20 // bytes that are reserved at a time
	// few is after how many syncs a reserve looks at the log again, and small how
	// many bytes each of these may have brought. Half a window lasts for that.
	few   = 16
	small = window / 2 / few
)

// reserve gives the log its place on the disk before it is written. A log is a
// sparse file, written through a mapping: what comes into a block that it hasn't
// got yet makes the next fdatasync wait for the journal of the file system too,
// which takes as long again. Where all commits are small, as in a conversation,
// blocks are therefore had in advance; where they are large the journal costs
// little, and writing every block twice would cost more.
//
// Nothing is written into the log: the kernel is asked to make pages writable,
// which leaves what is in them (madvise(2), MADV_POPULATE_WRITE), and to write
// them. So it doesn't matter what Badger writes meanwhile, nor whether anything
// of this fails.
type reserve struct {
	syncs  int           // since the log was looked at
	end    int64         // where it ended then, to a page
	to     int64         // up to where it has blocks
	filled chan struct{} // closed when no filling is under way; nil: none was
}

// synced is told after each sync of a log.
func (r *reserve) synced(log *os.File) {
	if r.syncs++; r.syncs < few {
		return
	}
	before := r.end
	r.end = endOf(log, before)
	r.syncs = 0
	if r.end-before > few*small || r.to-r.end > window/2 || !journals(log) {
		return
	}
	select {
	case <-r.filled:
	default:
		if r.filled != nil {
			return
		}
	}
	from := max(r.end, r.to)
	r.to = r.end + window
	// With a file of its own: an error that is met here must not be taken for
	// said by the next sync, which has to meet it too.
	f, err := os.OpenFile(log.Name(), os.O_RDWR, 0)
	if err != nil {
		return // it has been removed
	}
	r.filled = make(chan struct{})
	go func(filled chan struct{}, to int64) {
		defer close(filled)
		defer f.Close() //nolint:errcheck // nothing was written through it
		fill(f, from, to)
	}(r.filled, r.to)
}

// close waits until nothing is under way.
func (r *reserve) close() {
	if r.filled != nil {
		<-r.filled
	}
}

// endOf finds the first page in which nothing was written, given one at or
// before it. Pages are written one after the other, and what Badger writes isn't
// zeros.
func endOf(log *os.File, at int64) int64 {
	var b [64]byte
	used := func(at int64) bool {
		n, _ := log.ReadAt(b[:], at)
		return !bytes.Equal(b[:n], make([]byte, n))
	}
	last := int64(0) // it is used so much before at
	for step := int64(page); used(at); step *= 2 {
		at += step
		last = step
	}
	for last > page {
		last /= 2
		if !used(at - last) {
			at -= last
		}
	}
	return at
}

// fill makes the file system give blocks to a part of the log.
func fill(f *os.File, from, to int64) {
	st, err := f.Stat()
	if err != nil || st.Size() < to {
		return
	}
	w, err := unix.Mmap(int(f.Fd()), from, int(to-from), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return
	}
	err = unix.Madvise(w, unix.MADV_POPULATE_WRITE)
	if unix.Munmap(w) != nil || err != nil {
		return // an older kernel, or a full disk
	}
	const all = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	_ = unix.SyncFileRange(int(f.Fd()), from, to-from, all) // what isn't written now is with the next sync
}

// journals tells whether a file is on a file system that writes in place and
// has a journal: on others nothing is to be gained.
func journals(f *os.File) bool {
	var st unix.Statfs_t
	return unix.Fstatfs(int(f.Fd()), &st) == nil && (st.Type == unix.EXT4_SUPER_MAGIC || st.Type == unix.XFS_SUPER_MAGIC)
}
