//go:build unix

package mailbox

import (
	"syscall"
	"time"
)

func processTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// settleDisk waits until the disk has what was written before, also by others:
// what is measured next would wait for it.
func settleDisk() { syscall.Sync() }
