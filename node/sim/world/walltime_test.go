package world

import (
	"time"

	"golang.org/x/sys/unix"
)

// wallTimeNow is outside of virtual time.
func wallTimeNow() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano()).Round(time.Millisecond)
}
