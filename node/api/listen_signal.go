package api

import (
	"bufio"
	"context"
	"net"
	"time"
)

// signalWait is how long the compatible listener takes at least to answer: one
// popular client of signal-cli listens for an answer only after it has asked,
// and would miss a faster one.
const signalWait = 15 * time.Millisecond

// scopeSignal is what the compatible listener grants beside read and send: to
// manage contacts as signal-cli does.
const scopeSignal = "signal-cli"

// signalGrant is what clients of the compatible listener may do. They bring no
// token, so they can't stop, lock or wipe anything.
var signalGrant = Grant{Scopes: []string{ScopeRead, ScopeSend, scopeSignal}}

// ServeSignal serves programs that were written for signal-cli's JSON-RPC on a
// TCP listener, until ctx ends. Every connection is told what comes from others,
// as with signal-cli's own daemon. Whoever can connect is let in: the listener
// is for a loopback address, and for people who have it on purpose.
func (s *Server) ServeSignal(ctx context.Context, ln net.Listener) error {
	return serveAll(ctx, ln, func(net.Conn) error { return nil }, s.serveSignal)
}

func (s *Server) serveSignal(ctx context.Context, nc net.Conn) {
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	p := &patient{Conn: nc, r: bufio.NewReader(nc)}
	// A browser can be made to speak to any port. What it says begins with the
	// name of a method of HTTP, and JSON never does.
	for {
		b, err := p.r.Peek(1)
		if err != nil {
			return
		}
		if b[0] == '{' || b[0] == '[' {
			break
		}
		if b[0] != ' ' && b[0] != '\n' && b[0] != '\r' && b[0] != '\t' {
			return
		}
		_, _ = p.r.Discard(1) // it was peeked at
	}
	if !stop() {
		return
	}
	s.serveConn(ctx, p, signalGrant, true, (*conn).onStart)
}

// onStart begins to tell what comes from others.
func (c *conn) onStart(ctx context.Context) {
	// While the profile is locked nothing comes.
	if c.Daemon != nil {
		_, _ = c.watching(ctx, startWatchParams{}, c.received)
	}
}

// patient is a connection that isn't answered too soon.
type patient struct {
	net.Conn
	r *bufio.Reader
}

func (p *patient) Read(b []byte) (int, error) { return p.r.Read(b) }

// Write implements net.Conn: what waits is written together.
func (p *patient) Write(b []byte) (int, error) {
	<-time.After(signalWait)
	return p.Conn.Write(b)
}
