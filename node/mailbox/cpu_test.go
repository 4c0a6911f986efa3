package mailbox

import (
	"runtime"
	"runtime/metrics"
	"time"
)

// cpuTime is the processor time that this process has used.
func cpuTime() time.Duration { return processTime() }

// memory is the heap in use and the stacks, and the number of goroutines.
func memory() (bytes uint64, goroutines int) {
	for range 3 {
		runtime.GC()
	}
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() + s[1].Value.Uint64(), runtime.NumGoroutine()
}
