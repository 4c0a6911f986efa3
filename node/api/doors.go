package api

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// ServeConn serves one connection of somebody with a grant, line by line as on
// the socket, until it ends, or ctx does and what is in flight is answered.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn, g Grant) { s.serveConn(ctx, nc, g, true) }

// Answer handles one request or batch that came by itself, and returns the
// response; nil if there is none. Such a request can't watch.
func (s *Server) Answer(ctx context.Context, body []byte, g Grant) []byte {
	answered, bad := needsAnswer(body)
	o := &oneShot{in: oneLine(body), more: make(chan struct{}), ctx: ctx}
	if !answered && bad == nil {
		close(o.more)
		o.over = true
	}
	s.serveConn(ctx, o, g, false)
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.TrimSuffix(o.out, []byte("\n"))
}

// Events calls fn with events as [Daemon.Watch] does.
func (s *Server) Events(ctx context.Context, g Grant, after uint64, started func(last uint64), fn func(Event) error) error {
	d, err := s.daemonFor(g, "watch")
	if err != nil {
		return err
	}
	return d.Watch(ctx, after, started, fn)
}

// Check verifies the store.
func (s *Server) Check(ctx context.Context, g Grant) (CheckReport, error) {
	d, err := s.daemonFor(g, "check")
	if err != nil {
		return CheckReport{}, err
	}
	return d.Check(ctx)
}

func (s *Server) daemonFor(g Grant, method string) (Daemon, error) {
	if !g.allows(method) {
		return nil, errScope
	}
	if s.Daemon == nil {
		return nil, errLocked
	}
	return g.confine(s.Daemon), nil
}

// oneLine makes of a JSON value one line: a line end in it stands between
// tokens.
func oneLine(body []byte) []byte {
	out := append(bytes.Clone(body), '\n')
	for i, c := range out[:len(body)] {
		if c == '\n' || c == '\r' {
			out[i] = ' '
		}
	}
	return out
}

// oneShot is a connection on which one line comes. It ends once that is
// answered.
type oneShot struct {
	in   []byte
	ctx  context.Context // of the request
	more chan struct{}   // closed when there is nothing to wait for

	mu   sync.Mutex
	out  []byte
	over bool // more is closed
}

func (o *oneShot) Read(b []byte) (int, error) {
	if len(o.in) > 0 {
		n := copy(b, o.in)
		o.in = o.in[n:]
		return n, nil
	}
	select {
	case <-o.more:
	case <-o.ctx.Done():
	}
	return 0, io.EOF
}

func (o *oneShot) Write(b []byte) (int, error) {
	o.mu.Lock()
	o.out = append(o.out, b...)
	o.mu.Unlock()
	o.end()
	return len(b), nil
}

func (o *oneShot) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.over {
		o.over = true
		close(o.more)
	}
}

// Close implements net.Conn.
func (o *oneShot) Close() error { o.end(); return nil }

// SetReadDeadline implements net.Conn: the only one that is ever set is over.
func (o *oneShot) SetReadDeadline(time.Time) error { o.end(); return nil }

func (o *oneShot) SetWriteDeadline(time.Time) error { return nil }
func (o *oneShot) SetDeadline(time.Time) error      { return nil }
func (o *oneShot) LocalAddr() net.Addr              { return nil }
func (o *oneShot) RemoteAddr() net.Addr             { return nil }
