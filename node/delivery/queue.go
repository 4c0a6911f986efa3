package delivery

import (
	"context"
	"sync"
)

// queue passes items from a stream's reader to the goroutine that commits
// them. It is bounded in items and bytes: a full queue stops the reader, and
// with it the sender.
type queue[T any] struct {
	maxItems, maxBytes int
	size               func(T) int

	mu      sync.Mutex
	items   []T
	bytes   int
	resting bool // the goroutine that takes has nothing to do
	claimed bool // another does its work

	some chan struct{} // has a token when items may wait
	room chan struct{} // has a token when a full queue may have room
}

func newQueue[T any](maxItems, maxBytes int, size func(T) int) *queue[T] {
	return &queue[T]{
		maxItems: maxItems, maxBytes: maxBytes, size: size,
		some: make(chan struct{}, 1), room: make(chan struct{}, 1),
	}
}

// put appends items, waiting for room. One goroutine puts.
func (q *queue[T]) put(ctx context.Context, items []T) error {
	for len(items) > 0 {
		n := q.fill(items)
		items = items[n:]
		if n > 0 {
			signal(q.some)
			continue
		}
		select {
		case <-q.room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// fill appends as many items as fit; an empty queue takes any one.
func (q *queue[T]) fill(items []T) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, it := range items {
		n := q.size(it)
		if len(q.items) > 0 && (len(q.items) >= q.maxItems || q.bytes+n > q.maxBytes) {
			return i
		}
		q.items = append(q.items, it)
		q.bytes += n
	}
	return len(items)
}

// take returns everything that waits, at least one item. It reuses spare for
// the items to come. One goroutine takes.
func (q *queue[T]) take(ctx context.Context, spare []T) ([]T, error) {
	for {
		if items := q.swap(spare); len(items) > 0 {
			signal(q.room)
			return items, nil
		}
		select {
		case <-q.some:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (q *queue[T]) swap(spare []T) []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.resting = len(q.items) == 0
	if q.resting || q.claimed {
		return nil
	}
	items := q.items
	clear(spare[:cap(spare)])
	q.items, q.bytes = spare[:0], 0
	return items
}

// claim lets another goroutine do the work of the one that takes, for an item
// that was not put. It is refused when anything is ahead of that item; otherwise
// nothing is taken until release.
func (q *queue[T]) claim() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.resting || q.claimed || len(q.items) > 0 {
		return false
	}
	q.claimed = true
	return true
}

func (q *queue[T]) release() {
	q.mu.Lock()
	q.claimed = false
	waits := len(q.items) > 0
	q.mu.Unlock()
	if waits {
		signal(q.some)
	}
}

// signal leaves a token in a channel of one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// turn is held by one goroutine at a time. It is waited for over whole reads
// and writes of a stream, which in virtual time a mutex must not be.
type turn chan struct{}

func (t turn) take() { t <- struct{}{} }

func (t turn) pass() { <-t }

// try takes the turn if nobody has it.
func (t turn) try() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}
