package api

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// socketAddr gives an address of the socket in dir that is short enough. done
// is to be called after it was used.
func socketAddr(dir string) (addr string, done func(), err error) {
	path := filepath.Join(dir, SocketName)
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, fmt.Errorf("opening the profile directory: %w", err)
	}
	// A failure to close has no consequence.
	return fmt.Sprintf("/proc/self/fd/%d/%s", fd, SocketName), func() { _ = unix.Close(fd) }, nil
}
