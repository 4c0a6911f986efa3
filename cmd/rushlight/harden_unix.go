//go:build unix

package main

import "golang.org/x/sys/unix"

// harden keeps what the daemon writes from other users, and its memory from
// core dumps. A failure leaves the modes that every file is made with.
func harden() {
	unix.Umask(0o077)
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	hardenMemory()
}
