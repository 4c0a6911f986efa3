//go:build linux || darwin

package storage

import "golang.org/x/sys/unix"

func fingerprintOf(path string) (fingerprint, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return fingerprint{}, err
	}
	return fingerprint{
		size: uint64(st.Size), modified: uint64(st.Mtim.Nano()), changed: uint64(st.Ctim.Nano()), number: st.Ino,
	}, nil
}
