package host

import (
	"net/netip"
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
			if err := (portMap{slowRouter{c.router}, newNATPMP(nil, func() (netip.Addr, bool) { return netip.Addr{}, false })}).Close(); err != nil || time.Since(began) != c.want {
				t.Errorf("%v after %v", err, time.Since(began))
			}
			<-time.After(2 * time.Minute) // the router's own end
		})
	}
}

// The router is read from the list that the system keeps.
func TestGateway(t *testing.T) {
	const head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
	for list, want := range map[string]string{
		head + "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n": "192.168.1.1",
		head + "eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n" +
			"tun0\t00000000\t00000000\t0001\t0\t0\t50\t00000000\t0\t0\t0\n" +
			"eth0\t00000000\tFE01A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n": "192.168.1.254",
		head + "tun0\t00000000\t01000A0A\t0003\t0\t0\t50\t00000080\t0\t0\t0\n": "",
		"": "", "a b c": "", head + "eth0\t00000000\tzz01A8C0\t0003\t0\t0\t1\t00000000\t0\t0\t0\n": "",
	} {
		got, ok := gatewayIn(list)
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%q: %v, %v", list, got, ok)
		}
	}
}
