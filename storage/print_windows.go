package storage

import "os"

func fingerprintOf(path string) (fingerprint, error) {
	st, err := os.Lstat(path)
	if err != nil {
		return fingerprint{}, err
	}
	return fingerprint{size: uint64(st.Size()), modified: uint64(st.ModTime().UnixNano())}, nil
}
