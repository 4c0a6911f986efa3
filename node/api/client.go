package api

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"sync"

	"github.com/creachadair/jrpc2"
)

// Client speaks to a daemon. Its methods may be called from many goroutines.
// jrpc2's client is not used: it hands out notifications in any order and drops
// a response that is followed by the end of the connection.
type Client struct {
	conn net.Conn
	gone chan struct{} // closed when nothing more is read

	mu      sync.Mutex
	nextID  int
	waiting map[int]chan *response
	event   func(json.RawMessage) // of the running Watch
	ended   chan error            // of the running Watch
}

// response is anything that the daemon writes.
type response struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  *jrpc2.Error    `json:"error"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

func newClient(conn net.Conn) *Client {
	c := &Client{conn: conn, gone: make(chan struct{}), waiting: map[int]chan *response{}}
	go c.read()
	return c
}

// Close ends the connection and what is running on it.
func (c *Client) Close() {
	c.conn.Close()
	<-c.gone
}

var errLost = Errorf(CodeNoDaemon, "the daemon has stopped")

// read hands out what the daemon writes, one after the other.
func (c *Client) read() {
	defer close(c.gone)
	r := bufio.NewReaderSize(c.conn, 64<<10)
	d := json.NewDecoder(r)
	for {
		var m response
		if d.Decode(&m) != nil {
			return
		}
		c.mu.Lock()
		event, ended, answer := c.event, c.ended, c.waiting[m.ID]
		delete(c.waiting, m.ID)
		c.mu.Unlock()
		switch {
		case m.Method == "event" && event != nil:
			event(m.Params)
		case m.Method == "watchEnded" && ended != nil:
			var e Error
			if json.Unmarshal(m.Params, &e) != nil {
				e = *Errorf(CodeInternal, "the watch ended")
			}
			select {
			case ended <- &e:
			default:
			}
		case m.Method != "":
		case answer != nil:
			answer <- &m
		case m.ID == 0 && m.Error != nil:
			c.failAll(&m)
			return
		}
	}
}

// failAll gives an answer that belongs to no request to all that wait: the
// daemon has refused the connection.
func (c *Client) failAll(m *response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, answer := range c.waiting {
		delete(c.waiting, id)
		answer <- m
	}
}

// Call calls a method; params and result are as in the method table, either
// may be nil. Errors are an [*Error]; if ctx ends first, the connection is of
// no further use.
func (c *Client) Call(ctx context.Context, method string, params, result any) error {
	if params == nil {
		params = none{}
	}
	answer := make(chan *response, 1)
	c.mu.Lock()
	c.nextID++
	id := c.nextID
	c.waiting[id] = answer
	c.mu.Unlock()
	b, err := json.Marshal(struct {
		Version string `json:"jsonrpc"`
		ID      int    `json:"id"`
		Method  string `json:"method"`
		Params  any    `json:"params"`
	}{"2.0", id, method, params})
	if err != nil {
		return Errorf(CodeInternal, "the request can't be written: %v", err)
	}
	defer context.AfterFunc(ctx, func() { c.conn.Close() })()
	// If this fails, reading has ended or will, and perhaps said why.
	_, _ = c.conn.Write(append(b, '\n'))

	var m *response
	select {
	case m = <-answer:
	case <-c.gone:
		select {
		case m = <-answer:
		default:
			if ctx.Err() != nil {
				return AsError(ctx.Err())
			}
			return errLost
		}
	}
	if m.Error != nil {
		return clientError(m.Error)
	}
	if result != nil && json.Unmarshal(m.Result, result) != nil {
		return Errorf(CodeInternal, "the daemon's answer can't be read")
	}
	return nil
}

// clientError gets the Error back out of a response.
func clientError(je *jrpc2.Error) *Error {
	var e Error
	if json.Unmarshal(je.Data, &e) == nil && e.Code != "" {
		return &e
	}
	if je.Code == jrpc2.Cancelled || je.Code == jrpc2.DeadlineExceeded {
		return errLost
	}
	return Errorf(CodeInternal, "%s", je.Message)
}

// Watch calls fn with every event after the one numbered after, as JSON too,
// until ctx ends, fn fails or the daemon stops; it returns the reason. started,
// which may be nil, gets the number of the newest event there was at the start.
// fn runs in the order of events, and not at the same time as itself. A client
// has one Watch in its life.
func (c *Client) Watch(ctx context.Context, after uint64, started func(last uint64), fn func(Event, json.RawMessage) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan error, 1)
	c.mu.Lock()
	c.ended = ended
	c.event = func(raw json.RawMessage) {
		var e Event
		if ctx.Err() != nil || json.Unmarshal(raw, &e) != nil {
			return
		}
		if err := fn(e, raw); err != nil {
			cancel(err)
		}
	}
	c.mu.Unlock()

	params := map[string]uint64{}
	if after != FromNow {
		params["after"] = after
	}
	var res struct {
		Seq uint64 `json:"seq"`
	}
	if err := c.Call(ctx, "watch", params, &res); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	if started != nil {
		started(res.Seq)
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case err := <-ended:
		return err
	case <-c.gone:
		return errLost
	}
}
