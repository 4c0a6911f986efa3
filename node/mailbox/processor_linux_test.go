package mailbox

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSlices: each thread has its slice, those that are started later too.
func TestSlices(t *testing.T) {
	if err := setSlice(slice); err != nil {
		t.Skip("the system refuses: ", err)
	}
	if a, err := unix.SchedGetAttr(0, 0); err != nil || a.Runtime == 0 {
		t.Skip("a system before Linux 6.12: ", err)
	}
	var ready, end sync.WaitGroup
	over := make(chan struct{})
	for range 20 {
		ready.Add(1)
		end.Go(func() {
			runtime.LockOSThread() // and ends with it
			ready.Done()
			<-over
		})
	}
	ready.Wait()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		id, err := strconv.Atoi(task.Name())
		if err != nil {
			t.Fatal(err)
		}
		a, err := unix.SchedGetAttr(id, 0)
		if errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if a.Policy == unix.SCHED_NORMAL && a.Runtime != uint64(slice) {
			t.Errorf("thread %d has a slice of %d ns", id, a.Runtime)
		}
	}
	if len(tasks) < 20 {
		t.Error("only", len(tasks), "threads")
	}
	close(over)
	end.Wait()
}
