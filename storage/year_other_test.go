//go:build !linux

package storage

import "os"

// blocks is what a file takes of the disk, where holes can't be told.
func blocks(path string) (int64, error) {
	st, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}
