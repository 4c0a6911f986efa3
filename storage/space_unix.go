//go:build linux || darwin

package storage

import (
	"errors"

	"golang.org/x/sys/unix"
)

func statfs(dir string) (room, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return room{}, err
	}
	r := room{bytes: int64(st.Bavail) * int64(st.Bsize), inodes: -1, files: -1}
	if st.Files > 0 { // some filesystems have no fixed number
		r.inodes = int64(st.Ffree)
	}
	return r, nil
}

func isNoSpace(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) ||
		errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE)
}

func isReadOnlyFS(err error) bool { return errors.Is(err, unix.EROFS) }
