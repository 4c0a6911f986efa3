package host

import (
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

// slowRouter takes its time to end.
type slowRouter struct{ end time.Duration }

func (r slowRouter) GetMapping(ma.Multiaddr) ma.Multiaddr { return nil }
func (r slowRouter) HasDiscoveredNAT() bool               { return false }
func (r slowRouter) Close() error                         { <-time.After(r.end); return nil }

// Ports are given back, but nobody waits for a router that can't be found.
func TestPortMapCloses(t *testing.T) {
	for _, c := range []struct{ router, want time.Duration }{{100 * time.Millisecond, 100 * time.Millisecond}, {time.Minute, portMapTime}} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			if err := (portMap{slowRouter{c.router}}).Close(); err != nil || time.Since(began) != c.want {
				t.Errorf("%v after %v", err, time.Since(began))
			}
			<-time.After(2 * time.Minute) // the router's own end
		})
	}
}
