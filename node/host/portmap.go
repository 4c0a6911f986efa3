package host

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	basic "github.com/libp2p/go-libp2p/p2p/host/basic"
	ma "github.com/multiformats/go-multiaddr"
)

// portMap asks the router for ports: by UPnP as libp2p does, and by NAT-PMP. The
// search for a router takes seconds and can't be called off; who stops the host
// meanwhile does not wait for its end, which comes by itself.
type portMap struct {
	basic.NATManager
	pmp *natPMP
}

func newPortMap(n network.Network) basic.NATManager {
	return portMap{basic.NewNATManager(n), newNATPMP(n, gateway)}
}

// GetMapping implements [basic.NATManager].
func (p portMap) GetMapping(a ma.Multiaddr) ma.Multiaddr {
	if m := p.NATManager.GetMapping(a); m != nil {
		return m
	}
	return p.pmp.mapping(a)
}

// HasDiscoveredNAT implements [basic.NATManager].
func (p portMap) HasDiscoveredNAT() bool { return p.NATManager.HasDiscoveredNAT() || p.pmp.found() }

// portMapTime is how long closing waits, for ports that are to be given back.
const portMapTime = time.Second

// Close implements [io.Closer].
func (p portMap) Close() error {
	done := make(chan error, 1)
	go func() {
		p.pmp.close()
		done <- p.NATManager.Close()
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(portMapTime):
		return nil
	}
}
