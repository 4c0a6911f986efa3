//go:build unix

package main

import (
	"os"
	"syscall"
)

// reexec replaces this process by a fresh one of the same program, with the
// same arguments and one more variable, so that nothing that was in memory is
// left. It returns only when it fails.
func reexec(variable string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(exe, os.Args, append(os.Environ(), variable))
}
