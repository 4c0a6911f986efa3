package api

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/creachadair/jrpc2"
)

// Limits of one connection.
const (
	maxLine     = 512 << 10 // one request or batch: MaxText with every byte escaped fits
	maxBatch    = 256       // requests in one batch
	maxInFlight = 512       // lines received whose response isn't written yet
	maxUnread   = 1 << 20   // bytes of responses that wait for the reader

	bigLine        = 64 << 10 // above this a line counts as big,
	maxInFlightBig = 8        // and waits until so few are in flight
)

// After the client has closed its side, what is in flight may still finish;
// after the daemon was told to stop, too, but not for so long.
const (
	graceEOF  = time.Minute
	graceStop = 500 * time.Millisecond
	graceDone = 2 * time.Second // to write what is still in the buffer
)

var (
	errTooLarge = Errorf(CodeUsage, "the request is larger than 512 KiB")
	errTooMany  = Errorf(CodeUsage, "the batch has more than 256 requests")
	errNotJSON  = Errorf(CodeUsage, "the request is not JSON")

	errLineTooLong = errors.New("line too long")
)

// lines frames a connection into lines for jrpc2. Unlike jrpc2's own it bounds
// the length of a line and the number of requests in flight, and writes many
// responses with one system call.
type lines struct {
	conn  net.Conn
	r     *bufio.Reader
	ended func() // called when no request follows and none is in flight

	mu       sync.Mutex
	changed  sync.Cond // any field below
	out      []byte    // not yet written
	inFlight int
	stopping bool  // no further requests
	closing  bool  // Close was called; out is still written
	err      error // of the connection; nothing works any more
}

func newLines(conn net.Conn, ended func()) *lines {
	l := &lines{conn: conn, r: bufio.NewReaderSize(conn, 32<<10), ended: ended}
	l.changed.L = &l.mu
	return l
}

// Send queues one message; it blocks while the reader is slow.
func (l *lines) Send(b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !isNotification(b) {
		l.inFlight--
	}
	for len(l.out) > maxUnread && l.err == nil && !l.closing {
		l.changed.Wait()
	}
	l.changed.Broadcast()
	if l.err != nil {
		return l.err
	}
	if l.closing {
		return net.ErrClosed
	}
	l.out = append(append(l.out, b...), '\n')
	return nil
}

// isNotification tells an outgoing notification from a response. jrpc2 writes
// the method where a response has its id.
func isNotification(b []byte) bool {
	return bytes.HasPrefix(b, []byte(`{"jsonrpc":"2.0","method":`))
}

// flush writes what Send has queued until the connection fails or is closed;
// then it closes it for good.
func (l *lines) flush() {
	defer l.conn.Close()
	var spare []byte
	for {
		l.mu.Lock()
		for len(l.out) == 0 && !l.closing && l.err == nil {
			l.changed.Wait()
		}
		b, done := l.out, l.closing
		l.out = spare[:0]
		if l.err != nil || (done && len(b) == 0) {
			l.fail(net.ErrClosed)
			l.mu.Unlock()
			return
		}
		l.changed.Broadcast()
		l.mu.Unlock()

		_, err := l.conn.Write(b)
		clear(b) // it may hold what people said
		if cap(b) <= 2*maxUnread {
			spare = b
		}
		if err != nil {
			l.mu.Lock()
			l.fail(err)
			l.mu.Unlock()
		}
	}
}

// fail records the first error of the connection. l.mu is held.
func (l *lines) fail(err error) {
	if l.err == nil {
		l.err = err
	}
	l.changed.Broadcast()
}

// Recv returns the next line with at least one request. It gives io.EOF once
// the client has closed its side, or stop was called, and what was in flight
// is answered.
func (l *lines) Recv() ([]byte, error) {
	for {
		b, err := l.readLine()
		if errors.Is(err, errLineTooLong) {
			l.refuse(errTooLarge)
			continue
		}
		if err != nil {
			l.drain()
			// Who writes to a client that never reads holds what has to be had to close.
			_ = l.conn.SetWriteDeadline(time.Now().Add(graceDone))
			l.ended()
			return nil, io.EOF
		}
		if len(bytes.TrimSpace(b)) == 0 {
			continue
		}
		answered, bad := needsAnswer(b)
		if bad != nil {
			l.refuse(bad)
			continue
		}
		if l.admit(len(b) > bigLine, answered) {
			return b, nil
		}
	}
}

// readLine returns the next line; the rest of one that is too long is skipped.
func (l *lines) readLine() ([]byte, error) {
	var line []byte
	tooLong := false
	for {
		chunk, err := l.r.ReadSlice('\n')
		if tooLong = tooLong || len(line)+len(chunk) > maxLine; !tooLong {
			line = append(line, chunk...)
		}
		clear(chunk)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && (!errors.Is(err, io.EOF) || len(line) == 0):
			return nil, err
		case tooLong:
			return nil, errLineTooLong
		}
		return bytes.TrimSuffix(line, []byte("\n")), nil // the last line needs no line end
	}
}

// needsAnswer says whether jrpc2 will send a response to the line: it does not
// when everything in it is a notification.
func needsAnswer(b []byte) (bool, *Error) {
	reqs, err := jrpc2.ParseRequests(b)
	if err != nil {
		return false, errNotJSON
	}
	if len(reqs) > maxBatch {
		return false, errTooMany
	}
	if len(reqs) == 0 {
		return true, nil // an empty batch is an error
	}
	return slices.ContainsFunc(reqs, func(r *jrpc2.ParsedRequest) bool {
		return r.ID != "" || r.Error != nil || r.Method == ""
	}), nil
}

// admit waits for room among the lines in flight; false means that there will
// be none, as the connection ends.
func (l *lines) admit(big, answered bool) bool {
	room := maxInFlight
	if big {
		room = maxInFlightBig
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.inFlight >= room && l.err == nil && !l.closing && !l.stopping {
		l.changed.Wait()
	}
	if l.err != nil || l.closing || l.stopping {
		return false
	}
	if answered {
		l.inFlight++
	}
	return true
}

// drain waits until everything in flight is answered, for as long as allowed.
func (l *lines) drain() {
	late := false
	wait := func(d time.Duration) *time.Timer {
		return time.AfterFunc(d, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			late = true
			l.changed.Broadcast()
		})
	}
	defer wait(graceEOF).Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	short := false
	for l.inFlight > 0 && l.err == nil && !l.closing && !late {
		if l.stopping && !short {
			short = true
			defer wait(graceStop).Stop()
		}
		l.changed.Wait()
	}
}

// refuse answers a line that never becomes a request.
func (l *lines) refuse(e *Error) {
	l.mu.Lock()
	l.inFlight++
	l.mu.Unlock()
	// A failure shows at the next read.
	_ = l.Send(errorLine(e))
}

// stop ends Recv: no further requests, what is in flight may finish.
func (l *lines) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopping = true
	l.changed.Broadcast()
	// A failure means that reading has ended already.
	_ = l.conn.SetReadDeadline(time.Unix(1, 0))
}

// Close lets flush write what is queued and then close the connection.
func (l *lines) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closing = true
	l.changed.Broadcast()
	// A failure means that writing has ended already.
	_ = l.conn.SetWriteDeadline(time.Now().Add(graceDone))
	return nil
}
