package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"rushlight/storage"
	"rushlight/storage/record"
)

// eventLife is how long the log keeps an event.
const eventLife = 30 * 24 * time.Hour

// GoneError says that the event log no longer reaches back far enough.
type GoneError struct{ First uint64 }

func (g *GoneError) Error() string { return "engine: the event log starts later" }

// Event is one entry of the log, with its number.
type Event struct {
	Seq uint64
	record.Event
	// Plain says that the message is known to have no files. False says nothing.
	Plain bool
}

// event appends to the log of this transaction.
func (t *txn) event(ev record.Event) error { return t.log(Event{Event: ev}) }

func (t *txn) log(ev Event) error {
	ev.Seq, ev.At = t.nextEvent, t.now.UnixMilli()
	if err := t.putExpiring(record.EventKey(ev.Seq), ev.Marshal(), eventLife); err != nil {
		return err
	}
	t.nextEvent++
	t.events = append(t.events, ev)
	return nil
}

// notifier wakes those who wait for events.
type notifier struct {
	mu     sync.Mutex
	last   uint64
	recent []Event // the newest, without a hole
	ch     chan struct{}
}

// maxRecent is how many events are kept in memory, at least, once there are as
// many.
const maxRecent = 512

func (n *notifier) init() { n.ch = make(chan struct{}) }

// advance takes the events of a transaction, which follow those before.
func (n *notifier) advance(events []Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = events[len(events)-1].Seq
	if len(n.recent)+len(events) > 2*maxRecent {
		n.recent = append([]Event(nil), n.recent[max(len(n.recent)-maxRecent, 0):]...)
	}
	n.recent = append(n.recent, events...)
	close(n.ch)
	n.ch = make(chan struct{})
}

// after returns events that follow a number, or false when they have to be read
// from the log.
func (n *notifier) after(seq uint64) ([]Event, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.recent) == 0 || seq+1 < n.recent[0].Seq || seq >= n.last {
		return nil, false
	}
	return n.recent[seq+1-n.recent[0].Seq:], true
}

// state returns the newest number and a channel that closes when there is a
// newer one.
func (n *notifier) state() (uint64, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last, n.ch
}

// LastEvent is the number of the newest event, 0 if there was none.
func (e *Engine) LastEvent() uint64 { last, _ := e.events.state(); return last }

// Watch calls fn for every event after a number, first out of the log and then
// as they happen, until ctx ends or fn fails. started, if set, is called once
// the log is known to reach back far enough. A log that does not is a
// [GoneError].
func (e *Engine) Watch(ctx context.Context, after uint64, started func(last uint64), fn func(Event) error) error {
	last, changed := e.events.state()
	if after > last {
		after = last
	}
	if first, err := e.firstEvent(); err != nil {
		return err
	} else if last > 0 && after+1 < first {
		return &GoneError{First: first}
	}
	if started != nil {
		started(last)
	}
	for {
		for after < last {
			page, err := e.eventPage(after)
			if err != nil {
				return err
			}
			if len(page) == 0 {
				after = last // what was there has expired meanwhile
			}
			for _, ev := range page {
				if err := fn(ev); err != nil {
					return err
				}
				after = ev.Seq
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-e.closed:
			return e.inbox.why()
		}
		last, changed = e.events.state()
	}
}

const pageSize = 256

func (e *Engine) eventPage(after uint64) (out []Event, err error) {
	if out, ok := e.events.after(after); ok {
		return out, nil
	}
	err = e.store.View(func(tx *storage.Tx) error {
		return tx.Scan(record.EventPrefix(), record.EventKey(after+1), false, func(k storage.Key, v []byte) (bool, error) {
			ev, err := record.ParseEvent(v)
			if err != nil {
				return false, fmt.Errorf("reading the event log: %w", err)
			}
			out = append(out, Event{Seq: record.EventSeq(k), Event: *ev})
			return len(out) < pageSize, nil
		})
	})
	return out, err
}

// firstEvent is the number of the oldest event still in the log; with an empty
// log, of the next one.
func (e *Engine) firstEvent() (first uint64, err error) {
	first = e.LastEvent() + 1
	err = e.store.View(func(tx *storage.Tx) error {
		return tx.ScanKeys(record.EventPrefix(), nil, false, func(k storage.Key) (bool, error) {
			first = record.EventSeq(k)
			return false, nil
		})
	})
	return first, err
}
