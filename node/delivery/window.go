package delivery

import (
	"sync"
	"time"
)

// Limits of what one side may have sent without an answer (spec §8.3).
const (
	windowFrames = 512
	windowBytes  = 8 << 20
	// The same while the other side has not proved which device it is.
	unprovenFrames = 16
	unprovenBytes  = 256 << 10
)

// window holds the messages that this side has sent on a stream and the other
// has not answered. Ids are counted up from zero on each stream.
type window struct {
	mu    sync.Mutex
	sent  [windowFrames]parcelSent // at id modulo its length
	base  uint32                   // the lowest id that may be open
	next  uint32                   // the next id
	open  int
	bytes int
	since time.Time // when it was last empty
	full  bool      // a message found no room
}

type parcelSent struct {
	seq  uint64
	size int
	open bool
}

// add takes a message into the window, or returns false when there is no room
// for it.
func (w *window) add(seq uint64, size int, proved bool, now time.Time) (id uint32, ok bool) {
	frames, bytes := windowFrames, windowBytes
	if !proved {
		frames, bytes = unprovenFrames, unprovenBytes
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if int(w.next-w.base) >= frames || w.open > 0 && w.bytes+size > bytes {
		w.full = true
		return 0, false
	}
	if w.open == 0 {
		w.since = now
	}
	id = w.next
	w.sent[id%windowFrames] = parcelSent{seq: seq, size: size, open: true}
	w.next++
	w.open++
	w.bytes += size
	return id, true
}

// take removes an answered message and returns its parcel's number, or false
// when no such message is open.
func (w *window) take(id uint32) (seq uint64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if id-w.base >= w.next-w.base {
		return 0, false
	}
	p := &w.sent[id%windowFrames]
	if !p.open {
		return 0, false
	}
	p.open = false
	w.open--
	w.bytes -= p.size
	for w.base != w.next && !w.sent[w.base%windowFrames].open {
		w.base++
	}
	return p.seq, true
}

// room reports whether a message has found no room since the last call.
func (w *window) room() (wanted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wanted, w.full = w.full, false
	return wanted
}

// holds reports whether a parcel is on its way.
func (w *window) holds(seq uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := w.base; id != w.next; id++ {
		if p := w.sent[id%windowFrames]; p.open && p.seq == seq {
			return true
		}
	}
	return false
}

// waiting returns since when an answer is missing, or false when none is.
func (w *window) waiting() (time.Time, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.since, w.open > 0
}
