package engine

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// ErrStopped is returned by every call once the engine's loop has ended.
var ErrStopped = errors.New("engine: stopped")

// step is one intention or one envelope, on its way through the loop.
type step struct {
	cost int // bytes that it may write, at most
	run  func(t *txn) error
	err  error
	done *sync.WaitGroup
}

// inbox holds the steps that wait for the loop, in the order in which they
// came. Every caller waits for its steps, so the number of callers bounds it.
type inbox struct {
	bell chan struct{} // has a token when steps wait

	running atomic.Bool

	mu      sync.Mutex
	steps   []*step
	stopped error
}

func (b *inbox) init() { b.bell = make(chan struct{}, 1) }

// put adds steps, which the loop answers; the error is why it will not.
func (b *inbox) put(steps []*step) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped != nil {
		return b.stopped
	}
	b.steps = append(b.steps, steps...)
	return nil
}

// start lets steps be committed; until then they wait.
func (b *inbox) start() {
	b.running.Store(true)
	b.ring()
}

func (b *inbox) started() bool { return b.running.Load() }

// ring tells the loop that steps wait.
func (b *inbox) ring() {
	select {
	case b.bell <- struct{}{}:
	default:
	}
}

// maxGather bounds how many steps one commit takes, and halfFrom from how many
// on it takes only half of those that wait: so that the other half is made ready
// while it is on its way. When it took all, those who wait for it would come back
// all at once as well, and work and disk would wait for each other in turn.
const (
	maxGather = 2048
	halfFrom  = 128
)

// take removes the steps of the next commit.
func (b *inbox) take() []*step {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.steps)
	if n >= halfFrom {
		n = min(n/2, maxGather)
	}
	out := b.steps[:n:n]
	if b.steps = b.steps[n:]; len(b.steps) == 0 {
		b.steps = nil
	} else {
		b.ring()
	}
	return out
}

// stop refuses further steps and answers those that wait. cause is what ended
// the loop, nil for nothing wrong.
func (b *inbox) stop(cause error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = ErrStopped
	if cause != nil {
		b.stopped = fmt.Errorf("%w: %w", ErrStopped, cause)
	}
	for _, s := range b.steps {
		s.err = b.stopped
		s.done.Done()
	}
	b.steps = nil
}

// why is the error of calls after stop.
func (b *inbox) why() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stopped
}
