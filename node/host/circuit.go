package host

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/pb"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Circuit relays pass on connections to a host that nobody can dial. A desktop
// keeps a place at a few of them, over TCP where that works: one idle TCP
// connection costs a tenth of what QUIC's keepalive does.
const (
	wantedPlaces  = 2
	maxPlaces     = 32               // relays looked at
	placeTime     = 20 * time.Second // for one attempt
	firstRetry    = 2 * time.Second
	lastRetry     = 10 * time.Minute
	renewBefore   = 10 * time.Minute // of the end of a place
	minPlace      = time.Minute      // between renewals
	candidateTime = time.Minute      // between questions for more relays
	protectPlace  = "rushlight.place"
)

// Place is a circuit relay that the host uses or would use.
type Place struct {
	Peer    peer.ID
	Addr    ma.Multiaddr // by which it is connected, nil if it isn't
	Held    bool         // it takes calls for this host
	Refused bool         // it answered, and has no room
	Failed  int          // attempts in vain since it last worked
	Took    time.Duration
	Until   time.Time // when a held place ends, unless it is renewed
}

// place is a [Place] with what its owner needs to know.
type place struct {
	Place
	info    peer.AddrInfo
	says    []ma.Multiaddr
	busy    bool
	next    time.Time // of the next attempt
	circuit []ma.Multiaddr
}

// circuits holds places. One loop owns the list; others read copies.
type circuits struct {
	h          *Host
	candidates func() []peer.AddrInfo
	lost       chan peer.ID
	again      chan struct{}

	mu     sync.Mutex
	list   []*place
	wanted int
}

func newCircuits(h *Host, candidates func() []peer.AddrInfo) *circuits {
	return &circuits{h: h, candidates: candidates, lost: make(chan peer.ID, 16), again: make(chan struct{}, 1), wanted: wantedPlaces}
}

// offer adds relays to the list.
func (c *circuits) offer(relays []peer.AddrInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range relays {
		known := func(p *place) bool { return p.Peer == r.ID }
		if len(c.list) < maxPlaces && r.ID != c.h.ID() && len(r.Addrs) > 0 && !slices.ContainsFunc(c.list, known) {
			c.list = append(c.list, &place{Place: Place{Peer: r.ID}, info: r})
		}
	}
}

// places copies the list.
func (c *circuits) places() []Place {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]Place, len(c.list))
	for i, p := range c.list {
		out[i] = p.Place
	}
	return out
}

// addrs are the addresses at which held places pass calls on: for each place
// the one this host uses itself, then WebSocket for callers whom nothing else
// is open to.
func (c *circuits) addrs() (out []ma.Multiaddr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.list {
		if p.Held {
			out = append(out, p.circuit...)
		}
	}
	return out
}

// placed is the outcome of one attempt.
type placed struct {
	p     *place
	addr  ma.Multiaddr
	says  []ma.Multiaddr // where the relay says it is
	until time.Time
	took  time.Duration
	err   error
}

// run holds places until ctx ends.
func (c *circuits) run(ctx context.Context) {
	bundle := &network.NotifyBundle{DisconnectedF: func(_ network.Network, conn network.Conn) {
		select {
		case c.lost <- conn.RemotePeer():
		default: // the timer will notice
		}
	}}
	c.h.h.Network().Notify(bundle)
	defer c.h.h.Network().StopNotify(bundle)
	var wg sync.WaitGroup
	done := make(chan placed)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var asked time.Time
	for {
		now := time.Now()
		if c.candidates != nil && now.Sub(asked) >= candidateTime && c.held() < c.want() {
			asked = now
			c.offer(c.candidates())
		}
		for _, p := range c.due(now) {
			wg.Go(func() {
				out := c.take(ctx, p.info)
				out.p = p
				select {
				case done <- out:
				case <-ctx.Done():
				}
			})
		}
		timer.Reset(c.wait(now))
		select {
		case <-ctx.Done():
			wg.Wait()
			return
		case out := <-done:
			c.settle(out, time.Now())
		case id := <-c.lost:
			c.gone(id, time.Now())
		case <-c.again:
			c.hurry(time.Now())
		case <-timer.C:
		}
	}
}

// thrift gives the second place up when little may be spent, and takes it
// again when there is enough.
func (c *circuits) thrift(t Thrift) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted = wantedPlaces
	if t == Ample {
		return
	}
	c.wanted = 1
	kept := 0
	for _, p := range c.list {
		if !p.Held {
			continue
		}
		if kept++; kept > 1 {
			p.Held, p.circuit = false, nil
			c.h.h.ConnManager().Unprotect(p.Peer, protectPlace)
		}
	}
}

func (c *circuits) want() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wanted
}

func (c *circuits) held() (n int) {
	for _, p := range c.places() {
		if p.Held {
			n++
		}
	}
	return n
}

// due marks and returns the places to try now: those to renew, and as many new
// ones as are wanting.
func (c *circuits) due(now time.Time) (out []*place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	have := 0
	for _, p := range c.list {
		if p.Held || p.busy {
			have++
		}
	}
	for _, p := range c.list {
		if p.busy || p.next.After(now) || !p.Held && have >= c.wanted {
			continue
		}
		if !p.Held {
			have++
		}
		p.busy = true
		out = append(out, p)
	}
	return out
}

// wait is how long nothing is due.
func (c *circuits) wait(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	wait := candidateTime
	if c.candidates == nil {
		wait = time.Hour
	}
	have := 0
	for _, p := range c.list {
		if p.Held || p.busy {
			have++
		}
	}
	for _, p := range c.list {
		if !p.busy && (p.Held || have < c.wanted) {
			wait = min(wait, max(p.next.Sub(now), 0))
		}
	}
	return wait
}

// settle takes the outcome of an attempt.
func (c *circuits) settle(o placed, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := o.p
	p.busy, p.Took = false, o.took
	if o.err != nil {
		if p.circuit != nil {
			c.h.moved()
		}
		p.Held, p.circuit, p.Addr = false, nil, o.addr
		var refused client.ReservationError
		p.Refused = errors.As(o.err, &refused) && refused.Status != pb.Status_CONNECTION_FAILED
		p.Failed++
		p.next = now.Add(min(firstRetry<<min(p.Failed-1, 10), lastRetry))
		c.h.h.ConnManager().Unprotect(p.Peer, protectPlace)
		return
	}
	others := 0
	for _, q := range c.list {
		if q != p && q.Held {
			others++
		}
	}
	if others >= c.wanted {
		// Fewer are wanted by now.
		p.Held, p.circuit, p.Refused, p.Failed = false, nil, false, 0
		return
	}
	p.Held, p.Refused, p.Failed, p.Addr, p.Until = true, false, 0, o.addr, o.until
	p.next = now.Add(max(o.until.Sub(now)-renewBefore, minPlace))
	p.says = o.says
	was := p.circuit
	p.circuit = c.behind(p)
	if !slices.EqualFunc(was, p.circuit, ma.Multiaddr.Equal) {
		c.h.moved()
	}
	c.h.h.ConnManager().Protect(p.Peer, protectPlace)
}

// gone says that a connection to a peer has ended.
func (c *circuits) gone(id peer.ID, now time.Time) {
	if c.h.Connected(id) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.list {
		if p.Peer == id && p.Held {
			p.Held, p.circuit, p.Addr, p.next = false, nil, nil, now
		}
	}
}

// hurry tries everything at once: the network has changed.
func (c *circuits) hurry(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.list {
		p.next = now
	}
}

// take connects to a relay and asks for a place.
func (c *circuits) take(ctx context.Context, r peer.AddrInfo) (out placed) {
	ctx, cancel := context.WithTimeout(ctx, placeTime)
	defer cancel()
	began := time.Now()
	if out.err = c.reach(ctx, r); out.err != nil {
		return out
	}
	for _, conn := range c.h.h.Network().ConnsToPeer(r.ID) {
		if !conn.Stat().Limited {
			out.addr = conn.RemoteMultiaddr()
		}
	}
	res, err := client.Reserve(ctx, c.h.h, peer.AddrInfo{ID: r.ID})
	if err != nil {
		out.err = Opaque("host: asking for a place", err)
		return out
	}
	out.until, out.took = res.Expiration, time.Since(began)
	for _, a := range res.Addrs[:min(len(res.Addrs), 8)] {
		if a = bare(a); manet.IsPublicAddr(a) && !isCircuit(a) {
			out.says = append(out.says, a)
		}
	}
	return out
}

// reach connects to a relay by TCP, and if that fails by anything.
func (c *circuits) reach(ctx context.Context, r peer.AddrInfo) error {
	if c.h.Connected(r.ID) {
		return nil
	}
	var cheap []ma.Multiaddr
	for _, a := range r.Addrs {
		if isTCP(a) {
			cheap = append(cheap, a)
		}
	}
	if len(cheap) > 0 && len(cheap) < len(r.Addrs) {
		short, cancel := context.WithTimeout(ctx, placeTime/4)
		c.h.gate.narrow(r.ID, cheap)
		err := c.h.Connect(short, peer.AddrInfo{ID: r.ID, Addrs: cheap})
		c.h.gate.narrow(r.ID, nil)
		cancel()
		if err == nil {
			return nil
		}
	}
	return c.h.Connect(ctx, r)
}

// behind are the addresses of this host behind a place.
func (c *circuits) behind(p *place) (out []ma.Multiaddr) {
	first := p.Addr
	if first == nil || !c.tells(p, first) {
		first = nil
		for _, a := range p.info.Addrs {
			if first == nil || isTCP(a) && !isTCP(first) {
				first = a
			}
		}
	}
	list := []ma.Multiaddr{first}
	for _, a := range slices.Concat(p.info.Addrs, p.says) {
		if isWebSocket(a) && !slices.ContainsFunc(list, a.Equal) {
			list = append(list, a)
			break
		}
	}
	tail := ma.StringCast("/p2p/" + p.Peer.String() + "/p2p-circuit")
	for _, a := range list {
		if a != nil {
			out = append(out, bare(a).Encapsulate(tail))
		}
	}
	return out
}

// tells reports whether others can use an address by which this host reached
// a relay.
func (c *circuits) tells(p *place, a ma.Multiaddr) bool {
	return slices.ContainsFunc(p.info.Addrs, func(o ma.Multiaddr) bool { return bare(o).Equal(a) }) ||
		manet.IsPublicAddr(a) && !hasName(a)
}

func isWebSocket(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_WS)
	_, errs := a.ValueForProtocol(ma.P_WSS)
	return err == nil || errs == nil
}

// isTCP reports whether an address is plain TCP.
func isTCP(a ma.Multiaddr) bool {
	a = bare(a)
	return len(a) == 2 && a[1].Protocol().Code == ma.P_TCP
}

// Places lists the circuit relays that the host uses or tries.
func (h *Host) Places() []Place {
	if h.circuits == nil {
		return nil
	}
	return h.circuits.places()
}

// Changed says that the addresses of this machine have changed: places are
// asked for again at once. It does not block.
func (h *Host) Changed() {
	if h.circuits == nil {
		return
	}
	select {
	case h.circuits.again <- struct{}{}:
	default:
	}
}
