package mailbox

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// setSlice sets the slice of every thread, which those that they start inherit.
// Linux knows it since 6.12 (Documentation/scheduler/sched-eevdf.rst); before,
// it takes no notice.
func setSlice(d time.Duration) error {
	set := map[string]bool{}
	for more := true; more; { // until none was started meanwhile by one without
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("mailbox: listing threads: %w", err)
		}
		more = false
		for _, t := range tasks {
			if set[t.Name()] {
				continue
			}
			set[t.Name()], more = true, true
			if err := setSliceOf(t.Name(), d); err != nil {
				return err
			}
		}
	}
	return nil
}

// setSliceOf sets the slice of one thread, unless it has ended.
func setSliceOf(thread string, d time.Duration) error {
	id, err := strconv.Atoi(thread)
	if err != nil {
		return fmt.Errorf("mailbox: a thread's number: %w", err)
	}
	a, err := unix.SchedGetAttr(id, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("mailbox: asking how a thread is scheduled: %w", err)
	}
	if a.Policy != unix.SCHED_NORMAL {
		return nil // whoever started it wanted something else
	}
	a.Runtime = uint64(d)
	if err := unix.SchedSetAttr(id, a, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("mailbox: setting a thread's slice: %w", err)
	}
	return nil
}
