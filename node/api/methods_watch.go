package api

import (
	"context"
)

type startWatchParams struct {
	After *uint64 `json:"after"`
}

type startWatchResult struct {
	Seq uint64 `json:"seq"`
}

// startWatch answers as soon as the events asked for are known to be there;
// they follow as notifications of the method event, with the event as
// parameters. If the watch ends by itself, the notification watchEnded with
// the error tells. One connection has at most one watch.
func (c *conn) startWatch(ctx context.Context, params []byte) (any, error) {
	var p startWatchParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	return c.watching(ctx, p, func(ctx context.Context, e Event) error { return c.srv.Notify(ctx, "event", e) })
}

// subscribeReceive is signal-cli's watch: what comes from others follows as
// notifications of the method receive. The subscription has the number 0.
func (c *conn) subscribeReceive(ctx context.Context, params []byte) (any, error) {
	var p subscribeReceiveParams
	if err := c.decodeFor(ctx, params, &p, &p.Account); err != nil {
		return nil, err
	}
	_, err := c.watching(ctx, startWatchParams{}, c.received)
	return 0, err
}

type subscribeReceiveParams struct {
	Account string `json:"account"`
}

// watching starts the watch of this connection.
//
//nolint:contextcheck // a watch outlives the request that starts it
func (c *conn) watching(ctx context.Context, p startWatchParams, tell func(context.Context, Event) error) (any, error) {
	if !c.push {
		return nil, Errorf(CodeUsage, "events don't come this way").WithHint("read them from /api/v1/events, or watch over a WebSocket")
	}
	after := FromNow
	if p.After != nil {
		after = *p.After
	}

	wctx, cancel := context.WithCancel(c.ctx)
	if !c.setWatch(cancel) {
		cancel()
		return nil, Errorf(CodeUsage, "this connection watches already").WithHint("unwatch first")
	}
	started := make(chan uint64, 1)
	failed := make(chan error, 1)
	c.wg.Go(func() {
		answered := false
		err := c.Daemon.Watch(wctx, after,
			func(last uint64) {
				if !answered {
					answered = true
					started <- last
				}
			},
			func(e Event) error {
				if err := wctx.Err(); err != nil {
					return err
				}
				return tell(wctx, e)
			})
		byItself := wctx.Err() == nil
		cancel()
		c.setWatch(nil)
		if !answered {
			failed <- err
		} else if byItself && err != nil {
			// If this can't be written, the connection is gone, which tells
			// the client as much.
			_ = c.srv.Notify(wctx, "watchEnded", AsError(err))
		}
	})

	select {
	case last := <-started:
		return startWatchResult{last}, nil
	case err := <-failed:
		if err == nil {
			err = Errorf(CodeShuttingDown, "interrupted")
		}
		return nil, err
	case <-ctx.Done():
		cancel()
		return nil, ctx.Err()
	}
}

// setWatch records the running watch; a second one is refused.
func (c *conn) setWatch(cancel context.CancelFunc) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cancel != nil && c.watch != nil {
		return false
	}
	c.watch = cancel
	return true
}

type stopWatchResult struct {
	Stopped bool `json:"stopped"`
}

func (c *conn) stopWatch(_ context.Context, params []byte) (any, error) {
	if err := decode(params, new(none)); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.watch != nil
	if was {
		c.watch()
	}
	return stopWatchResult{was}, nil
}
