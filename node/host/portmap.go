package host

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	basic "github.com/libp2p/go-libp2p/p2p/host/basic"
)

// portMap asks the router for ports (UPnP, NAT-PMP). The search for a router
// takes seconds and can't be called off; who stops the host meanwhile does not
// wait for its end, which comes by itself.
type portMap struct{ basic.NATManager }

func newPortMap(n network.Network) basic.NATManager { return portMap{basic.NewNATManager(n)} }

// portMapTime is how long closing waits, for ports that are to be given back.
const portMapTime = time.Second

// Close implements [io.Closer].
func (p portMap) Close() error {
	done := make(chan error, 1)
	go func() { done <- p.NATManager.Close() }()
	select {
	case err := <-done:
		return err
	case <-time.After(portMapTime):
		return nil
	}
}
