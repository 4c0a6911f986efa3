package delivery

import (
	"context"
	"fmt"
	"sync"
	"time"

	"rushlight/node/host"
	"rushlight/protocol/wire"
)

const (
	// writeChunk is how much one write takes, so that acknowledgements are
	// never far behind the messages of the other direction.
	writeChunk = 128 << 10
	// writeTime is how long a peer may refuse to take a write.
	writeTime = time.Minute
	// maxOut bounds what waits to be answered: a peer that sends but doesn't
	// read is cut off.
	maxOut = 256 << 10
	// readAhead is how many parcels are asked of the engine at once.
	readAhead = 256
)

// frame is a frame still to be encoded.
type frame struct {
	typ  uint8
	body []byte
}

// outgoing is what other goroutines give the writer: frames that go before any
// message, and reasons to look for messages again.
type outgoing struct {
	kick chan struct{} // has a token when there is something to look at

	mu    sync.Mutex
	buf   []byte
	fresh bool // parcels may have been queued
	again bool // parcels must be sent once more
	until time.Time
	pause time.Duration
}

// raw queues encoded frames.
func (o *outgoing) raw(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	o.mu.Lock()
	o.buf = append(o.buf, b...)
	full := len(o.buf) > maxOut
	o.mu.Unlock()
	signal(o.kick)
	if full {
		return fmt.Errorf("%w: it does not read", errProtocol)
	}
	return nil
}

func (o *outgoing) push(frames ...frame) error {
	var b []byte
	for _, f := range frames {
		b = wire.AppendFrame(b, f.typ, f.body)
	}
	return o.raw(b)
}

func (o *outgoing) failure(f failure) error { return o.raw(f.append(nil)) }

// look makes the writer ask for new parcels.
func (o *outgoing) look() {
	o.mu.Lock()
	o.fresh = true
	o.mu.Unlock()
	signal(o.kick)
}

// restart makes the writer send all that is pending and not on its way.
func (o *outgoing) restart() {
	o.mu.Lock()
	o.again = true
	o.mu.Unlock()
	signal(o.kick)
}

// hold stops messages for a while, each time for longer, and then restarts.
func (o *outgoing) hold(wait time.Duration, now time.Time) {
	o.mu.Lock()
	if !now.Before(o.until) {
		o.pause = min(max(wait, 2*o.pause), maxRetry)
		o.until = now.Add(o.pause)
	}
	o.again = true
	o.mu.Unlock()
	signal(o.kick)
}

// calm says that the other side takes messages, and whether the writer has
// waited for that.
func (o *outgoing) calm(waited bool) {
	o.mu.Lock()
	o.pause = 0
	o.mu.Unlock()
	if waited {
		signal(o.kick)
	}
}

// empty reports whether no frames are queued.
func (o *outgoing) empty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.buf) == 0
}

// orders is what the writer finds.
type orders struct {
	fresh, again bool
	until        time.Time
}

// collect returns the queued frames and leaves spare for the next ones.
func (o *outgoing) collect(spare []byte) ([]byte, orders) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b, out := o.buf, orders{fresh: o.fresh, again: o.again, until: o.until}
	o.buf, o.fresh, o.again = spare[:0], false, false
	return b, out
}

// cursor is how far the writer has read the outbox.
type cursor struct {
	parcels []Parcel // read and not sent
	after   uint64
	more    bool // there may be more
	again   bool // some may be on their way already
}

// write sends what is queued and then as many parcels as the window takes, in
// one write for all that is there, until the stream fails.
func (x *session) write(ctx context.Context) error {
	at := cursor{more: true}
	var spare []byte
	for {
		buf, o := x.out.collect(spare)
		if o.again {
			at = cursor{more: true, again: true}
		}
		if o.fresh {
			at.more = true
			buf = x.rekey(buf)
		}
		now := time.Now()
		control := len(buf)
		if x.active.Load() && !now.Before(o.until) {
			var err error
			if buf, err = x.fill(buf, &at, now); err != nil {
				return err
			}
		}
		if len(buf) == 0 {
			spare = nil // an idle stream keeps no buffers
			if err := x.rest(ctx, o.until.Sub(now)); err != nil {
				return err
			}
			continue
		}
		x.writing.take()
		err := x.send(buf, now)
		x.writing.pass()
		if err != nil {
			return err
		}
		if len(buf) > control {
			x.lastUs.Store(now.UnixNano())
		}
		spare = buf
	}
}

// send writes frames to the stream. Whoever calls it has x.writing.
func (x *session) send(b []byte, now time.Time) error {
	if err := x.s.SetWriteDeadline(now.Add(writeTime)); err != nil {
		return host.Opaque("delivery: setting a deadline", err)
	}
	if _, err := x.s.Write(b); err != nil {
		return host.Opaque("delivery: writing", err)
	}
	return nil
}

// rest waits for something to do, at most for a hold's length.
func (x *session) rest(ctx context.Context, hold time.Duration) error {
	var over <-chan time.Time
	if hold > 0 {
		t := time.NewTimer(hold)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-x.out.kick:
	case <-over:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// fill appends messages to buf.
func (x *session) fill(buf []byte, at *cursor, now time.Time) ([]byte, error) {
	account, ok := x.recipient()
	if !ok {
		return buf, nil
	}
	proved := x.who.Load() != nil
	sent := 0
	for len(buf) < writeChunk {
		if len(at.parcels) == 0 {
			if !at.more {
				break
			}
			ps, err := x.m.engine.Pending(account, at.after, readAhead)
			if err != nil {
				return buf, fmt.Errorf("delivery: reading what is pending: %w", err)
			}
			at.parcels, at.more = ps, len(ps) == readAhead
			continue
		}
		p := at.parcels[0]
		if len(p.Envelope) != p.Class.Size() || p.Seq <= at.after {
			return buf, fmt.Errorf("delivery: parcel of class %d and %d bytes is not one", p.Class, len(p.Envelope))
		}
		if !at.again || !x.window.holds(p.Seq) {
			id, ok := x.window.add(p.Seq, len(p.Envelope), proved, now)
			if !ok {
				break
			}
			buf = appendMsg(buf, id, p)
			sent++
			x.m.stir()
		}
		at.after = p.Seq
		at.parcels = at.parcels[1:]
		at.again = at.again && (at.more || len(at.parcels) > 0)
	}
	x.m.stats.sent.Add(uint64(sent))
	return buf, nil
}

// rekey asks for a bundle where the engine wants one and none was asked for.
func (x *session) rekey(buf []byte) []byte {
	c := x.who.Load()
	if c == nil || x.wants.Load() || !x.m.engine.WantsBundle(c.account) {
		return buf
	}
	x.wants.Store(true)
	return wire.AppendFrame(buf, frameBundleGet, nil)
}
