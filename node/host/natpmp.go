package host

import (
	"encoding/hex"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	natpmp "github.com/jackpal/go-nat-pmp"
	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
)

// natPMP asks the router by NAT-PMP (RFC 6886). libp2p has this, too, but on
// Linux the package that it asks for the router, netroute v0.4.0, refuses the
// question, and so no router was ever asked. Elsewhere this is left to libp2p.
type natPMP struct {
	net    network.Network
	router func() (netip.Addr, bool)
	stop   chan struct{}
	once   sync.Once
	wg     sync.WaitGroup

	mu    sync.Mutex
	ports map[mapped]netip.AddrPort
}

// mapped is a port of this machine.
type mapped struct {
	protocol string // udp or tcp
	port     int
}

const (
	pmpFirst   = time.Second // for the host to listen
	pmpEvery   = 20 * time.Minute
	pmpLook    = time.Minute // whether there is another router
	pmpAgain   = 15 * time.Minute
	pmpTimeout = 2 * time.Second
	pmpLife    = 3600 // seconds
)

func newNATPMP(n network.Network, router func() (netip.Addr, bool)) *natPMP {
	p := &natPMP{net: n, router: router, stop: make(chan struct{}), ports: map[mapped]netip.AddrPort{}}
	if _, err := os.Stat(routes); err == nil {
		p.wg.Go(p.run)
	}
	return p
}

func (p *natPMP) run() {
	var last netip.Addr
	var next time.Time
	for wait := pmpFirst; ; wait = pmpLook {
		select {
		case <-p.stop:
			if last.IsValid() {
				p.giveBack(last)
			}
			return
		case <-time.After(wait):
		}
		now := time.Now()
		router, ok := p.router()
		if !ok || router == last && now.Before(next) {
			continue
		}
		last = router
		if next = now.Add(pmpAgain); p.ask(router) {
			next = now.Add(pmpEvery)
		}
	}
}

// ask asks a router for all ports that the host listens on, and reports whether
// it gave any.
func (p *natPMP) ask(router netip.Addr) bool {
	c := natpmp.NewClientWithTimeout(router.AsSlice(), pmpTimeout)
	got := map[mapped]netip.AddrPort{}
	if at, err := c.GetExternalAddress(); err == nil {
		public := netip.AddrFrom4(at.ExternalIPAddress)
		for _, m := range p.listening() {
			if r, err := c.AddPortMapping(m.protocol, m.port, m.port, pmpLife); err == nil {
				got[m] = netip.AddrPortFrom(public, r.MappedExternalPort)
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ports = got
	return len(got) > 0
}

func (p *natPMP) giveBack(router netip.Addr) {
	c := natpmp.NewClientWithTimeout(router.AsSlice(), portMapTime/4)
	p.mu.Lock()
	defer p.mu.Unlock()
	for m := range p.ports {
		_, _ = c.AddPortMapping(m.protocol, m.port, 0, 0) // or they end by themselves
	}
	clear(p.ports)
}

func (p *natPMP) listening() (out []mapped) {
	for _, a := range p.net.ListenAddresses() {
		if m, ok := portOf(a); ok && !slices.Contains(out, m) {
			out = append(out, m)
		}
	}
	return out
}

// portOf is the port of an IPv4 address.
func portOf(a ma.Multiaddr) (mapped, bool) {
	if ip, ok := ipOf(a); !ok || !ip.Is4() || ip.IsLoopback() || isCircuit(a) {
		return mapped{}, false
	}
	name := "tcp"
	if _, err := a.ValueForProtocol(ma.P_UDP); err == nil {
		name = "udp"
	}
	return mapped{name, firstPort([]ma.Multiaddr{a})}, true
}

// mapping is the router's address for one of the host's; nil is none.
func (p *natPMP) mapping(a ma.Multiaddr) ma.Multiaddr {
	m, ok := portOf(a)
	if !ok {
		return nil
	}
	p.mu.Lock()
	at, ok := p.ports[m]
	p.mu.Unlock()
	if !ok {
		return nil
	}
	out, err := ma.NewMultiaddr("/ip4/" + at.Addr().String() + "/" + m.protocol + "/" + strconv.Itoa(int(at.Port())))
	if err != nil {
		return nil
	}
	if len(a) > 2 { // what follows the address and the port
		out = append(out, a[2:]...)
	}
	return out
}

func (p *natPMP) found() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.ports) > 0
}

// close gives back what the router gave.
func (p *natPMP) close() {
	p.once.Do(func() { close(p.stop) })
	p.wg.Wait()
}

// routes is where Linux lists its routes to IPv4 networks.
const routes = "/proc/net/route"

// gateway is the router that everything goes to for which there is no other
// route.
func gateway() (netip.Addr, bool) {
	text, err := os.ReadFile(routes)
	if err != nil {
		return netip.Addr{}, false
	}
	return gatewayIn(string(text))
}

func gatewayIn(text string) (netip.Addr, bool) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line) // interface, destination, gateway, …, mask
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" || f[2] == "00000000" {
			continue
		}
		b, err := hex.DecodeString(f[2])
		if err != nil || len(b) != 4 {
			continue
		}
		slices.Reverse(b) // in the order of a little-endian machine
		return netip.AddrFrom4([4]byte(b)), true
	}
	return netip.Addr{}, false
}
