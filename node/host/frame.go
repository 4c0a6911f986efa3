package host

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"rushlight/protocol/wire"
)

// ErrFrame is wrapped by the error for a frame that its reader doesn't allow.
// The stream is of no further use.
var ErrFrame = errors.New("host: frame is not allowed")

// Limit returns the longest body of a frame of the given type in bytes, or a
// negative number when no such frame is allowed.
type Limit func(typ uint8) int

// FrameReader reads frames from a stream (spec §1.2).
type FrameReader struct {
	br    *bufio.Reader
	limit Limit
	stall func(bool)
}

// NewFrameReader reads frames that limit allows from r through a buffer of
// size bytes. stall, which may be nil, is called with true before the reader
// waits in the middle of a frame and with false after: a peer may be silent
// between frames for ever, but not within one.
func NewFrameReader(r io.Reader, size int, limit Limit, stall func(bool)) *FrameReader {
	if stall == nil {
		stall = func(bool) {}
	}
	return &FrameReader{br: bufio.NewReaderSize(r, size), limit: limit, stall: stall}
}

// Next returns the next frame. The body is the caller's. The error is io.EOF
// only between frames; one that wraps [ErrFrame] is the peer's fault.
func (f *FrameReader) Next() (typ uint8, body []byte, err error) {
	var h [wire.FrameHeader]byte
	if _, err := io.ReadFull(f.br, h[:1]); err != nil {
		return 0, nil, err
	}
	waits := f.br.Buffered() < len(h)-1
	if waits {
		f.stall(true)
	}
	if _, err = io.ReadFull(f.br, h[1:]); err != nil {
		return 0, nil, broken(err)
	}
	typ, n := wire.ParseFrameHeader(h)
	if most := f.limit(typ); n > most {
		return 0, nil, fmt.Errorf("%w: type %d of %d bytes", ErrFrame, typ, n)
	}
	if !waits && f.br.Buffered() < n {
		waits = true
		f.stall(true)
	}
	body = make([]byte, n)
	if _, err = io.ReadFull(f.br, body); err != nil {
		return 0, nil, broken(err)
	}
	if waits {
		f.stall(false)
	}
	return typ, body, nil
}

// broken is what the end of the stream means within a frame.
func broken(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Ready reports whether a whole frame has arrived, so that [FrameReader.Next]
// won't wait.
func (f *FrameReader) Ready() bool {
	have := f.br.Buffered()
	if have < wire.FrameHeader {
		return false
	}
	p, err := f.br.Peek(wire.FrameHeader)
	if err != nil {
		return false
	}
	_, n := wire.ParseFrameHeader([wire.FrameHeader]byte(p))
	return have >= wire.FrameHeader+n
}
