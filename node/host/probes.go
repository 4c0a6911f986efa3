package host

import (
	"context"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/p2p/transport/tcpreuse"
	manet "github.com/multiformats/go-multiaddr/net"
)

// slowProbes makes the kernel probe TCP connections as seldom as yamux does.
// Go's default, every 15 s, costs an idle device more than its messages do.
type slowProbes struct{ transport.Upgrader }

// Upgrade implements [transport.Upgrader].
func (s slowProbes) Upgrade(ctx context.Context, t transport.Transport, c manet.Conn, dir network.Direction, p peer.ID, scope network.ConnManagementScope) (transport.CapableConn, error) {
	probeSlowly(c)
	return s.Upgrader.Upgrade(ctx, t, c, dir, p, scope)
}

// GateMaListener implements [transport.Upgrader].
func (s slowProbes) GateMaListener(l manet.Listener) transport.GatedMaListener {
	return s.Upgrader.GateMaListener(slowListener{l})
}

type slowListener struct{ manet.Listener }

// Accept implements [manet.Listener].
func (l slowListener) Accept() (manet.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		probeSlowly(c)
	}
	return c, err
}

func probeSlowly(c any) {
	if p, ok := c.(*proxied); ok {
		c = p.Conn
	}
	if k, ok := c.(interface {
		SetKeepAliveConfig(net.KeepAliveConfig) error
	}); ok {
		// Where that fails the connection is only chattier.
		_ = k.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: keepAlive + 5*time.Second, Interval: 15 * time.Second, Count: 4})
	}
}

func newTCP(u transport.Upgrader, r network.ResourceManager, shared *tcpreuse.ConnMgr) (*tcp.TcpTransport, error) {
	return tcp.NewTCPTransport(slowProbes{u}, r, shared)
}
