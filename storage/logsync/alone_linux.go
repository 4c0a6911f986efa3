package logsync

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Alone says that syncing a file brings what was written to it through a
// mapping to the disk. On Linux it does what msync does, with the whole file.
const Alone = true

func sync(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err != unix.EINTR {
			return err
		}
	}
}

// removed reports whether a file has no name any more.
func removed(f *os.File) (bool, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return false, fmt.Errorf("looking at the log: %w", err)
	}
	return st.Nlink == 0, nil
}
