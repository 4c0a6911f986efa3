package post

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"rushlight/node/host"
	"rushlight/node/mailbox"
	"rushlight/protocol/envelope"
	"rushlight/protocol/identity"
	wire "rushlight/protocol/mailbox"
	"rushlight/protocol/stamp"
)

// Stretches of files go past the engine (spec §15.5): they are neither in an
// outbox nor in a session, and what is lost of them is ordered again.

// Part is an envelope with a stretch of a file, at a relay.
type Part struct {
	Seq      uint64
	Envelope []byte
}

// Porter takes stretches of files.
type Porter interface {
	// Awaits reports whether an envelope with a tag is a stretch of a file that
	// is on its way here. It must not block.
	Awaits(tag [16]byte) bool
	// Carry takes such envelopes, which aren't used any more when it returns, and
	// says which may be deleted at the relay, of these and of those that it took before: what was in them is kept, or
	// not wanted.
	Carry(ctx context.Context, relay [32]byte, parts []Part) (done []uint64)
}

// SetPorter names who takes stretches. It must be called before [Post.Run].
func (p *Post) SetPorter(to Porter) { p.porter = to }

// Waiting is the relay at which mail for this device is waited for, and how
// many bytes its mailbox may hold.
func (p *Post) Waiting() (relay [32]byte, quota uint64, ok bool) {
	for _, r := range p.e.Mailboxes() {
		if s := p.Status(r.Key); s.Ready && s.Failed == 0 && p.parks(r.Key) {
			return r.Key, s.Quota, true
		}
	}
	return relay, 0, false
}

// Look makes the collector of a relay look at everything in its mailbox again,
// and fill up its stamps. It does not block.
func (p *Post) Look(relay [32]byte) {
	p.mu.Lock()
	wake := p.idle[relay]
	p.mu.Unlock()
	if wake != nil {
		wake()
	}
}

// partsAhead is how many deposits of stretches are on their way to a relay at
// once: as many as it takes of one stream.
const partsAhead = 16

// ErrNotLeft: what was to be left at a relay can't be left there now.
var ErrNotLeft = errors.New("post: not left at the relay")

// Leave deposits n envelopes of class L at a relay of a contact, as part makes
// them, each paid for by its stamp. One that the relay refuses is left out. The
// error is [ErrNotLeft], after left of them: they are answered, and the rest may be
// tried later. What part returned isn't used any more when part is called again.
func (p *Post) Leave(ctx context.Context, to identity.AccountID, relay [32]byte, n int, part func(i int) (stamp.Stamp, []byte, error)) (left int, err error) {
	addrs, ok := p.e.PlaceOf(to, relay)
	if !ok {
		return 0, fmt.Errorf("%w: the contact doesn't name it", ErrNotLeft)
	}
	if p.out.avoid(relay, to) {
		return 0, fmt.Errorf("%w: it does not answer, or has no room", ErrNotLeft)
	}
	at, err := peerOf(relay, addrs)
	if err != nil {
		return 0, err
	}
	opening, cancel := context.WithTimeout(ctx, answer)
	d, err := p.out.stream(host.CallsFor(opening, string(to[:])), relay, at)
	cancel()
	if err != nil {
		p.out.note(relay, false, 0)
		return 0, fmt.Errorf("%w: %w", ErrNotLeft, err)
	}
	l := &leaving{p: p, d: d, to: to, relay: relay, answered: make([]bool, n), free: make(chan struct{}, partsAhead)}
	err = l.run(ctx, part)
	return l.left(), err
}

// leaving is one Leave on its way.
type leaving struct {
	p     *Post
	d     *mailbox.Deposits
	to    identity.AccountID
	relay [32]byte
	free  chan struct{} // a token for each deposit on its way

	mu       sync.Mutex
	answered []bool
	failed   error
}

// left is how many of the first are answered.
func (l *leaving) left() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := slices.Index(l.answered, false); n >= 0 {
		return n
	}
	return len(l.answered)
}

func (l *leaving) run(ctx context.Context, part func(i int) (stamp.Stamp, []byte, error)) error {
	patience := time.NewTimer(answer)
	defer patience.Stop()
	token := func() error {
		patience.Reset(answer)
		select {
		case l.free <- struct{}{}:
			return l.err()
		case <-patience.C:
			l.p.out.note(l.relay, false, 0)
			return fmt.Errorf("%w: no answer", ErrNotLeft)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for i := range l.answered {
		if err := token(); err != nil {
			return err
		}
		s, env, err := part(i)
		if err != nil {
			return err
		}
		l.d.Start(&wire.Deposit{TTL: keepDaysL, Stamp: s, Envelope: env}, func(_ wire.Stored, err error) { l.note(i, err) })
	}
	for range cap(l.free) {
		if err := token(); err != nil {
			return err
		}
	}
	l.p.out.note(l.relay, true, 0)
	return nil
}

func (l *leaving) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// note takes the answer to one deposit.
func (l *leaving) note(i int, err error) {
	e := new(wire.Err)
	fails := false
	switch {
	case err == nil:
		l.p.out.room(l.relay, l.to, true, 0)
	case errors.As(err, &e) && (e.Code == wire.CodeFull || e.Code == wire.CodeBusy):
		fails = true
		pause := min(maxRest, max(time.Second, time.Duration(min(e.RetryAfter, 3600))*time.Second))
		l.p.out.room(l.relay, l.to, false, pause)
	case errors.As(err, &e): // this one won't be taken, another may
	default:
		fails = true
		l.p.out.note(l.relay, false, 0)
	}
	l.mu.Lock()
	l.answered[i] = !fails
	if fails && l.failed == nil {
		l.failed = fmt.Errorf("%w: %w", ErrNotLeft, err)
	}
	l.mu.Unlock()
	<-l.free
}

// maxRest is for how long a mailbox is left alone that was full: the recipient is there
// and empties it.
const maxRest = 5 * time.Second

// part takes an envelope out of a fetch if it is a stretch of a file.
func (c *collector) part(e *wire.Env) bool {
	if c.p.porter == nil || len(e.Envelope) != envelope.L.Size() || !c.p.porter.Awaits(envelope.TagOf(e.Envelope)) {
		return false
	}
	var env []byte
	if n := len(c.spare); n > 0 {
		env, c.spare = c.spare[n-1], c.spare[:n-1]
	}
	c.parts = append(c.parts, Part{e.Seq, append(env[:0], e.Envelope...)})
	return true
}

// trimFrom is from how many stretches on they are deleted together while more
// of them wait.
const trimFrom = 64

// carry hands on the stretches of a fetch, and trims those that are kept.
func (c *collector) carry(ctx context.Context, more bool) error {
	if len(c.parts) == 0 {
		return nil
	}
	done := c.p.porter.Carry(ctx, c.key, c.parts)
	for _, x := range c.parts {
		delete(c.unknown, x.Seq)
		c.spare = append(c.spare, x.Envelope)
	}
	clear(c.parts)
	c.parts = c.parts[:0]
	if c.kept = append(c.kept, done...); more && len(c.kept) < trimFrom {
		return nil
	}
	done, c.kept = c.kept, nil
	slices.Sort(done)
	for ranges := range slices.Chunk(wire.RangesOf(done), wire.MaxRanges) {
		if _, err := c.mb.Trim(ctx, ranges...); err != nil {
			return err
		}
	}
	return nil
}

// rewind goes back in the mailbox to what came before it was known to be
// awaited.
func (c *collector) rewind() (back bool) {
	for seq, tag := range c.unknown {
		if c.p.porter != nil && c.p.porter.Awaits(tag) {
			c.after, back = min(c.after, seq-1), true
		}
	}
	if back {
		c.unknown = map[uint64][16]byte{}
	}
	return back
}
