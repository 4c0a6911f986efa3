package api

import (
	"bytes"
	"context"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// slowly is a listener whose closing takes until it may end.
type slowly struct {
	net.Listener
	closed, may chan struct{}
}

func (l slowly) Close() error {
	err := l.Listener.Close()
	close(l.closed)
	<-l.may
	return err
}

// Serve returns when the socket has been removed, not as soon as nobody gets in:
// else it would take away that of the daemon that listens next, as after unlock.
func TestServeEndsWithItsSocket(t *testing.T) {
	ln, err := Listen(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l := slowly{ln, make(chan struct{}), make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- (&Server{}).Serve(ctx, l) }()
	cancel()
	<-l.closed
	select {
	case err := <-done:
		t.Fatal("it returned before its socket was closed: ", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(l.may)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A client that never reads holds up nobody else, nor the stop.
func TestClientThatNeverReads(t *testing.T) {
	d := &scripted{watch: func(ctx context.Context, _ uint64, started func(uint64), fn func(Event) error) error {
		started(0)
		for i := uint64(1); ; i++ {
			if err := fn(Event{Seq: i, Type: EventMessage, Message: &Message{Text: strings.Repeat("x", 10_000)}}); err != nil {
				return err
			}
		}
	}}
	dir, stop := serve(t, d)
	w := dialWire(t, dir)
	w.write(`{"jsonrpc":"2.0","id":1,"method":"watch"}` + "\n")
	w.line() // it has begun
	c, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Call(t.Context(), "version", nil, nil); err != nil {
		t.Error(err)
	}
	waitUntilFull(t)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	select {
	case <-stopped:
	case <-time.After(2 * time.Minute):
		w.c.Close() // lets it go
		t.Error("a client that never reads holds up the stop")
		<-stopped
	}
}

// waitUntilFull waits until a sender waits for a client that doesn't read.
func waitUntilFull(t *testing.T) {
	t.Helper()
	all := make([]byte, 1<<20)
	for deadline := time.Now().Add(2 * time.Minute); ; <-time.After(10 * time.Millisecond) {
		for g := range bytes.SplitSeq(all[:runtime.Stack(all, true)], []byte("\n\n")) {
			if bytes.Contains(g, []byte("[sync.Cond.Wait")) && bytes.Contains(g, []byte("(*lines).Send")) {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody waits for the client")
		}
	}
}
