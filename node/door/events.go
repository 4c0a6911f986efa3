package door

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"rushlight/node/api"
)

// pingEvery is how often a stream without events says that it is there.
const pingEvery = 30 * time.Second

// events is a stream of Server-Sent Events. Those that are in the log have
// their number as id, so a client that comes back with Last-Event-ID misses
// none.
func (d *Door) events(w http.ResponseWriter, r *http.Request) {
	s := d.bearer(w, r)
	if s == nil {
		return
	}
	after, err := resumeAfter(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, api.AsError(err))
		return
	}
	var pings sync.WaitGroup
	defer pings.Wait()
	ctx, cancel := s.until(r.Context())
	defer cancel()
	e := &stream{w: w, c: http.NewResponseController(w)}
	started := false
	err = d.Server.Events(ctx, s.Grant, after, func(last uint64) {
		started = true
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		_ = e.write(fmt.Appendf(nil, ": seq %d\n\n", last)) // fails again later
		pings.Go(func() { e.ping(ctx) })
	}, e.event)
	switch {
	case !started && err != nil:
		refuse(w, statusOf(api.AsError(err)), api.AsError(err))
	case started && err != nil && ctx.Err() == nil:
		if b, err := json.Marshal(api.AsError(err)); err == nil {
			_ = e.write([]byte("event: error\ndata: " + string(b) + "\n\n"))
		}
	}
}

// resumeAfter is the number after which a client wants events.
func resumeAfter(r *http.Request) (uint64, error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("after")
	}
	if text == "" {
		return api.FromNow, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, api.Errorf(api.CodeUsage, "that is not the number of an event")
	}
	return n, nil
}

// stream writes events. One that doesn't take them for long is given up.
type stream struct {
	w  http.ResponseWriter
	c  *http.ResponseController
	mu sync.Mutex
}

func (s *stream) write(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.c.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	if _, err := s.w.Write(b); err != nil {
		return err
	}
	return s.c.Flush()
}

func (s *stream) event(e api.Event) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if e.Seq != 0 {
		fmt.Fprintf(&out, "id: %d\n", e.Seq)
	}
	fmt.Fprintf(&out, "event: %s\ndata: %s\n\n", e.Type, b)
	return s.write(out.Bytes())
}

func (s *stream) ping(ctx context.Context) {
	t := time.NewTicker(pingEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if s.write([]byte(":\n\n")) != nil {
				return // the next event notices
			}
		case <-ctx.Done():
			return
		}
	}
}
