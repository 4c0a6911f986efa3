package delivery

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"rushlight/node/host"
	"rushlight/protocol/identity"
)

// How many peers are called at once: with something to say, and for a
// greeting, which must not keep the others waiting.
const maxCalls, maxGreetings = 32, 8

const (
	watchEvery   = time.Second
	watchCalm    = 20 * time.Second // while no answer is missing
	watchNothing = time.Hour        // while there is no stream
	networkEvery = 5 * time.Second
	networkCalm  = 10 * time.Second // while no answer is missing, and nobody is called
	callTime     = 10 * time.Second // to reach a peer
	hiddenTime   = time.Minute      // the same through Tor
	answerTime   = 5 * time.Second  // for a peer on a standing connection to answer
)

var errSilent = errors.New("delivery: peer is silent")

// caller is the state of the manager's loop.
type caller struct {
	m     *Manager
	plans map[identity.AccountID]*plan
	slots lines
	saves thrift
	ended chan outcome
	wg    sync.WaitGroup
}

// lines are free places for calls.
type lines struct{ calls, greetings chan struct{} }

// outcome is how an attempt, and the stream it led to, ended.
type outcome struct {
	account identity.AccountID
	worked  bool // somebody proved itself or acknowledged
	idle    bool // there was nothing to say
}

// loop owns the plans: it alone decides when to call whom.
func (m *Manager) loop(ctx context.Context) error {
	c := &caller{
		m: m, plans: map[identity.AccountID]*plan{},
		slots: lines{make(chan struct{}, maxCalls), make(chan struct{}, maxGreetings)},
		saves: newThrift(m.host.Thrift),
		ended: make(chan outcome),
	}
	watch, check := time.NewTimer(watchNothing), time.NewTimer(networkEvery)
	defer watch.Stop()
	defer check.Stop()
	next := time.NewTimer(0)
	defer next.Stop()
	net := newNetworkWatch(time.Now())
	c.greetAll(time.Now())
	for {
		c.act(ctx, time.Now(), next)
		select {
		case <-ctx.Done():
			// Streams end with the context; their outcomes no longer matter.
			go func() { c.wg.Wait(); close(c.ended) }()
			for range c.ended {
			}
			return nil
		case <-m.notify:
			c.hear(time.Now())
		case o := <-c.ended:
			c.finish(o, time.Now())
		case <-next.C:
		case <-m.stirred:
			watch.Reset(watchEvery)
		case now := <-watch.C:
			watch.Reset(m.watchAll(now))
		case now := <-check.C:
			check.Reset(networkEvery)
			if m.calm.Load() && len(c.plans) == 0 {
				check.Reset(networkCalm)
			}
			if net.changed(now) {
				m.log.Info("the network changed")
				m.changed()
				m.probeAll(now)
				watch.Reset(watchEvery)
				c.greetAll(now)
			}
		}
	}
}

// greetAll calls every contact once: the side that comes back calls.
func (c *caller) greetAll(now time.Time) {
	for _, a := range c.m.engine.Accounts() {
		p := c.plan(a, now)
		p.greet = true
		p.renew(now)
	}
}

func (c *caller) plan(a identity.AccountID, now time.Time) *plan {
	p := c.plans[a]
	if p == nil {
		p = &plan{began: now}
		c.plans[a] = p
	}
	return p
}

// hear takes the news.
func (c *caller) hear(now time.Time) {
	c.m.mu.Lock()
	all := c.m.news
	c.m.news = map[identity.AccountID]news{}
	c.m.mu.Unlock()
	for a, n := range all {
		switch {
		case n&newsThere != 0 && n&newsStopped == 0:
			if p := c.plans[a]; p != nil {
				p.renew(now) // if the stream fails, try again at once
			}
		case n&newsHope != 0:
			p := c.plan(a, now)
			p.greet = true
			p.renew(now)
		default:
			c.plan(a, now).renew(now)
		}
	}
}

// act starts the attempts that are due and sets the timer for the next.
func (c *caller) act(ctx context.Context, now time.Time, next *time.Timer) {
	wait := time.Hour
	for a, p := range c.plans {
		if p.busy {
			continue
		}
		if d := p.next.Sub(now); d > 0 {
			wait = min(wait, d)
			continue
		}
		if c.saves.holds(p, now) {
			wait = min(wait, p.next.Sub(now))
			continue
		}
		p.start(now)
		greet := p.greet
		p.greet = false
		c.wg.Go(func() { c.ended <- c.m.attempt(ctx, a, greet, c.slots) })
	}
	next.Reset(wait)
}

// finish plans what comes after an attempt.
func (c *caller) finish(o outcome, now time.Time) {
	p := c.plans[o.account]
	switch {
	case p == nil:
	case o.idle && !p.greet && !p.next.After(p.last):
		delete(c.plans, o.account)
	case o.worked:
		p.busy = false
		p.renew(now)
	default:
		p.failed(now)
	}
}

// attempt calls the account's devices, when there is a reason to, and stays on
// the streams that this opens until they end.
func (m *Manager) attempt(ctx context.Context, account identity.AccountID, greet bool, free lines) outcome {
	o := outcome{account: account}
	needed := m.engine.Waits(account)
	if m.Connected(account) || !greet && !needed {
		o.idle = true
		return o
	}
	line := free.greetings
	if needed {
		line = free.calls
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, p := range m.peers(m.engine.Hints(account), m.nearby(account)) {
		wg.Go(func() {
			worked, err := m.call(ctx, account, p, line)
			if err != nil && !ended(err) {
				m.log.Debug("a call ended", "error", err)
			}
			mu.Lock()
			o.worked = o.worked || worked
			mu.Unlock()
		})
	}
	wg.Wait()
	if !o.worked && !m.engine.Waits(account) {
		o.idle = true
	}
	if !o.worked && !o.idle && ctx.Err() == nil {
		m.watcher.Missed(account)
	}
	return o
}

// call opens a stream to one peer and stays on it. worked says that somebody
// was there who is, or may be, the contact.
func (m *Manager) call(ctx context.Context, account identity.AccountID, p peer.AddrInfo, line chan struct{}) (worked bool, err error) {
	select {
	case line <- struct{}{}:
	case <-ctx.Done():
		return false, errStopping
	}
	m.stats.calls.Add(1)
	x, err := m.dial(ctx, account, p)
	<-line
	if err != nil {
		m.stats.failures.Add(1)
		return false, err
	}
	err = x.run(ctx)
	m.tidy(x.s, err)
	return x.worked.Load(), err
}

// dial opens a stream to one peer up to this side's proof.
func (m *Manager) dial(ctx context.Context, account identity.AccountID, p peer.AddrInfo) (*session, error) {
	within := m.callTime
	standing := m.host.Connected(p.ID)
	if standing {
		within = answerTime
	}
	s, err := m.openStream(host.CallsFor(ctx, string(account[:])), p, ProtocolMessages, within)
	if err == nil {
		if err = prepare(s, serviceMessages, readBuffer, within); err == nil {
			x := m.newSession(s)
			x.dialled, x.target = true, account
			stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
			x.open, x.proof, err = dialHello(s, x.in, m.engine)
			if stop() && err == nil {
				if err = s.SetDeadline(time.Time{}); err == nil {
					return x, x.out.push(frame{frameProof, x.proof.marshal()})
				}
			}
		}
		_ = s.Reset()
	}
	if err == nil {
		err = errStopping
	}
	if standing && ctx.Err() == nil {
		// It looked connected but did not answer: the next call starts afresh.
		err = errors.Join(err, m.host.Disconnect(p.ID))
	}
	return nil, err
}

// openStream opens a stream to a peer, connecting first where needed.
func (m *Manager) openStream(ctx context.Context, p peer.AddrInfo, proto protocol.ID, within time.Duration) (network.Stream, error) {
	// A circuit will do: a message does not wait for a direct connection.
	ctx, cancel := context.WithTimeout(network.WithAllowLimitedConn(ctx, serviceMessages), within)
	defer cancel()
	if err := m.host.Connect(ctx, p); err != nil {
		return nil, err
	}
	s, err := m.host.Libp2p().NewStream(ctx, p.ID, proto)
	if err != nil {
		return nil, host.Opaque("delivery: opening a stream", err)
	}
	return s, nil
}

// networkWatch notices that the addresses of the machine have changed, or that
// it has slept.
type networkWatch struct {
	addrs string
	last  time.Time
}

func newNetworkWatch(now time.Time) *networkWatch {
	return &networkWatch{addrs: host.Interfaces(), last: now}
}

func (w *networkWatch) changed(now time.Time) bool {
	awake := now.Sub(w.last) // the monotonic clock stands still in sleep
	passed := now.Round(0).Sub(w.last.Round(0))
	w.last = now
	return w.look(host.Interfaces(), passed, awake)
}

// look compares what there is with what there was, and how much time passed
// with how much of it the machine was awake.
func (w *networkWatch) look(addrs string, passed, awake time.Duration) bool {
	changed := addrs != w.addrs || passed-awake > 10*time.Second
	w.addrs = addrs
	return changed
}
