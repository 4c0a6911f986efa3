package api

import (
	"context"
	"net"
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
