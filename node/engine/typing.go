package engine

import (
	"context"
	"sync"

	"rushlight/protocol/identity"
)

// typing tells those who watch that somebody is writing. It keeps nothing.
type typing struct {
	sent map[identity.AccountID]uint64 // number of the newest own notice; who has the turn owns it

	mu       sync.Mutex
	watchers map[chan identity.AccountID]struct{}
}

// queued notes which outbox entry says that something is being written.
func (y *typing) queued(a identity.AccountID, seq uint64) {
	if y.sent == nil {
		y.sent = map[identity.AccountID]uint64{}
	}
	y.sent[a] = seq
}

// announce tells all who watch; who is slow misses it.
func (y *typing) announce(a identity.AccountID) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for c := range y.watchers {
		select {
		case c <- a:
		default:
		}
	}
}

// WatchTyping calls fn when a contact is writing, until ctx ends or fn fails.
func (e *Engine) WatchTyping(ctx context.Context, fn func(identity.AccountID) error) error {
	c := make(chan identity.AccountID, 16)
	y := &e.typing
	y.mu.Lock()
	if y.watchers == nil {
		y.watchers = map[chan identity.AccountID]struct{}{}
	}
	y.watchers[c] = struct{}{}
	y.mu.Unlock()
	defer func() {
		y.mu.Lock()
		delete(y.watchers, c)
		y.mu.Unlock()
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-e.closed:
			return nil
		case a := <-c:
			if err := fn(a); err != nil {
				return err
			}
		}
	}
}
