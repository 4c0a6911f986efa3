package storage

import "golang.org/x/sys/unix"

// blocks is what a file takes of the disk.
func blocks(path string) (int64, error) {
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	return st.Blocks * 512, err
}
