//go:build !windows && !darwin

package files

// mark does nothing: what is saved can't be run before its owner allows it.
func mark(string) {}
