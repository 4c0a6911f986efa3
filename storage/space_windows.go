package storage

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

func measure(dir string) (room, error) {
	r := room{bytes: -1, inodes: -1, files: -1}
	p, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return r, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(p, &free, nil, nil); err != nil {
		return r, err
	}
	r.bytes = int64(min(free, 1<<62))
	return r, nil
}

func allocate(*os.File, int64) error { return errors.ErrUnsupported }

func isNoSpace(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) ||
		errors.Is(err, windows.ERROR_TOO_MANY_OPEN_FILES)
}

func isReadOnlyFS(err error) bool { return errors.Is(err, windows.ERROR_WRITE_PROTECT) }
