package keyfile

import "golang.org/x/sys/unix"

// protectChild keeps other processes of the user, and core dumps, away from
// the memory of the child.
func protectChild() {
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}
