package files

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// transferRoom is how much memory, in bytes, a process with transfers takes above
// what it needs without, before the collector is made to work harder. Left alone it
// lets the heap grow to twice what was in use when it last looked, and that may have
// been when the store wrote out a table, which takes several times the table's size.
const transferRoom = 44 << 20

// baseLasts is for how long after a transfer another one is held to have begun with
// it: between the orders of one file what was in use before it can't be measured.
const baseLasts = time.Minute

// memoryBound bounds the memory of the process while there are transfers.
type memoryBound struct {
	mu     sync.Mutex
	n      int       // transfers
	before int64     // the process's bound without
	base   int64     // what was in use before the first
	ended  time.Time // the last
}

// processMemory is the one of this process.
var processMemory memoryBound

// begin bounds the memory, softly, until done is called.
func (b *memoryBound) begin() (done func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.n++; b.n == 1 {
		if b.ended.IsZero() || time.Since(b.ended) > baseLasts {
			runtime.GC() // what hashed the passphrase may still count
			b.base = inUse()
		}
		b.before = debug.SetMemoryLimit(-1)
		debug.SetMemoryLimit(min(b.before, b.base+transferRoom))
	}
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.n--; b.n == 0 {
			debug.SetMemoryLimit(b.before)
			b.ended = time.Now()
		}
	}
}

// Moving tells whether files are on their way, through this process.
func (m *Manager) Moving() bool {
	processMemory.mu.Lock()
	defer processMemory.mu.Unlock()
	return processMemory.n > 0
}

// inUse is how many bytes the process needs now, as the bound counts them: without
// garbage and what could be given back.
func inUse() int64 {
	all := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/gc/heap/live:bytes"},
	}
	metrics.Read(all)
	n := int64(all[0].Value.Uint64())
	for _, x := range all[1:5] {
		n -= int64(x.Value.Uint64())
	}
	return n + int64(all[5].Value.Uint64())
}
