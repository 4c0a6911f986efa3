//go:build !linux

package api

import "path/filepath"

var errLongPath = Errorf(CodeUsage, "the path of the profile directory is too long for a socket").
	WithHint("choose a shorter one with --dir")

// socketAddr gives the address of the socket in dir. done is to be called
// after it was used.
func socketAddr(dir string) (addr string, done func(), err error) {
	path := filepath.Join(dir, SocketName)
	if len(path) > maxSocketPath {
		return "", nil, errLongPath
	}
	return path, func() {}, nil
}
