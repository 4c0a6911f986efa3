package discovery

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/net/ipv4"
	"golang.org/x/time/rate"

	"rushlight/protocol/suite"
)

// LAN announces this device to contacts on the local network and notices
// theirs, over IPv4 multicast.
type LAN struct {
	cfg   Config
	group netip.AddrPort
	again chan struct{} // has a token when the network has changed
}

// mdnsGroup is where multicast DNS lives.
var mdnsGroup = netip.MustParseAddrPort("224.0.0.251:5353")

// Pauses between announcements: short after a change or a question, then
// longer. Each carries other contacts' tags until all have had their turn.
const (
	firstRound = time.Second
	lastRound  = time.Minute
)

// NewLAN returns a LAN that is silent until [LAN.Run].
func NewLAN(cfg Config) *LAN {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &LAN{cfg: cfg, group: mdnsGroup, again: make(chan struct{}, 1)}
}

// Refresh says that the machine's addresses have changed: announce again, under
// a new name. It does not block.
func (l *LAN) Refresh() {
	select {
	case l.again <- struct{}{}:
	default:
	}
}

// Run announces and listens until ctx ends. An error says that this machine
// has no multicast; nothing else depends on it.
func (l *LAN) Run(ctx context.Context) error {
	// For a multicast address this means the wildcard address and a port that
	// is shared with other programs.
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(l.group))
	if err != nil {
		return fmt.Errorf("discovery: listening on the local network: %w", err)
	}
	air := &air{conn: ipv4.NewPacketConn(c), group: l.group, joined: map[int]bool{}}
	if err := air.conn.SetMulticastLoopback(true); err != nil {
		l.cfg.Logger.Debug("other programs of this machine won't hear announcements", "error", err)
	}
	in := make(chan packet)
	var wg sync.WaitGroup
	wg.Go(func() { listen(ctx, c, in) })
	l.speak(ctx, air, in)
	err = c.Close() // ends listen
	wg.Wait()
	if err != nil {
		return fmt.Errorf("discovery: closing: %w", err)
	}
	return nil
}

// packet is a message and where it came from.
type packet struct {
	heard
	from netip.Addr
}

// listen passes on what concerns us. It ends when the connection closes.
func listen(ctx context.Context, c *net.UDPConn, in chan<- packet) {
	// Whoever floods the network costs us no more than this.
	limit := rate.NewLimiter(100, 200)
	buf := make([]byte, maxMessage+1)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		h, err := parse(buf[:n])
		if err != nil || !h.asked && len(h.announced) == 0 || !limit.Allow() {
			continue
		}
		select {
		case in <- packet{h, from.Addr().Unmap()}:
		case <-ctx.Done():
			return
		}
	}
}

// speaker is the state of the announcing loop.
type speaker struct {
	l     *LAN
	air   *air
	self  announcement
	turn  int
	pause time.Duration
	last  time.Time
	seen  map[[16]byte]bool // instances already answered in this epoch
	epoch uint64
}

// speak owns all state of the LAN until ctx ends.
func (l *LAN) speak(ctx context.Context, out *air, in <-chan packet) {
	s := &speaker{l: l, air: out}
	s.fresh()
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.again:
			s.fresh()
			next.Reset(0)
		case p := <-in:
			if s.hear(p, time.Now()) {
				next.Reset(firstRound / 10)
			}
		case now := <-next.C:
			if epoch(now) != s.epoch {
				s.fresh()
			}
			s.say(now)
			next.Reset(s.pause)
			s.pause = min(2*s.pause, lastRound)
		}
	}
}

// fresh starts over, with short pauses and under a new name.
func (s *speaker) fresh() {
	suite.Random(s.self.instance[:])
	s.air.renew(s.l.cfg.Logger)
	s.pause = firstRound
	s.seen = map[[16]byte]bool{}
	s.epoch = epoch(time.Now())
	if b, err := question(); err == nil {
		s.air.send(b)
	}
}

// say announces the next contacts' tags.
func (s *speaker) say(now time.Time) {
	s.self.quic, s.self.tcp = s.l.cfg.Ports()
	secrets := s.l.cfg.Secrets()
	a := announce(s.self, secrets, s.turn, now)
	if len(secrets) > slots {
		s.turn = (s.turn + slots) % len(secrets)
	}
	b, err := response(a)
	if err != nil {
		s.l.cfg.Logger.Error("an announcement can't be packed", "error", err)
		return
	}
	s.air.send(b)
	s.last = now
}

// maxSeen bounds how many instances are remembered.
const maxSeen = 256

// hear handles a message and reports whether to announce soon: to a question,
// and to an instance that is new here, at most once a second.
func (s *speaker) hear(p packet, now time.Time) (soon bool) {
	answer := p.asked
	for _, a := range p.announced {
		if a.instance == s.self.instance {
			continue
		}
		if !s.seen[a.instance] && len(s.seen) < maxSeen {
			s.seen[a.instance] = true
			answer = true
		}
		for _, account := range recognise(a, s.l.cfg.Secrets(), now) {
			if addrs := dialable(p.from, a); len(addrs) > 0 {
				s.l.cfg.Found(account, addrs)
			}
		}
	}
	if !answer || now.Sub(s.last) < firstRound {
		return false
	}
	s.pause = firstRound
	return true
}

// dialable are the addresses of an announcement that came from an address.
func dialable(from netip.Addr, a announcement) []ma.Multiaddr {
	if !from.Is4() {
		return nil
	}
	var out []ma.Multiaddr
	for _, s := range []struct {
		port   uint16
		format string
	}{{a.quic, "/ip4/%s/udp/%d/quic-v1"}, {a.tcp, "/ip4/%s/tcp/%d"}} {
		if s.port == 0 {
			continue
		}
		if m, err := ma.NewMultiaddr(fmt.Sprintf(s.format, from, s.port)); err == nil {
			out = append(out, m)
		}
	}
	return out
}
