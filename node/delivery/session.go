package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"rushlight/node/delivery/parcel"
	"rushlight/node/host"
	"rushlight/protocol/identity"
)

// Limits of a stream on the receiving side (spec §8.3).
const (
	readBuffer  = 64 << 10
	batchFrames = 256
	batchBytes  = 4 << 20
	// What a stranger may send on one stream.
	strangerFrames = 64
	strangerBytes  = 1 << 20
	strangerTime   = time.Minute
	// Requests for bundles on one stream.
	maxBundleGets = 8
)

// contact is whom a proof has shown the other side to be.
type contact struct {
	account identity.AccountID
	device  identity.DeviceID
}

// session is one stream of /rushlight/msg/1 after its opening. Five goroutines
// live as long as it does: two take turns in reading, and what reads never waits
// for a write; the writer never waits for a commit. So two sides that both send
// with full windows can't stop each other.
type session struct {
	m       *Manager
	s       network.Stream
	in      *host.FrameReader
	dialled bool
	named   bool // the dialler made a proof
	target  identity.AccountID
	open    opening
	proof   proof     // the dialler's
	proven  *[32]byte // the other side's signing key; the committer's after the start

	// The other side, once it is proved. Set once.
	who atomic.Pointer[contact]

	inbox   *queue[item]
	answers *queue[answer]
	out     outgoing
	window  window

	active atomic.Bool  // this is the stream to send on
	worked atomic.Bool  // the other side proved itself or acknowledged
	lastIn atomic.Int64 // when something last arrived, Unix ns
	stalls atomic.Int64 // since when the reader waits within a frame, Unix ns
	probe  atomic.Int64 // since when an answer to a ping is due, Unix ns
	lastUs atomic.Int64 // when anything but pings last passed, Unix ns

	held   atomic.Bool  // the reader waits for this side's commits
	denied atomic.Int64 // when a parcel was last refused, Unix ns
	wants  atomic.Bool  // a bundle was asked for and hasn't come

	cancel  context.CancelCauseFunc
	stopped sync.Once
	parts   sync.WaitGroup

	reading turn // whoever has it reads
	writing turn // whoever has it writes

	// Owned by who reads.
	strangeFrames, strangeBytes int
	bundleGets                  int
	counted                     bool // COUNTERS has come
	timed                       bool // CLOCK has come
	proofSeen, vouched          bool // PROOF has come, of a contact
}

// item is something for the committer.
type item struct {
	kind     itemKind
	id       uint32
	body     []byte // envelope or bundle
	key      [32]byte
	counters []Counter
	clock    time.Time
}

type itemKind uint8

const (
	itemMsg itemKind = iota
	itemProof
	itemCounters
	itemClock
	itemBundleGet
	itemBundle
)

// answer is what the other side says about a parcel.
type answer struct {
	ack  Ack
	code uint8 // 0 for an acknowledgement
}

func (m *Manager) newSession(s network.Stream) *session {
	x := &session{m: m, s: s, reading: make(turn, 1), writing: make(turn, 1)}
	x.in = host.NewFrameReader(s, readBuffer, messageLimit, func(waits bool) {
		if waits {
			x.stalls.Store(time.Now().UnixNano())
		} else {
			x.stalls.Store(0)
		}
	})
	x.inbox = newQueue(batchFrames, batchBytes, func(i item) int { return len(i.body) })
	x.answers = newQueue(windowFrames, batchBytes, func(answer) int { return 0 })
	x.out.kick = make(chan struct{}, 1)
	now := time.Now().UnixNano()
	x.lastIn.Store(now)
	x.lastUs.Store(now)
	return x
}

// peer is the peer id that the connection has authenticated.
func (x *session) peer() peer.ID { return x.s.Conn().RemotePeer() }

// fail ends the session; the first reason stays.
func (x *session) fail(err error) {
	x.stopped.Do(func() {
		x.cancel(err)
		_ = x.s.Reset() // the stream is given up either way
	})
}

// run serves an opened stream until it fails, which every stream does in the
// end. All its goroutines have ended when it returns.
func (x *session) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	x.cancel = cancel
	defer cancel(nil)
	if err := x.m.add(x); err != nil {
		x.fail(err)
		return err
	}
	defer x.m.remove(x)
	err := x.s.SetReadDeadline(time.Now().Add(strangerTime))
	if err == nil {
		err = x.recognise(ctx)
	}
	if err != nil {
		x.fail(err)
	}
	for _, part := range []func(context.Context) error{x.write, x.commit, x.settle, x.read} {
		x.parts.Go(func() { x.fail(part(ctx)) })
	}
	x.fail(x.read(ctx))
	x.parts.Wait()
	return context.Cause(ctx)
}

// trust is called once the other side's device is proved. It tells the other
// side what it may now know.
func (x *session) trust(ctx context.Context, c contact) error {
	if err := x.s.SetReadDeadline(time.Time{}); err != nil {
		return host.Opaque("delivery: clearing a deadline", err)
	}
	var frames []frame
	if !x.dialled {
		p, err := x.open.prove(x.m.engine, roleListener, x.proof.key[:])
		if err != nil {
			return err
		}
		frames = append(frames, frame{frameProof, p.marshal()})
	}
	frames = append(frames,
		frame{frameCounters, marshalCounters(x.m.engine.Counters(c.device))},
		frame{frameClock, marshalClock(x.m.engine.Clock())})
	if x.m.engine.WantsBundle(c.account) {
		x.wants.Store(true)
		frames = append(frames, frame{frameBundleGet, nil})
	}
	x.worked.Store(true)
	x.who.Store(&c)
	x.m.trusted(x, c)
	err := x.out.push(frames...)
	x.parts.Go(func() { x.m.reached(ctx, x, c) })
	return err
}

// recognise trusts the other side if it has proved a device that is, or has
// just become, a contact's. Until then it is a stranger.
func (x *session) recognise(ctx context.Context) error {
	if x.proven == nil || x.who.Load() != nil {
		return nil
	}
	device := identity.NewDeviceID(*x.proven)
	account, ok := x.m.engine.AccountOf(device, *x.proven)
	if !ok {
		return nil
	}
	if x.dialled && account != x.target {
		return fmt.Errorf("%w: another contact answers here", errImpostor)
	}
	return x.trust(ctx, contact{account: account, device: device})
}

// sender returns the proved device of the other side, or zero.
func (x *session) sender() identity.DeviceID {
	if c := x.who.Load(); c != nil {
		return c.device
	}
	return identity.DeviceID{}
}

// recipient returns the account whose parcels go out here, if any do.
func (x *session) recipient() (identity.AccountID, bool) {
	if c := x.who.Load(); c != nil {
		return c.account, true
	}
	return x.target, x.dialled
}

// commit takes what the reader put into the inbox to the engine, and answers
// for it.
func (x *session) commit(ctx context.Context) error {
	var spare, items []item
	var envs [][]byte
	var err error
	for {
		if items, err = x.inbox.take(ctx, spare); err != nil {
			return err
		}
		for rest := items; len(rest) > 0; {
			n := 0
			envs = envs[:0]
			for n < len(rest) && rest[n].kind == itemMsg {
				envs = append(envs, rest[n].body)
				n++
			}
			if n > 0 {
				err = x.receive(ctx, rest[:n], envs)
			} else {
				n, err = 1, x.control(ctx, rest[0])
			}
			if err != nil {
				return err
			}
			rest = rest[n:]
		}
		spare = items
	}
}

// receive commits messages and queues an answer for each.
func (x *session) receive(ctx context.Context, items []item, envs [][]byte) error {
	results := x.m.engine.ReceiveBatch(ctx, x.sender(), envs)
	if len(results) != len(items) {
		return fmt.Errorf("delivery: %d results for %d envelopes", len(results), len(items))
	}
	clear(envs)
	var buf []byte
	for i, r := range results {
		id := items[i].id
		if r.Err == nil {
			buf = appendAck(buf, id, r.MAC)
			continue
		}
		x.m.stats.declined.Add(1)
		var no *Refusal
		if !errors.As(r.Err, &no) || no.Code == 0 {
			no = &Refusal{Code: parcel.CodeBusy}
		}
		buf = aboutMsg(id, no.Code, no.RetryAfter).append(buf)
	}
	x.m.stats.received.Add(uint64(len(items)))
	if err := x.reply(buf); err != nil {
		return err
	}
	return x.recognise(ctx)
}

// reply sends answers: at once when nothing else is being written and nothing
// of this side's is unanswered, so that a write can't wait for a peer that waits
// for this side; through the writer otherwise.
func (x *session) reply(b []byte) error {
	if _, waiting := x.window.waiting(); waiting || !x.out.empty() || !x.writing.try() {
		return x.out.raw(b)
	}
	defer x.writing.pass()
	return x.send(b, time.Now())
}

// control handles everything that isn't a message and needs the engine.
func (x *session) control(ctx context.Context, it item) error {
	c := x.who.Load()
	switch {
	case it.kind == itemProof:
		x.proven = &it.key
		return x.recognise(ctx)
	case c == nil && x.dialled:
		return nil // it knows us, but we have not heard of this device yet
	case c == nil:
		return fmt.Errorf("%w: only contacts may ask this", errProtocol)
	}
	switch it.kind {
	case itemMsg, itemProof: // not here
	case itemCounters:
		if err := x.m.engine.PeerCounters(ctx, c.device, it.counters); err != nil {
			return fmt.Errorf("delivery: taking counters: %w", err)
		}
	case itemClock:
		if err := x.m.engine.PeerClock(ctx, c.device, it.clock); err != nil {
			return fmt.Errorf("delivery: comparing clocks: %w", err)
		}
	case itemBundleGet:
		b, err := x.m.engine.PersonalBundle(ctx, c.device)
		if err != nil || len(b) > maxBundle {
			x.m.log.Warn("no bundle for a contact", "error", err, "bytes", len(b))
			b = nil
		}
		return x.out.push(frame{frameBundle, b})
	case itemBundle:
		if len(it.body) == 0 {
			return nil
		}
		if err := x.m.engine.AcceptBundle(ctx, c.account, c.device, it.body); err != nil {
			x.m.log.Warn("a contact's bundle was not taken", "error", err)
		}
	}
	return nil
}

// settle takes the other side's answers to the engine. An error ends the
// stream: the next one sends again what is still pending.
func (x *session) settle(ctx context.Context) error {
	var spare, all []answer
	var err error
	for {
		if all, err = x.answers.take(ctx, spare); err != nil {
			return err
		}
		if err = x.conclude(ctx, all); err != nil {
			return err
		}
		spare = all
	}
}

// conclude records answers.
func (x *session) conclude(ctx context.Context, all []answer) error {
	account, _ := x.recipient()
	device := x.sender()
	acks := make([]Ack, 0, len(all))
	for _, a := range all {
		if a.code == 0 {
			acks = append(acks, a.ack)
			continue
		}
		x.m.stats.refused.Add(1)
		x.denied.Store(time.Now().UnixNano())
		if err := x.m.engine.Refused(ctx, account, device, a.ack.Seq, a.code); err != nil {
			return fmt.Errorf("delivery: recording a refusal: %w", err)
		}
	}
	if len(acks) == 0 {
		return nil
	}
	if err := x.m.engine.Acked(ctx, account, device, acks); err != nil {
		return fmt.Errorf("delivery: recording acknowledgements: %w", err)
	}
	x.worked.Store(true)
	x.m.stats.acked.Add(uint64(len(acks)))
	return nil
}

// ended reports whether an error is one of the ways in which streams end every
// day.
func ended(err error) bool {
	return err == nil || errors.Is(err, io.EOF) || errors.Is(err, network.ErrReset) ||
		errors.Is(err, errStopping) || errors.Is(err, errIdle) || errors.Is(err, context.Canceled)
}
