package delivery

import (
	"context"
	"fmt"
	"time"

	"rushlight/node/delivery/parcel"
	"rushlight/node/host"
)

// read takes frames off the stream and hands them on in groups: everything
// that has arrived by the time it would have to wait. It returns the error
// that ended the stream.
//
// Two goroutines do this, one at a time. The one that reads a single frame with
// nothing ahead of it deals with it there and then, which spares that frame two
// changes of goroutine, and leaves the reading to the other.
func (x *session) read(ctx context.Context) error {
	x.reading.take()
	defer x.reading.pass()
	var g group
	for {
		typ, body, err := x.in.Next()
		if err != nil {
			return host.Opaque("delivery: reading", err)
		}
		if err := x.take(&g, typ, body); err != nil {
			return err
		}
		if len(g.items) < batchFrames && len(g.answers) < windowFrames && x.in.Ready() {
			continue
		}
		now := time.Now().UnixNano()
		x.lastIn.Store(now)
		x.probe.Store(0)
		if len(g.items)+len(g.answers) > 0 {
			x.lastUs.Store(now)
		}
		if err := x.hand(ctx, &g); err != nil {
			return err
		}
		g.reset()
	}
}

// hand has a group dealt with, by this goroutine or by those that commit.
func (x *session) hand(ctx context.Context, g *group) error {
	if len(g.answers) > 0 {
		x.out.calm(x.window.room())
	}
	switch {
	case len(g.answers) == 1 && len(g.items) == 0 && x.answers.claim():
		return x.meanwhile(func() error {
			defer x.answers.release()
			return x.conclude(ctx, g.answers)
		})
	case len(g.answers) == 0 && len(g.items) == 1 && g.items[0].kind == itemMsg && x.inbox.claim():
		return x.meanwhile(func() error {
			defer x.inbox.release()
			return x.receive(ctx, g.items, [][]byte{g.items[0].body})
		})
	}
	x.held.Store(true)
	defer x.held.Store(false)
	if err := x.answers.put(ctx, g.answers); err != nil {
		return err
	}
	return x.inbox.put(ctx, g.items)
}

// meanwhile does work while the other goroutine reads.
func (x *session) meanwhile(work func() error) error {
	x.reading.pass()
	defer x.reading.take()
	err := work()
	if err != nil {
		x.fail(err) // the other waits for the stream
	}
	return err
}

// group is what was read without waiting.
type group struct {
	items   []item
	answers []answer
}

func (g *group) reset() {
	clear(g.items)
	g.items, g.answers = g.items[:0], g.answers[:0]
}

// take handles one frame.
func (x *session) take(g *group, typ uint8, body []byte) error {
	switch typ {
	case frameMsg:
		id, env, err := parseMsg(body)
		if err != nil {
			return err
		}
		if ok, err := x.admit(len(env)); err != nil {
			return err
		} else if !ok {
			return x.out.failure(aboutMsg(id, parcel.CodeBusy, time.Second))
		}
		g.items = append(g.items, item{kind: itemMsg, id: id, body: env})
	case frameAck:
		id, mac, err := parseAck(body)
		if err != nil {
			return err
		}
		seq, ok := x.window.take(id)
		if !ok {
			return fmt.Errorf("%w: answer to nothing", errProtocol)
		}
		g.answers = append(g.answers, answer{ack: Ack{Seq: seq, MAC: mac}})
	case frameErr:
		return x.refused(g, body)
	case frameProof:
		return x.proved(g, body)
	case frameCounters:
		if x.counted {
			return fmt.Errorf("%w: counters twice", errProtocol)
		}
		x.counted = true
		cs, err := parseCounters(body)
		if err != nil {
			return err
		}
		g.items = append(g.items, item{kind: itemCounters, counters: cs})
	case frameClock:
		if x.timed {
			return fmt.Errorf("%w: clock twice", errProtocol)
		}
		x.timed = true
		now, err := parseClock(body)
		if err != nil {
			return err
		}
		g.items = append(g.items, item{kind: itemClock, clock: now})
	case frameBundleGet:
		if x.bundleGets++; x.bundleGets > maxBundleGets {
			return fmt.Errorf("%w: too many bundles wanted", errProtocol)
		}
		g.items = append(g.items, item{kind: itemBundleGet})
	case frameBundle:
		if !x.wants.Swap(false) {
			return fmt.Errorf("%w: bundle that nobody asked for", errProtocol)
		}
		g.items = append(g.items, item{kind: itemBundle, body: body})
	case framePing:
		return x.out.push(frame{framePong, nil})
	case framePong:
	default:
		return fmt.Errorf("%w: frame %#x here", errProtocol, typ)
	}
	return nil
}

// admit holds whoever has not proved to be a contact to a stranger's limits.
// False means "not now".
func (x *session) admit(size int) (bool, error) {
	if x.vouched || x.who.Load() != nil {
		return true, nil
	}
	x.strangeFrames++
	x.strangeBytes += size
	if x.strangeFrames > strangerFrames || x.strangeBytes > strangerBytes {
		return false, fmt.Errorf("%w: a stranger's stream is full", errProtocol)
	}
	return x.m.strangers.Allow(), nil
}

// refused handles an ERR frame.
func (x *session) refused(g *group, body []byte) error {
	f, err := parseFailure(body)
	if err != nil {
		return err
	}
	id, ok := f.msg()
	if !ok {
		return fmt.Errorf("delivery: the peer gave up with code %d", f.code)
	}
	seq, ok := x.window.take(id)
	if !ok {
		return fmt.Errorf("%w: answer to nothing", errProtocol)
	}
	if f.busy() {
		x.out.hold(f.wait(), time.Now())
		return nil
	}
	g.answers = append(g.answers, answer{ack: Ack{Seq: seq}, code: f.code})
	return nil
}

// proved handles the listener's proof.
func (x *session) proved(g *group, body []byte) error {
	if !x.dialled || x.proofSeen {
		return fmt.Errorf("%w: proof out of place", errProtocol)
	}
	x.proofSeen = true
	p, err := parseProof(body)
	if err != nil {
		return err
	}
	device, err := x.m.check(x.open, p, roleListener, x.proof.key[:])
	if err != nil {
		return err
	}
	_, x.vouched = x.m.engine.AccountOf(device, p.key)
	g.items = append(g.items, item{kind: itemProof, key: p.key})
	return nil
}
