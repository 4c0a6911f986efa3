package host

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/net/proxy"
	"golang.org/x/net/websocket"
)

// socksTransport dials everything through one SOCKS5 proxy, Tor as
// a rule, and listens nowhere. Names are handed to the proxy as they are: this
// machine resolves nothing. Each connection logs in to the proxy under a name
// of its own, which is how Tor is told to give it a circuit of its own.
type socksTransport struct {
	up    transport.Upgrader
	rcmgr network.ResourceManager
	proxy string // host:port
}

var (
	_ transport.Transport    = (*socksTransport)(nil)
	_ transport.SkipResolver = (*socksTransport)(nil)
)

func newSOCKS(addr string) func(transport.Upgrader, network.ResourceManager) (*socksTransport, error) {
	return func(u transport.Upgrader, r network.ResourceManager) (*socksTransport, error) {
		return &socksTransport{up: slowProbes{u}, rcmgr: r, proxy: addr}, nil
	}
}

// target is where an address leads.
type target struct {
	host, port string
	tls, ws    bool
	sni, path  string
}

// parseTarget reads <place>/tcp/<port>, alone or followed by /ws, /wss or
// /tls[/sni/<name>]/ws, and /onion3/<name>:<port>.
func parseTarget(a ma.Multiaddr) (t target, ok bool) {
	for i, c := range a {
		switch v := c.Value(); c.Protocol().Code {
		case ma.P_ONION3:
			host, port, found := cutPort(v)
			return target{host: host + ".onion", port: port}, found && len(a) == 1
		case ma.P_IP4, ma.P_IP6, ma.P_DNS, ma.P_DNS4, ma.P_DNS6:
			if i != 0 {
				return t, false
			}
			t.host = v
		case ma.P_TCP:
			if i != 1 {
				return t, false
			}
			t.port = v
		case ma.P_TLS:
			t.tls = true
		case ma.P_SNI:
			t.sni = v
		case ma.P_WS:
			t.ws = true
		case ma.P_WSS:
			t.ws, t.tls = true, true
		case ma.P_HTTP_PATH:
			var err error
			if t.path, err = url.PathUnescape(v); err != nil || !t.ws {
				return t, false
			}
		default:
			return t, false
		}
	}
	if t.sni == "" {
		t.sni = t.host
	}
	return t, t.host != "" && t.port != "" && (t.ws || !t.tls)
}

func cutPort(v string) (host, port string, ok bool) {
	host, port, err := net.SplitHostPort(v)
	return host, port, err == nil
}

// CanDial implements [transport.Transport].
func (t *socksTransport) CanDial(a ma.Multiaddr) bool { _, ok := parseTarget(a); return ok }

// Protocols implements [transport.Transport].
func (t *socksTransport) Protocols() []int { return []int{ma.P_TCP, ma.P_ONION3, ma.P_WS, ma.P_WSS} }

// Proxy implements [transport.Transport]; it is about circuit relays.
func (t *socksTransport) Proxy() bool { return false }

// SkipResolve implements [transport.SkipResolver].
func (t *socksTransport) SkipResolve(context.Context, ma.Multiaddr) bool { return true }

var errNoListen = errors.New("host: a hidden profile does not listen")

// Listen implements [transport.Transport].
func (t *socksTransport) Listen(ma.Multiaddr) (transport.Listener, error) { return nil, errNoListen }

// Dial implements [transport.Transport].
func (t *socksTransport) Dial(ctx context.Context, raddr ma.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	scope, err := t.rcmgr.OpenConnection(network.DirOutbound, true, raddr)
	if err != nil {
		return nil, Opaque("host: claiming a connection", err)
	}
	c, err := t.dial(ctx, raddr, p, scope)
	if err != nil {
		scope.Done()
		return nil, err
	}
	return c, nil
}

func (t *socksTransport) dial(ctx context.Context, raddr ma.Multiaddr, p peer.ID, scope network.ConnManagementScope) (transport.CapableConn, error) {
	if err := scope.SetPeer(p); err != nil {
		return nil, Opaque("host: claiming a connection", err)
	}
	to, ok := parseTarget(raddr)
	if !ok {
		return nil, errors.New("host: address of no use through a proxy")
	}
	var name [16]byte
	if _, err := rand.Read(name[:]); err != nil {
		return nil, fmt.Errorf("host: choosing a name for the proxy: %w", err)
	}
	d, err := proxy.SOCKS5("tcp", t.proxy, &proxy.Auth{User: hex.EncodeToString(name[:]), Password: "x"}, &net.Dialer{})
	if err != nil {
		return nil, Opaque("host: setting up the proxy", err)
	}
	raw, err := d.(proxy.ContextDialer).DialContext(ctx, "tcp", net.JoinHostPort(to.host, to.port))
	if err != nil {
		return nil, Opaque("host: dialling through the proxy", err)
	}
	c, err := to.dress(ctx, raw)
	if err != nil {
		_ = raw.Close() // the error is what matters
		return nil, err
	}
	return t.up.Upgrade(ctx, t, &proxied{c, raddr}, network.DirOutbound, p, scope)
}

// dress wraps the connection in TLS and WebSocket where the address says so.
func (to target) dress(ctx context.Context, c net.Conn) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	scheme := "ws"
	if to.tls {
		scheme = "wss"
		s := tls.Client(c, &tls.Config{ServerName: to.sni, MinVersion: tls.VersionTLS12})
		if err := s.HandshakeContext(ctx); err != nil {
			return nil, Opaque("host: TLS with a proxy of the peer", err)
		}
		c = s
	}
	if !to.ws {
		return c, nil
	}
	at := scheme + "://" + net.JoinHostPort(to.sni, to.port) + "/" + to.path
	conf, err := websocket.NewConfig(at, "http://"+to.sni)
	if err != nil {
		return nil, Opaque("host: WebSocket address", err)
	}
	conf.Header.Del("Origin")
	w, err := websocket.NewClient(conf, c)
	if err != nil {
		return nil, Opaque("host: opening a WebSocket", err)
	}
	w.PayloadType = websocket.BinaryFrame
	return w, nil
}

// proxied is a connection through the proxy. The address of its near end is
// this machine's and nobody's business.
type proxied struct {
	net.Conn
	remote ma.Multiaddr
}

var _ manet.Conn = (*proxied)(nil)

var nowhere = ma.StringCast("/ip4/127.0.0.1/tcp/0")

// LocalMultiaddr implements [manet.Conn].
func (c *proxied) LocalMultiaddr() ma.Multiaddr { return nowhere }

// RemoteMultiaddr implements [manet.Conn].
func (c *proxied) RemoteMultiaddr() ma.Multiaddr { return c.remote }

// noNames refuses to resolve anything on this machine.
type noNames struct{}

var errNoNames = errors.New("host: a hidden profile resolves no names itself")

// ResolveDNSAddr implements [network.MultiaddrDNSResolver].
func (noNames) ResolveDNSAddr(context.Context, peer.ID, ma.Multiaddr, int, int) ([]ma.Multiaddr, error) {
	return nil, errNoNames
}

// ResolveDNSComponent implements [network.MultiaddrDNSResolver].
func (noNames) ResolveDNSComponent(context.Context, ma.Multiaddr, int) ([]ma.Multiaddr, error) {
	return nil, errNoNames
}
