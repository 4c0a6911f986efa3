package shelf

import (
	"io/fs"

	"golang.org/x/sys/windows"
)

// freeBytes is the room on the disk of a directory; negative is unknown.
func freeBytes(dir string) (int64, error) {
	p, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return -1, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(p, &free, nil, nil); err != nil {
		return -1, err
	}
	return int64(min(free, 1<<62)), nil
}

func blocks(info fs.FileInfo) int64 { return info.Size() }
