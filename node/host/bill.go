package host

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/libp2p/go-libp2p/core/transport"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// A call by QUIC that nobody answers is five flights of two packets, and after
// each it waits twice as long: 200, 400, 800 and 1,600 ms. When the address is that
// of a node of the hash table, each flight is paid from a purse just before it
// leaves: with nothing in it the first one waits, and for want of another the
// call ends. A node that is there answers the first, and costs nothing.
const flightCost = 2 * (1280 + 28)

// flights says how long after the first the others leave.
var flights = []time.Duration{200 * time.Millisecond, 600 * time.Millisecond, 1400 * time.Millisecond, 3000 * time.Millisecond}

// payAhead is how long before its flight is due a call is paid for, or ended.
const payAhead = 20 * time.Millisecond

// A call from a purse that holds less than ample hesitates for so long: most
// questions are answered meanwhile by who is connected already, and calls given up
// then would have cost as much as calls in vain.
const ample, hesitation = 20 * flightCost, 200 * time.Millisecond

var errPurse = errors.New("host: an address is not worth a call to who named it")

// paidQUIC is the transport QUIC, with calls that are paid for.
type paidQUIC struct {
	transport.Transport
	gate *gate
}

// newQUIC makes the constructor that libp2p wants.
func newQUIC(g *gate) any {
	return func(key crypto.PrivKey, m *quicreuse.ConnManager, psk pnet.PSK, gater connmgr.ConnectionGater, r network.ResourceManager) (*paidQUIC, error) {
		t, err := quic.NewTransport(key, m, psk, gater, r)
		return &paidQUIC{t, g}, err
	}
}

// ListenOrder makes libp2p listen with QUIC first, which others share the port
// with.
func (t *paidQUIC) ListenOrder() int { return quic.ListenOrder }

// Dial implements [transport.Transport].
func (t *paidQUIC) Dial(ctx context.Context, a ma.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	b := t.gate.bill(p, a)
	if b == nil {
		return t.Transport.Dial(ctx, a, p)
	}
	if err := b.first(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		if b.rest(ctx) != nil {
			cancel(errPurse)
		}
	})
	c, err := t.Transport.Dial(ctx, a, p)
	cancel(nil)
	wg.Wait()
	b.settle()
	return c, err
}

// bill is what is paid for one call.
type bill struct {
	gate  *gate
	to    call
	addr  ma.Multiaddr
	began time.Time
	paid  int // flights
}

// calledFor reports whether anybody has named addresses at which alone a peer is
// called.
func (g *gate) calledFor(p peer.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.vouched[p]
	return v != nil && len(v.told)+len(v.trusted)+len(v.punched) > 0
}

// bill is nil for a call that costs nothing, or was paid at once.
func (g *gate) bill(p peer.ID, a ma.Multiaddr) *bill {
	ip, ok := ipOf(a)
	if !ok || !manet.IsPublicAddr(a) || g.calledFor(p) {
		return nil
	}
	b := &bill{gate: g, to: call{p, ip, true}, addr: bare(a)}
	g.unproven.mu.Lock()
	defer g.unproven.mu.Unlock()
	if g.unproven.isProven(ip, g.now()) {
		return nil
	}
	return b
}

// ample reports whether there is much in the purse.
func (b *bill) ample() bool {
	by, now, u := b.gate.payer(b.to.peer, b.addr), b.gate.now(), b.gate.unproven
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.purse(by, now).left >= ample
}

// first waits until the first flight is paid for.
func (b *bill) first(ctx context.Context) error {
	if !b.ample() {
		select {
		case <-time.After(hesitation):
		case <-ctx.Done():
			return errPurse
		}
	}
	for {
		more, ok := b.pay(0)
		if ok {
			b.began = time.Now()
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return errPurse
		}
	}
}

// rest pays for the other flights as they leave, until ctx ends.
func (b *bill) rest(ctx context.Context) error {
	for _, after := range flights {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Until(b.began.Add(after - payAhead))):
		}
		if _, ok := b.pay(flightCost); !ok {
			return errPurse
		}
	}
	return nil
}

// settle pays for flights that have left unpaid because this came late.
func (b *bill) settle() {
	passed := time.Since(b.began)
	left, _ := slices.BinarySearch(flights, passed)
	for b.paid < 1+left {
		_, _ = b.pay(math.Inf(-1))
	}
}

// pay pays for a flight from a purse that, if somebody waits, has so much left
// then. If it has not, more is closed when that may have changed.
func (b *bill) pay(rest float64) (more <-chan struct{}, ok bool) {
	by, now := []string{b.gate.payer(b.to.peer, b.addr)}, b.gate.now()
	u := b.gate.unproven
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.more == nil {
		rest = min(rest, 0) // nobody waits for it
	}
	if u.isProven(b.to.ip, now) || u.pays(b.to, by, flightCost, rest, now) {
		b.paid++
		return nil, true
	}
	if u.more == nil {
		u.more = make(chan struct{})
	}
	return u.more, false
}

// stir wakes those who wait for a purse. The caller holds the lock.
func (u *unproven) stir() {
	if u.more != nil {
		close(u.more)
		u.more = nil
	}
}
