package logsync

import (
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
