package host

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Pauses before a hole is punched once more for a peer that is still behind a
// circuit. libp2p tries only as the circuit opens, when the caller often
// doesn't know yet how it is seen from outside.
var punchAgain = []time.Duration{2 * time.Second, 8 * time.Second, 30 * time.Second}

const (
	punchTime  = 5 * time.Second
	punchGrace = 2 * time.Second // before a circuit is closed that is needed no more
	maxPunched = 4               // addresses of one peer, of one IPv4 and one IPv6 host
)

// puncher turns connections behind circuits into direct ones.
type puncher struct {
	h    *Host
	ids  identify.IDService
	work chan network.Conn
	svc  atomic.Pointer[holepunch.Service] // nil until there is a public address

	mu   sync.Mutex
	seen map[network.Conn]ma.Multiaddr // how a peer sees this host
}

func newPuncher(h *Host, ids identify.IDService) *puncher {
	return &puncher{h: h, ids: ids, work: make(chan network.Conn, 64), seen: map[network.Conn]ma.Multiaddr{}}
}

// addrs are the public addresses at which peers see this host now, and those
// it has of its own.
func (p *puncher) addrs() []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, a := range p.h.h.Network().ListenAddresses() {
		if manet.IsPublicAddr(a) {
			out = append(out, a)
		}
	}
	if own, err := p.h.h.Network().InterfaceListenAddresses(); err == nil {
		for _, a := range own {
			if manet.IsPublicAddr(a) {
				out = append(out, a)
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.seen {
		out = append(out, a)
	}
	return ma.Unique(out)
}

// FilterLocal implements [holepunch.AddrFilter].
func (p *puncher) FilterLocal(_ peer.ID, addrs []ma.Multiaddr) []ma.Multiaddr { return addrs }

// FilterRemote implements [holepunch.AddrFilter]: what a peer says about
// itself may lead to at most one host of each kind, and not into this network.
func (p *puncher) FilterRemote(id peer.ID, addrs []ma.Multiaddr) []ma.Multiaddr {
	return p.h.gate.punch(id, addrs)
}

// run looks after connections until ctx ends.
func (p *puncher) run(ctx context.Context) error {
	sub, err := p.h.h.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted), eventbus.Name("puncher"))
	if err != nil {
		return Opaque("host: listening to events", err)
	}
	bundle := &network.NotifyBundle{
		ConnectedF: func(_ network.Network, c network.Conn) {
			select {
			case p.work <- c:
			default: // the circuit ends by itself in the end
			}
		},
		DisconnectedF: func(_ network.Network, c network.Conn) {
			p.mu.Lock()
			delete(p.seen, c)
			p.mu.Unlock()
		},
	}
	p.h.h.Network().Notify(bundle)
	var svc *holepunch.Service
	var wg sync.WaitGroup
	for {
		// Until there is a public address, which always comes with a connection,
		// the service would look for one every few seconds.
		if svc == nil && len(p.addrs()) > 0 {
			if svc, err = holepunch.NewService(p.h.h, p.ids, p.addrs, holepunch.WithAddrFilter(p), holepunch.DirectDialTimeout(punchTime)); err != nil {
				p.h.h.Network().StopNotify(bundle)
				return errors.Join(Opaque("host: starting to punch holes", err), sub.Close())
			}
			p.svc.Store(svc)
		}
		select {
		case <-ctx.Done():
			p.h.h.Network().StopNotify(bundle)
			var err error
			if svc != nil {
				err = svc.Close()
			}
			wg.Wait()
			if cerr := sub.Close(); err == nil {
				err = cerr
			}
			if err != nil {
				return Opaque("host: ending to punch holes", err)
			}
			return nil
		case e, ok := <-sub.Out():
			if ok {
				p.identified(e.(event.EvtPeerIdentificationCompleted))
			}
		case c := <-p.work:
			wg.Go(func() { p.attend(ctx, c) })
		}
	}
}

// identified notes how a peer sees this host, if that is an address others can
// use: the connection has the port that the host listens on.
func (p *puncher) identified(e event.EvtPeerIdentificationCompleted) {
	a := e.ObservedAddr
	if a == nil || e.Conn.Stat().Limited || e.Conn.IsClosed() || !manet.IsPublicAddr(a) || isCircuit(a) || !p.listens(e.Conn.LocalMultiaddr()) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.seen) < maxSeen {
		p.seen[e.Conn] = a
	}
}

// maxSeen bounds how many peers' views are kept.
const maxSeen = 64

// listens reports whether the host listens on the port of an address.
func (p *puncher) listens(local ma.Multiaddr) bool {
	port := firstPort([]ma.Multiaddr{local})
	for _, a := range p.h.h.Network().ListenAddresses() {
		if port != 0 && firstPort([]ma.Multiaddr{a}) == port {
			return true
		}
	}
	return false
}

func isCircuit(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}

// attend looks after one new connection.
func (p *puncher) attend(ctx context.Context, c network.Conn) {
	if !isCircuit(c.RemoteMultiaddr()) {
		p.leaveCircuits(ctx, c)
		return
	}
	if c.Stat().Direction != network.DirInbound {
		return // the other side punches
	}
	for _, pause := range punchAgain {
		if !sleep(ctx, pause) || c.IsClosed() || p.direct(c.RemotePeer()) {
			return
		}
		if svc := p.svc.Load(); svc != nil && p.ready() {
			_ = svc.DirectConnect(c.RemotePeer()) // it stays behind the circuit
		}
	}
}

// leaveCircuits closes, after a moment in which answers still arrive, the
// circuits to a peer to which a direct connection stands.
func (p *puncher) leaveCircuits(ctx context.Context, direct network.Conn) {
	behind := false
	for _, o := range p.h.h.Network().ConnsToPeer(direct.RemotePeer()) {
		behind = behind || isCircuit(o.RemoteMultiaddr())
	}
	if !behind || !sleep(ctx, punchGrace) || direct.IsClosed() {
		return
	}
	for _, o := range p.h.h.Network().ConnsToPeer(direct.RemotePeer()) {
		if isCircuit(o.RemoteMultiaddr()) {
			_ = o.Close() // nothing is lost if it stays
		}
	}
}

// direct reports whether a connection to the peer needs no circuit.
func (p *puncher) direct(id peer.ID) bool {
	for _, o := range p.h.h.Network().ConnsToPeer(id) {
		if !isCircuit(o.RemoteMultiaddr()) {
			return true
		}
	}
	return false
}

// ready reports whether the service knows how this host is seen.
func (p *puncher) ready() bool {
	for _, id := range p.h.h.Mux().Protocols() {
		if id == holepunch.Protocol {
			return true
		}
	}
	return false
}

// sleep reports whether the time passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
