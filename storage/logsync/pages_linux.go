package logsync

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// least is from how many bytes on Written pays: asking costs as much as the
// interrupts for a few pages.
const least = 32 << 10

// pages is where Badger has mapped its log.
type pages struct {
	number   uint64
	at, size uintptr // zero when it isn't known
	end      int64   // where the log ended at the last look, to a page
	reclaim  func(at, size uintptr) error
}

func newPages() pages { return pages{reclaim: pageOut} }

// Written makes the next Sync cheaper and changes nothing else. It is called
// when the database has a transaction of about so many bytes, before it is given
// another; a Sync of what came before may be under way.
//
// Before it writes a page to the disk, the kernel takes away the right to write
// to it through the mapping, and interrupts all processors on which the process
// runs, for each page anew. MADV_PAGEOUT takes many pages out of the mapping with
// one interrupt. It asks for memory to be reclaimed, and what is dirty stays
// until it is on the disk, so no memory loses what it holds, whoever it belongs
// to. It is the log's all the same: Badger unmaps a log only after it has begun
// another or is closed, and neither happens here. And as nobody writes to these
// pages meanwhile, no processor can change one that it still has in its cache of
// the mapping after the kernel has noted it as clean.
func (l *Log) Written(bytes int) {
	p := &l.pages
	if bytes < least || p.reclaim == nil {
		return
	}
	if !exists(l.path(p.number)) || exists(l.path(p.number+1)) {
		number, err := l.newest()
		if err != nil {
			return
		}
		p.number, p.end = number, 0
		p.at, p.size = mapped(l.path(number))
	}
	// The page on which Badger goes on stays: a kernel short of memory may drop
	// it once it is on the disk, and would have to read it again.
	f, err := os.Open(l.path(p.number))
	if err != nil {
		return
	}
	p.end = endOf(f, p.end)
	_ = f.Close()
	if size := min(p.size, uintptr(p.end)); size > page && p.reclaim(p.at, size-page) != nil {
		p.reclaim = nil // an older kernel
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// mapped is where this process has mapped a whole file to write to it, or zero
// when that isn't known.
func mapped(path string) (at, size uintptr) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, 0
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return 0, 0
	}
	device := fmt.Sprintf("%02x:%02x", unix.Major(st.Dev), unix.Minor(st.Dev))
	inode := strconv.FormatUint(st.Ino, 10)
	for line := range strings.Lines(string(maps)) {
		// Addresses, rights, offset, device, inode, path.
		f := strings.Fields(line)
		if len(f) < 5 || f[1] != "rw-s" || f[2] != "00000000" || f[3] != device || f[4] != inode {
			continue
		}
		var end uintptr
		if _, err := fmt.Sscanf(f[0], "%x-%x", &at, &end); err != nil {
			return 0, 0
		}
		return at, end - at
	}
	return 0, 0
}

// pageOut asks the kernel to reclaim memory.
func pageOut(at, size uintptr) error {
	if _, _, errno := unix.Syscall(unix.SYS_MADVISE, at, size, unix.MADV_PAGEOUT); errno != 0 {
		return errno
	}
	return nil
}
