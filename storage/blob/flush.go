package blob

import (
	"errors"
	"os"
	"sync"

	"rushlight/storage"
)

// flushEvery is how many bytes are written before the system is made to put
// them on the disk: while a file grows, so that little is left to do at its end.
const flushEvery = 32 << 20

// flusher puts on the disk, beside whoever writes, what was written of a file.
type flusher struct {
	f *os.File

	mu      sync.Mutex
	pending int64 // bytes that were written since it began last
	running chan struct{}
	err     error // the first that the system told: it tells each only once
}

// wrote notes bytes that were written.
func (w *flusher) wrote(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pending += int64(n); w.pending < flushEvery || w.running != nil {
		return
	}
	w.pending = 0
	done := make(chan struct{})
	w.running = done
	go func() {
		defer close(done)
		err := w.f.Sync()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.err = errors.Join(w.err, err)
		w.running = nil
	}()
}

// rest waits for what goes on.
func (w *flusher) rest() {
	w.mu.Lock()
	running := w.running
	w.mu.Unlock()
	if running != nil {
		<-running
	}
}

// finish returns when everything is on the disk: what could not be put there
// before is an error too.
func (w *flusher) finish() error {
	w.rest()
	err := w.f.Sync()
	w.mu.Lock()
	defer w.mu.Unlock()
	return storage.Cause(errors.Join(w.err, err), "blob: saving")
}
