package post

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"rushlight/node/engine"
	"rushlight/protocol/envelope"
	wire "rushlight/protocol/mailbox"
	"rushlight/protocol/receipt"
	"rushlight/storage/record"
)

// When relays are tested with letters to oneself (spec §12.11).
const (
	canaryEvery = 24 * time.Hour
	canaryTime  = time.Minute // to come
	canaryDelay = 30 * time.Second
)

// canary is a letter to oneself on its way.
type canary struct {
	*engine.Canary
	receipt *receipt.Receipt // nil: the relay would not take it
	stored  time.Time
	came    bool
}

// nextTest is until the next test of a relay.
func (p *Post) nextTest(r *record.Relay) time.Duration {
	if p.canaries < 0 || r.Leaving != 0 || r.Lied != 0 {
		return 1 << 62
	}
	if r.Canary == 0 {
		return rand.N(p.canaries/24 + 1)
	}
	return time.Until(time.Unix(r.Canary, 0).Add(p.canaries*3/4 + rand.N(p.canaries/2+1)))
}

// plan leaves a letter to oneself when the next test is due, until ctx ends, and
// sees to it that somebody looks whether it has come.
func (c *collector) plan(ctx context.Context) {
	r := c.p.relay(c.key)
	c.p.mu.Lock()
	planned := r == nil || c.planned || c.canary != nil
	c.planned = !planned || c.planned
	c.p.mu.Unlock()
	if planned {
		return
	}
	wait := c.p.nextTest(r) + rand.N(min(canaryDelay, c.p.canaries/4+1))
	c.work.Go(func() {
		t := time.NewTimer(max(0, wait))
		defer t.Stop()
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if err := c.leaveCanary(ctx, r); err != nil {
			c.p.log.Debug("testing a relay", "err", err)
		}
		t.Reset(min(canaryTime, c.p.canaries))
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		c.p.mu.Lock()
		wake := c.p.idle[c.key]
		c.planned = false
		c.p.mu.Unlock()
		if wake != nil { // to look whether it has come, and to plan the next
			wake()
		}
	})
}

// leaveCanary deposits a letter to oneself.
func (c *collector) leaveCanary(ctx context.Context, r *record.Relay) error {
	letter, err := c.p.e.Canary(ctx, c.key)
	if err != nil || letter == nil {
		return err
	}
	at, err := peerOf(c.key, r.Addrs)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	d, err := c.p.out.stream(ctx, c.key, at)
	if err != nil {
		return err // not reachable: that is noticed otherwise
	}
	one := &canary{Canary: letter}
	set := func(change func()) {
		c.p.mu.Lock()
		defer c.p.mu.Unlock()
		change()
	}
	set(func() { c.canary = one }) // from here on it may come
	stored, err := d.Deposit(ctx, &wire.Deposit{TTL: keepDays, Receipt: true, Stamp: letter.Stamp, Envelope: letter.Envelope})
	set(func() {
		e := new(wire.Err)
		if errors.As(err, &e) && (e.Code == wire.CodeFull || e.Code == wire.CodeBusy) {
			c.canary = nil // nothing follows from that
		}
		one.receipt, one.stored = stored.Receipt, time.Now()
	})
	return err
}

// sees reports whether an envelope is the letter to oneself, and notes that it
// came.
func (c *collector) sees(env []byte) bool {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	if c.canary == nil || envelope.TagOf(env) != envelope.TagOf(c.canary.Envelope) {
		return false
	}
	c.canary.came = bytes.Equal(env, c.canary.Envelope)
	return c.canary.came
}

// judge decides about the letter to oneself, after everything was fetched up to
// a commit of the relay.
func (c *collector) judge(ctx context.Context, end wire.End) error {
	c.p.mu.Lock()
	one := c.canary
	over := one != nil && (one.came || !one.stored.IsZero() &&
		(one.receipt != nil && end.Batch >= one.receipt.Batch || time.Since(one.stored) >= min(canaryTime, c.p.canaries)))
	if over {
		c.canary = nil
	}
	c.p.mu.Unlock()
	if !over {
		return nil
	}
	var proof *engine.Proof
	if !one.came && one.receipt != nil && end.Batch >= one.receipt.Batch {
		proof = engine.ProofOf(one.Canary, one.receipt, end.Batch)
	}
	return c.p.e.CanaryCame(ctx, c.key, one.came, proof)
}

// answered notes whether a relay answers.
func (p *Post) answered(ctx context.Context, key [32]byte, ok bool) {
	if err := p.e.RelayAnswered(ctx, key, ok); err != nil && ctx.Err() == nil && !errors.Is(err, engine.ErrStopped) {
		p.log.Error("noting how a relay is", "err", err)
	}
}
