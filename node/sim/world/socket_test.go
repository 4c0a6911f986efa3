package world

import (
	"container/heap"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/quic-go/quic-go"
)

// socket is a UDP socket of the simulated network.
type socket struct {
	air  *air
	at   netip.AddrPort
	kick chan struct{} // has a token when a waiting reader should look again

	mu       sync.Mutex
	waiting  packets
	deadline time.Time
	closed   bool
}

var _ net.PacketConn = (*socket)(nil)

func (s *socket) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

func (s *socket) push(p packet) {
	s.mu.Lock()
	heap.Push(&s.waiting, p)
	s.mu.Unlock()
	s.wake()
}

// take returns a packet that is due, or how long to wait for one; negative is
// for ever.
func (s *socket) take(now time.Time) (p packet, wait time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return p, 0, net.ErrClosed
	}
	wait = -1
	if !s.deadline.IsZero() {
		if wait = s.deadline.Sub(now); wait <= 0 {
			return p, 0, os.ErrDeadlineExceeded
		}
	}
	if len(s.waiting) > 0 {
		d := s.waiting[0].due.Sub(now)
		if d <= 0 {
			return heap.Pop(&s.waiting).(packet), 0, nil
		}
		if wait < 0 || d < wait {
			wait = d
		}
	}
	return p, wait, nil
}

// ReadFrom implements net.PacketConn. One goroutine reads.
func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		p, wait, err := s.take(time.Now())
		switch {
		case err != nil:
			return 0, nil, err
		case p.data != nil:
			return copy(b, p.data), net.UDPAddrFromAddrPort(p.from), nil
		case wait < 0:
			<-s.kick
		default:
			t := time.NewTimer(wait)
			select {
			case <-s.kick:
			case <-t.C:
			}
			t.Stop()
		}
	}
}

// WriteTo implements net.PacketConn. It never waits.
func (s *socket) WriteTo(b []byte, to net.Addr) (int, error) {
	u, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, errors.New("not a UDP address")
	}
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return 0, net.ErrClosed
	}
	at := u.AddrPort()
	s.air.carry(s.at, netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), b)
	return len(b), nil
}

// Close implements net.PacketConn.
func (s *socket) Close() error {
	s.air.release(s)
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.wake()
	return nil
}

// LocalAddr implements net.PacketConn.
func (s *socket) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(s.at) }

// SetReadDeadline implements net.PacketConn.
func (s *socket) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	s.deadline = t
	s.mu.Unlock()
	s.wake()
	return nil
}

// SetDeadline implements net.PacketConn.
func (s *socket) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

// SetWriteDeadline implements net.PacketConn: writing never waits.
func (s *socket) SetWriteDeadline(time.Time) error { return nil }

// SetReadBuffer and SetWriteBuffer keep quic-go from complaining.
func (s *socket) SetReadBuffer(int) error  { return nil }
func (s *socket) SetWriteBuffer(int) error { return nil }

// source is the only address that a person's device has.
type source struct{ ip net.IP }

func (s source) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) { return s.ip, nil }

// noAutoNAT switches off what calls back from sockets of its own, which are
// not simulated.
func noAutoNAT(c *libp2p.Config) error {
	c.EnableAutoNATv2, c.AutoNATConfig.EnableService = false, false
	return nil
}

// leftovers are what a device's hosts leave behind, to be closed after them.
type leftovers struct{ all []*quicreuse.ConnManager }

func (l *leftovers) close() error {
	var errs []error
	for _, c := range l.all {
		errs = append(errs, c.Close())
	}
	l.all = nil
	return errors.Join(errs...)
}

// on makes a host use the simulated network, and adds to left what it leaves
// behind.
func (a *air) on(n int, left *leftovers) []libp2p.Option {
	return []libp2p.Option{libp2p.DisableIdentifyAddressDiscovery(), noAutoNAT, libp2p.QUICReuse(func(reset quic.StatelessResetKey, token quic.TokenGeneratorKey) (*quicreuse.ConnManager, error) {
		c, err := quicreuse.NewConnManager(reset, token,
			quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) {
				return source{a.addrOf(n).Addr().AsSlice()}, nil
			}),
			quicreuse.OverrideListenUDP(func(_ string, at *net.UDPAddr) (net.PacketConn, error) {
				return a.bind(n, uint16(at.Port))
			}))
		a.change(func() { left.all = append(left.all, c) })
		return c, err
	}), func(c *libp2p.Config) error {
		// Both look at real sockets and clocks of their own.
		c.EnableAutoNATv2, c.DisableIdentifyAddressDiscovery = false, true
		return nil
	}}
}
