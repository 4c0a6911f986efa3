package twoslot

import (
	"os"

	"golang.org/x/sys/unix"
)

const noCOW = 0x00800000 // FS_NOCOW_FL

// setInPlace asks a copy-on-write filesystem to overwrite the file's blocks
// where they are. It works only while the file is empty, and filesystems
// without the attribute refuse it.
func setInPlace(f *os.File) {
	fd := int(f.Fd())
	flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	if err != nil {
		return
	}
	_ = unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, flags|noCOW)
}
