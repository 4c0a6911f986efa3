package discovery

import (
	"log/slog"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
)

// air is the local network on every interface that has one.
type air struct {
	conn   *ipv4.PacketConn
	group  netip.AddrPort
	joined map[int]bool
	out    []net.Interface // to send on
}

// renew looks at the interfaces again. Tunnels are left alone: what is at
// their other end is not the local network.
func (a *air) renew(log *slog.Logger) {
	all, err := net.Interfaces()
	if err != nil {
		log.Debug("the interfaces can't be read", "error", err)
		return
	}
	a.out = a.out[:0]
	now := map[int]bool{}
	for _, i := range all {
		const want = net.FlagUp | net.FlagMulticast
		if i.Flags&want != want || i.Flags&(net.FlagPointToPoint|net.FlagLoopback) != 0 {
			continue
		}
		if !a.joined[i.Index] {
			// Failing is no reason not to speak: it may be joined already.
			if err := a.conn.JoinGroup(&i, net.UDPAddrFromAddrPort(a.group)); err != nil {
				log.Debug("an interface can't be listened on", "error", err)
			}
		}
		now[i.Index] = true
		a.out = append(a.out, i)
	}
	a.joined = now
}

// send says b on every interface. Where that fails nobody hears it, which is
// no different from nobody being there.
func (a *air) send(b []byte) {
	for _, i := range a.out {
		if a.conn.SetMulticastInterface(&i) == nil {
			_, _ = a.conn.WriteTo(b, nil, net.UDPAddrFromAddrPort(a.group))
		}
	}
}
