//go:build unix && !linux

package main

// hardenMemory has nothing to do where debuggers need a permission of their
// own.
func hardenMemory() {}
