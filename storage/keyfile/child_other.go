//go:build !linux

package keyfile

// protectChild does nothing more than the system does.
func protectChild() {}
