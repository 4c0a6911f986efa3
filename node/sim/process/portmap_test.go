//go:build linux

package process_test

import (
	"encoding/binary"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rushlight/node/api"
)

// router is one that passes calls on to whoever asks by NAT-PMP (RFC 6886), and
// says that it has a public address.
type router struct {
	conn  net.PacketConn
	asked atomic.Int64 // ports
	given atomic.Int64 // and taken back
}

const (
	routerAt     = "10.77.1.2:5351"
	routerPublic = "5.9.9.9"
)

func newRouter(t *testing.T, space string) *router {
	t.Helper()
	r := &router{}
	if err := inSpace(space, func() (err error) { r.conn, err = net.ListenPacket("udp", routerAt); return err }); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); r.run() }()
	t.Cleanup(func() { _ = r.conn.Close(); <-done })
	return r
}

func (r *router) run() {
	b := make([]byte, 64)
	for {
		n, from, err := r.conn.ReadFrom(b)
		if err != nil {
			return
		}
		if n < 2 || b[0] != 0 {
			continue
		}
		answer := []byte{0, 128 + b[1], 0, 0, 0, 0, 0, 1} // no error, one second after a start
		switch {
		case b[1] == 0:
			answer = append(answer, net.ParseIP(routerPublic).To4()...)
		case n >= 12 && (b[1] == 1 || b[1] == 2): // UDP or TCP
			if binary.BigEndian.Uint32(b[8:]) == 0 {
				r.given.Add(1)
			} else {
				r.asked.Add(1)
			}
			answer = append(answer, b[4:6]...)
			answer = append(answer, b[6:12]...) // the port asked for, as long as was asked for
		default:
			continue
		}
		_, _ = r.conn.WriteTo(answer, from)
	}
}

// TestPortMap lets the router of the local network pass calls on: contacts are
// told the router's address. With the local network left alone nobody asks it.
// It needs root and Debian's iproute2.
func TestPortMap(t *testing.T) {
	t.Parallel()
	names := newLAN(t, "rl-mapped", "rl-router")
	command(t, "ip", "-n", names[0], "route", "replace", "default", "via", "10.77.1.2")
	r := newRouter(t, names[1])
	alone := startDaemon(t, &daemon{space: names[0], flags: []string{"--no-lan"}}, "alone")
	<-time.After(3 * time.Second)
	alone.stop()
	if n := r.asked.Load(); n > 0 {
		t.Errorf("control: the router was asked for %d ports with --no-lan", n)
	}

	d := startDaemon(t, &daemon{space: names[0]}, "mapped")
	d.mapped()
	d.stop()
	if asked, given := r.asked.Load(), r.given.Load(); asked < 2 || given == 0 {
		t.Errorf("the router was asked for %d ports, and given back %d", asked, given)
	}
}

// mapped waits until the daemon tells its router's address.
func (d *daemon) mapped() {
	d.t.Helper()
	d.until("the router's address is told, for QUIC and TCP", func() bool {
		var s api.Status
		d.call("status", nil, &s)
		at := func(transport string) bool {
			return slices.ContainsFunc(s.Addrs, func(a string) bool { return strings.HasPrefix(a, "/ip4/"+routerPublic+transport) })
		}
		return at("/udp/") && at("/tcp/")
	})
}
