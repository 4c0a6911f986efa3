package post

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"rushlight/node/engine"
	"rushlight/node/host"
	"rushlight/node/mailbox"
	wire "rushlight/protocol/mailbox"
	"rushlight/storage/record"
)

const (
	parkFor    = 600             // seconds that a fetch waits
	fetchBytes = 256 << 10       // at a time, and
	fetchMost  = 2 << 20         // when they come fast
	quick      = time.Second     // for a fetch
	firstPause = time.Second     // after a relay could not be reached,
	lastPause  = 5 * time.Minute // doubling
	handLife   = 12 * time.Hour  // of the host that fetches
	maxUnknown = 4096            // envelopes that are remembered to be looked at again
)

// collectAll keeps one collector for each mailbox.
func (p *Post) collectAll(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	running := map[[32]byte]context.CancelFunc{}
	defer func() {
		for _, stop := range running {
			stop()
		}
	}()
	gather := time.NewTimer(p.owing) // for what was owed before the start
	defer gather.Stop()
	gathering := true
	for {
		all := p.e.Mailboxes()
		for key, stop := range running {
			if !slices.ContainsFunc(all, func(r record.Relay) bool { return r.Key == key }) {
				stop()
				delete(running, key)
			}
		}
		for _, r := range all {
			if running[r.Key] != nil {
				p.interrupt(&r)
				continue
			}
			sub, stop := context.WithCancel(ctx)
			running[r.Key] = stop
			wg.Go(func() { p.collect(sub, r.Key) })
		}
		select {
		case <-ctx.Done():
			return
		case <-p.e.MailboxesChanged():
		case <-p.owed:
			if !gathering {
				gather.Reset(p.owing)
				gathering = true
			}
		case <-gather.C:
			gathering = false
			p.acknowledge(ctx)
		}
	}
}

// acknowledge sends the acknowledgements that were gathered.
func (p *Post) acknowledge(ctx context.Context) {
	all, err := p.e.Owes()
	for _, a := range all {
		err = errors.Join(err, p.e.Acknowledge(ctx, a))
		p.at(a, time.Now()) // they were late already
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, engine.ErrStopped) {
		p.log.Error("acknowledging", "err", err)
	}
}

// parks reports whether a relay is the one at which a fetch waits for mail: the
// first that works. The others are looked at every hour.
func (p *Post) parks(key [32]byte) bool {
	all := p.e.Mailboxes()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range all {
		if p.status[r.Key].Failed < 2 && r.Leaving == 0 && !engine.Bad(&r) {
			return r.Key == key
		}
	}
	// Of bad ones the first is better than none.
	return len(all) > 0 && all[0].Key == key && engine.Bad(&all[0])
}

// collect fetches from one relay until ctx ends.
func (p *Post) collect(ctx context.Context, key [32]byte) {
	c := &collector{p: p, key: key, again: make(chan struct{}, 1)}
	defer c.work.Wait()
	p.mu.Lock()
	p.recheck[key] = c.again
	p.mu.Unlock()
	pause := firstPause
	for ctx.Err() == nil {
		began := time.Now()
		c.next = pollEvery
		worked, err := c.run(ctx)
		c.hangUp()
		wait := c.next
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			if errors.Is(err, errErrand) {
				continue
			}
			if r := p.relay(key); r != nil && r.Leaving != 0 && time.Since(time.Unix(r.Leaving, 0)) > leaveAtLast {
				p.forget(ctx, key)
				return
			}
			p.log.Debug("a mailbox can't be emptied", "err", err)
			p.note(key, func(s *Status) { s.Failed++; s.Why = reason(err) })
			p.answered(ctx, key, false)
			if p.Status(key).Failed == 2 {
				p.Recheck() // another relay is to wait at
			}
			if worked || time.Since(began) > time.Minute {
				pause = firstPause
			}
			wait = pause
			pause = min(2*pause, lastPause)
		} else {
			pause = firstPause
			c.wait(func() { ring(c.again) })
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-t.C:
		case <-c.again:
		}
		t.Stop()
		c.wait(nil)
	}
}

// reason says what went wrong without naming anybody.
func reason(err error) string {
	e := new(wire.Err)
	switch {
	case errors.As(err, &e):
		return e.Error()
	case errors.Is(err, mailbox.ErrLied):
		return "the relay broke its word"
	case errors.Is(err, errHosting):
		return errHosting.Error()
	}
	return "the relay can't be reached"
}

var errHosting = errors.New("post: the relay asks for a token of its operator")

// collector empties one mailbox.
type collector struct {
	p     *Post
	key   [32]byte
	again chan struct{} // has a token when everything is to be looked at again

	h    *host.Host // with a key for this relay alone
	born time.Time
	mb   *mailbox.Mailbox

	work    sync.WaitGroup
	planned bool    // guarded by p.mu, like canary: a letter to oneself is planned, or
	canary  *canary // on its way

	next    time.Duration // until the next time, if nothing happens
	behind  time.Duration // by how much the relay's clock is ahead of this one
	after   uint64
	size    uint32              // of the next fetch
	refused [3]time.Time        // when the relay gave no more stamps of a class
	unknown map[uint64][16]byte // what isn't recognised, and stays
	parts   []Part              // of files, of this fetch
	spare   [][]byte            // memory for such
	kept    []uint64            // of files, that can be deleted
}

func (c *collector) hangUp() {
	if c.mb != nil {
		c.mb.Close()
		c.mb = nil
	}
	if c.h != nil {
		if err := c.h.Close(); err != nil {
			c.p.log.Debug("closing a host", "err", err)
		}
		c.h = nil
	}
}

// run empties the mailbox, and goes on until the stream ends when it parks.
func (c *collector) run(ctx context.Context) (worked bool, err error) {
	e := c.p.e
	r := c.p.relay(c.key)
	if r == nil {
		return false, nil
	}
	hello, state, err := c.dial(ctx, r)
	if err != nil {
		return false, err
	}
	if r.Leaving != 0 {
		return true, c.leave(ctx, r, state.Found)
	}
	c.behind = time.Until(time.Unix(int64(min(hello.Unix, 1<<40)), 0))
	if !state.Found {
		if state, err = c.create(ctx, r, hello); err != nil {
			return false, err
		}
	}
	lost, err := e.MailboxMade(ctx, c.key, state.Log, state.Next-1)
	if err != nil {
		return false, err
	}
	if err := e.MailboxRefused(ctx, c.key, state.Overflow, state.Lost); err != nil {
		return true, err
	}
	if err := errors.Join(c.mint(ctx), c.revoke(ctx)); err != nil {
		return true, err
	}
	if !r.Ready || lost {
		if err := e.Announce(ctx, lost); err != nil {
			return true, err
		}
	}
	c.p.mu.Lock()
	delete(c.p.leaving, c.key)
	c.p.mu.Unlock()
	c.p.answered(ctx, c.key, true)
	// From now on an invite can name it.
	c.p.note(c.key, func(s *Status) { *s = Status{Ready: true, Live: state.Live, Quota: state.Quota} })
	c.after, c.unknown, c.kept = 0, map[uint64][16]byte{}, nil
	for ctx.Err() == nil {
		if err := c.empty(ctx); err != nil {
			return true, err
		}
		if err := errors.Join(c.mint(ctx), c.revoke(ctx)); err != nil {
			return true, err
		}
		c.plan(ctx)
		if !c.p.parks(c.key) {
			return true, nil
		}
		if time.Since(c.born) > handLife {
			return true, errors.New("post: the host is old")
		}
		if err := c.park(ctx); err != nil {
			return true, err
		}
	}
	return true, nil
}

// empty fetches all that is there.
func (c *collector) empty(ctx context.Context) error {
	for {
		end, err := c.fetch(ctx, 0)
		if err != nil {
			return err
		}
		if !end.More {
			return errors.Join(c.judge(ctx, end), c.lookAgain(ctx))
		}
	}
}

// leave empties a mailbox that is given up, and deletes it when its time is
// over.
func (c *collector) leave(ctx context.Context, r *record.Relay, found bool) error {
	c.p.mu.Lock()
	c.p.leaving[c.key] = true
	c.p.mu.Unlock()
	if found {
		c.after, c.unknown = 0, map[uint64][16]byte{}
		if err := c.empty(ctx); err != nil {
			return err
		}
		if left := c.p.leave - time.Since(time.Unix(r.Leaving, 0)); left > 0 {
			c.next = min(pollEvery, left+time.Second)
			return nil
		}
		if err := c.mb.Delete(ctx, nil); err != nil {
			return err
		}
	}
	c.p.forget(ctx, c.key)
	return nil
}

// forget ends a mailbox that was given up.
func (p *Post) forget(ctx context.Context, key [32]byte) {
	if err := p.e.MailboxClosed(ctx, key); err != nil && ctx.Err() == nil {
		p.log.Error("forgetting a mailbox", "err", err)
	}
}

// relay is one of this device's mailboxes, nil when it has none there.
func (p *Post) relay(key [32]byte) *record.Relay {
	for _, r := range p.e.Mailboxes() {
		if r.Key == key {
			return &r
		}
	}
	return nil
}

var errErrand = errors.New("post: there is something else to do")

// park waits for mail, until there is something else to do.
func (c *collector) park(ctx context.Context) error {
	sub, stop := context.WithCancel(ctx)
	defer stop()
	c.wait(stop)
	_, err := c.fetch(sub, parkFor)
	c.wait(nil)
	if err != nil && sub.Err() != nil {
		err = errErrand
	}
	return err
}

// wait says how a collector that has nothing to do is woken up; nil is that it
// has. What came up meanwhile wakes it at once.
func (c *collector) wait(wake func()) {
	c.p.mu.Lock()
	c.p.idle[c.key] = wake
	c.p.mu.Unlock()
	if r := c.p.relay(c.key); wake != nil && r != nil {
		c.p.interrupt(r)
	}
}

// interrupt wakes up a collector that has nothing to do, if there is something.
func (p *Post) interrupt(r *record.Relay) {
	p.mu.Lock()
	wake, leaving := p.idle[r.Key], p.leaving[r.Key]
	p.mu.Unlock()
	if wake != nil && (r.Leaving != 0 && !leaving || p.e.Revokes(r.Key)) {
		wake()
	}
}

// revoke takes back the stamps of who was blocked.
func (c *collector) revoke(ctx context.Context) error {
	for {
		serials, err := c.p.e.Revocations(c.key)
		if err != nil || len(serials) == 0 {
			return err
		}
		if _, err := c.mb.Revoke(ctx, serials...); err != nil {
			return err
		}
		if err := c.p.e.RevocationsDone(ctx, c.key, serials); err != nil {
			return err
		}
	}
}

// CloseAll deletes mailboxes at the relays that answer within a time: their
// account has ended, and nothing else may stop this.
func (p *Post) CloseAll(within time.Duration, all []record.Relay) {
	//nolint:forbidigo // nobody has a context any more
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	var wg sync.WaitGroup
	for _, r := range all {
		wg.Go(func() {
			if err := p.closeOne(ctx, &r); err != nil {
				p.log.Debug("deleting a mailbox", "err", err)
			}
		})
	}
	wg.Wait()
}

func (p *Post) closeOne(ctx context.Context, r *record.Relay) error {
	c := &collector{p: p, key: r.Key}
	defer c.hangUp()
	_, state, err := c.dial(ctx, r)
	if err != nil || !state.Found {
		return err
	}
	return c.mb.Delete(ctx, nil)
}

// dial opens the mailbox from a host of its own.
func (c *collector) dial(ctx context.Context, r *record.Relay) (hello wire.Hello, state wire.State, err error) {
	at, err := peerOf(r.Key, r.Addrs)
	if err != nil {
		return hello, state, err
	}
	if c.h, err = c.p.fresh(); err != nil {
		return hello, state, err
	}
	c.born = time.Now()
	c.h.Trust(at)
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	if err := c.h.Connect(ctx, at); err != nil {
		return hello, state, err
	}
	c.mb, hello, state, err = mailbox.OpenMailbox(ctx, c.h, at.ID, ed25519.NewKeyFromSeed(r.Seed[:]))
	return hello, state, err
}

// create makes the mailbox.
func (c *collector) create(ctx context.Context, r *record.Relay, hello wire.Hello) (wire.State, error) {
	m := &wire.Create{Lane: true, LaneNonce: r.Nonce}
	switch hello.Hosting {
	case wire.HostToken:
		if len(r.Token) == 0 {
			return wire.State{}, errHosting
		}
		m.Proof = r.Token
	case wire.HostWork:
		day := uint16(hello.Unix / 86400)
		pub := [32]byte(ed25519.NewKeyFromSeed(r.Seed[:]).Public().(ed25519.PublicKey))
		proof, err := mailbox.Work(ctx, wire.HostChallenge(c.key, pub, day), hello.HostEffort)
		if err != nil {
			return wire.State{}, err
		}
		m.Proof = mailbox.HostProof(day, proof)
	case wire.HostOpen, wire.HostList:
	}
	return c.mb.Create(ctx, m)
}

// fetch takes what came after the last, waiting for it, and trims it.
func (c *collector) fetch(ctx context.Context, wait uint16) (wire.End, error) {
	var seqs, own []uint64
	var envs [][]byte
	var ages []time.Duration
	began := time.Now()
	c.size = max(c.size, fetchBytes)
	end, err := c.mb.Fetch(ctx, wire.Fetch{After: c.after, MaxBytes: c.size, Wait: wait}, func(e *wire.Env) error {
		if c.sees(e.Envelope) {
			own = append(own, e.Seq)
			return nil
		}
		if c.part(e) {
			return nil
		}
		seqs, envs, ages = append(seqs, e.Seq), append(envs, slices.Clone(e.Envelope)), append(ages, c.age(e.Day))
		return nil
	})
	if err != nil {
		return end, err
	}
	switch took := time.Since(began); {
	case end.More && took < quick:
		c.size = min(2*c.size, fetchMost)
	case end.More && took > 4*quick:
		c.size = fetchBytes
	}
	if len(own) > 0 {
		if _, err := c.mb.Trim(ctx, wire.RangesOf(own)...); err != nil {
			return end, err
		}
	}
	c.after = max(c.after, end.Next)
	if err := c.take(ctx, seqs, envs, ages); err != nil {
		return end, err
	}
	return end, c.carry(ctx, end.More)
}

// age is how long ago at least something came to the relay, by the relay's
// clock, that came on a day.
func (c *collector) age(day uint16) time.Duration {
	end := time.Unix((int64(day)+1)*86400, 0)
	return max(0, time.Now().Add(c.behind).Sub(end))
}

// take hands envelopes to the engine and trims what it has committed.
func (c *collector) take(ctx context.Context, seqs []uint64, envs [][]byte, ages []time.Duration) error {
	if len(envs) == 0 {
		return nil
	}
	var done []uint64
	for i, r := range c.p.e.Collect(ctx, c.key, envs, ages) {
		switch {
		case r.Err == nil:
			done = append(done, seqs[i])
			delete(c.unknown, seqs[i])
		case len(c.unknown) < maxUnknown:
			c.unknown[seqs[i]] = [16]byte(envs[i])
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("post: emptying a mailbox: %w", err)
	}
	if len(done) == 0 {
		return nil
	}
	ring(c.p.owed)
	if err := c.p.e.MailboxRead(ctx, c.key, c.after); err != nil {
		return err
	}
	for ranges := range slices.Chunk(wire.RangesOf(done), wire.MaxRanges) {
		if _, err := c.mb.Trim(ctx, ranges...); err != nil {
			return err
		}
	}
	return nil
}

// lookAgain fetches what was not recognised and is now: it had come before what
// it needs.
func (c *collector) lookAgain(ctx context.Context) error {
	if c.rewind() {
		return nil
	}
	for more := true; more && len(c.unknown) > 0; {
		more = false
		var seqs []uint64
		var tags [][16]byte
		for seq, tag := range c.unknown {
			seqs, tags = append(seqs, seq), append(tags, tag)
		}
		all, err := c.p.e.Known(ctx, c.key, tags)
		if err != nil {
			return err
		}
		for i, known := range all {
			if !known {
				continue
			}
			var envs [][]byte
			var ages []time.Duration
			_, err := c.mb.Fetch(ctx, wire.Fetch{After: seqs[i] - 1, MaxBytes: 1}, func(e *wire.Env) error {
				if e.Seq == seqs[i] {
					envs, ages = append(envs, slices.Clone(e.Envelope)), append(ages, c.age(e.Day))
				}
				return nil
			})
			if err != nil {
				return err
			}
			before := len(c.unknown)
			if err := c.take(ctx, []uint64{seqs[i]}[:len(envs)], envs, ages); err != nil {
				return err
			}
			more = more || len(c.unknown) < before
		}
	}
	return nil
}

// Recheck looks at all mailboxes again from the beginning: somebody was
// approved whose mail was left there.
func (p *Post) Recheck() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.recheck {
		ring(c)
	}
}
