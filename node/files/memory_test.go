package files

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
)

// What the store needs for a moment doesn't let the heap grow to twice of that
// while files are brought. Control: without the bound it does.
func TestMemoryIsBounded(t *testing.T) {
	before := debug.SetMemoryLimit(math.MaxInt64)
	defer debug.SetMemoryLimit(before)
	read := func(name string) int64 {
		now := []metrics.Sample{{Name: name}}
		metrics.Read(now)
		return int64(now[0].Value.Uint64())
	}
	goal := func() int64 { // above the heap that is in use else
		runtime.GC()
		from := read("/gc/heap/live:bytes")
		table := make([]byte, transferRoom-8<<20)
		runtime.GC()
		runtime.KeepAlive(table)
		return read("/gc/heap/goal:bytes") - from
	}
	if n := goal(); n < transferRoom*3/2 {
		t.Fatalf("control: unbounded, the heap may grow by %d MiB", n>>20)
	}
	runtime.GC()
	var b memoryBound
	done, second := b.begin(), b.begin()
	if n := goal(); n > transferRoom {
		t.Errorf("the heap may grow by %d MiB", n>>20)
	}
	done()
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		t.Error("not bounded while there is another transfer")
	}
	second()
	if debug.SetMemoryLimit(-1) != math.MaxInt64 {
		t.Error("still bounded when there is none")
	}
}
