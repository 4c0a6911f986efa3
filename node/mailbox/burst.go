package mailbox

import (
	"io"
	"sync"
)

// burstReader reads little while its stream is idle, and much at a time while
// a lot arrives, so that an idle client costs half a KiB and a busy one few
// calls.
type burstReader struct {
	r     io.Reader
	small [512]byte
	big   *[bigBurst]byte // while it is busy
	rest  []byte          // read, and not handed on
}

const bigBurst = 32 << 10

var bursts = sync.Pool{New: func() any { return new([bigBurst]byte) }}

func (b *burstReader) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		if len(p) >= bigBurst {
			return b.r.Read(p)
		}
		buf := b.small[:]
		if b.big != nil {
			buf = b.big[:]
		}
		n, err := b.r.Read(buf)
		b.rest = buf[:n]
		if n == 0 {
			return 0, err
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	if len(b.rest) == 0 {
		b.adapt()
	}
	return n, nil
}

// adapt chooses the buffer for the next read: what filled its buffer has more
// behind it.
func (b *burstReader) adapt() {
	switch full := cap(b.rest) == 0; {
	case full && b.big == nil:
		b.big = bursts.Get().(*[bigBurst]byte)
	case !full && b.big != nil:
		bursts.Put(b.big)
		b.big, b.rest = nil, nil
	}
}
