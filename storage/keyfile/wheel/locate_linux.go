package wheel

import (
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"rushlight/storage/twoslot"
)

const (
	flagJournal = 0x00004000 // FS_JOURNAL_DATA_FL
	flagNoCOW   = 0x00800000 // FS_NOCOW_FL

	ioctlFiemap = 0xC020660B // FS_IOC_FIEMAP
	fiemapSync  = 1
	// Extents that are elsewhere, shared, packed or not known yet.
	fiemapBad = 0x2 | 0x4 | 0x8 | 0x100 | 0x200 | 0x400 | 0x800 | 0x2000
)

// fiemap is struct fiemap of linux/fiemap.h with room for a few extents.
type fiemap struct {
	start, length                  uint64
	flags, mapped, count, reserved uint32
	extents                        [8]struct {
		logical, physical, length uint64
		_                         [2]uint64
		flags                     uint32
		_                         [3]uint32
	}
}

// locate asks the filesystem where the file's two slots are, and whether it
// overwrites them there. It needs no privilege.
func locate(path string) site {
	f, err := os.Open(path)
	if err != nil {
		return site{problem: "the key file can't be opened"}
	}
	defer func() { _ = f.Close() }()
	if problem := filesystem(f); problem != "" {
		return site{problem: problem}
	}
	m := fiemap{length: 2 * twoslot.SlotSize, flags: fiemapSync}
	m.count = uint32(len(m.extents))
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), ioctlFiemap, uintptr(unsafe.Pointer(&m))); errno != 0 {
		return site{problem: "the filesystem doesn't say where files are"}
	}
	var s site
	for _, x := range m.extents[:min(m.mapped, m.count)] {
		if x.flags&fiemapBad != 0 {
			s.problem = "the key file shares its place on the disk with a copy, or has none of its own"
		}
		for i := range s.place {
			if at := uint64(i) * twoslot.SlotSize; x.logical <= at && at+twoslot.SlotSize <= x.logical+x.length {
				s.place[i] = x.physical + at - x.logical
			}
		}
	}
	if s.problem == "" && (s.place[0] == 0 || s.place[1] == 0) {
		s.problem = "the filesystem doesn't say where the key file is"
	}
	return s
}

// filesystem says why the filesystem doesn't overwrite f in place.
func filesystem(f *os.File) string {
	fd := int(f.Fd())
	var sfs unix.Statfs_t
	var st unix.Stat_t
	if unix.Fstatfs(fd, &sfs) != nil || unix.Fstat(fd, &st) != nil {
		return "the filesystem doesn't say what it is"
	}
	flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	if err != nil {
		flags = 0
	}
	switch uint32(sfs.Type) {
	case unix.EXT4_SUPER_MAGIC: // and ext2, ext3
		if err != nil || flags&flagJournal != 0 {
			return "the filesystem keeps a journal of what is written"
		}
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			return "it isn't known how the filesystem is mounted"
		}
		return journal(string(mounts), fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)))
	case unix.XFS_SUPER_MAGIC:
		return ""
	case unix.BTRFS_SUPER_MAGIC:
		if err != nil || flags&flagNoCOW == 0 {
			return "the filesystem writes changes to a new place"
		}
		return ""
	}
	return "it isn't known that this filesystem overwrites files where they stand"
}

// journal looks the device up in mountinfo (proc(5)).
func journal(mountinfo, device string) string {
	found := false
	for line := range strings.Lines(mountinfo) {
		mount, super, ok := strings.Cut(line, " - ")
		fields, options := strings.Fields(mount), strings.Fields(super)
		if !ok || len(fields) < 3 || fields[2] != device || len(options) < 3 {
			continue
		}
		found = true
		for _, o := range strings.Split(options[2], ",") {
			if o == "data=journal" {
				return "the filesystem keeps a journal of what is written"
			}
		}
	}
	if !found {
		return "it isn't known how the filesystem is mounted"
	}
	return ""
}
