package storage

// Free is how many bytes whoever runs this may still write in the file system
// of a directory; negative when the system doesn't say.
func Free(dir string) (int64, error) {
	r, err := measure(dir)
	return r.bytes, cause(err, "asking for free space")
}

// Cause is err, which a file in a store's directory caused, as one of this
// package's errors where a caller can act on it.
func Cause(err error, doing string) error { return cause(err, doing) }
