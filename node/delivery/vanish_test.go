package delivery

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"rushlight/node/host"
	"rushlight/protocol/envelope"
)

// lossy forwards UDP packets to a host until it is told to drop them all.
type lossy struct {
	drop atomic.Bool
	addr *net.UDPAddr
}

func newLossy(t *testing.T, to *host.Host) *lossy {
	t.Helper()
	front, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	back, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: to.Port()})
	if err != nil {
		t.Fatal(err)
	}
	l := &lossy{addr: front.LocalAddr().(*net.UDPAddr)}
	var caller atomic.Pointer[net.UDPAddr]
	var wg sync.WaitGroup
	wg.Go(func() {
		for buf := make([]byte, 2000); ; {
			n, from, err := front.ReadFromUDP(buf)
			if err != nil {
				return
			}
			caller.Store(from)
			if !l.drop.Load() {
				_, _ = back.Write(buf[:n])
			}
		}
	})
	wg.Go(func() {
		for buf := make([]byte, 2000); ; {
			n, err := back.Read(buf)
			if err != nil {
				return
			}
			if to := caller.Load(); to != nil && !l.drop.Load() {
				_, _ = front.WriteToUDP(buf[:n], to)
			}
		}
	})
	t.Cleanup(func() {
		_, _ = front.Close(), back.Close()
		wg.Wait()
	})
	return l
}

// The way to the recipient goes dead without a word. The sender notices long
// before the transport would, and delivers soon after the way is back.
func TestVanishedPeer(t *testing.T) {
	t.Parallel()
	ea, eb := newMemory(t), newMemory(t)
	// A host on all interfaces doesn't announce loopback: there is no way
	// around the lossy one.
	ha, hb := newHost(t), newHost(t, "/ip4/0.0.0.0/udp/0/quic-v1")
	l := newLossy(t, hb)
	at := ma.StringCast(fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", l.addr.Port))
	ea.meet(eb, true, Hint{Peer: []byte(hb.ID()), Addr: at.Bytes()})
	eb.meet(ea, true)
	a := start(t, ea, ha)
	start(t, eb, hb)
	a.queue(eb.account, 5, envelope.S)
	a.until("the first five", func() bool { return len(ea.contacts[eb.account].outbox) == 0 })

	l.drop.Store(true)
	a.queue(eb.account, 50, envelope.S)
	gone := time.Now()
	for a.manager.Connected(eb.account) {
		<-time.After(50 * time.Millisecond)
	}
	if took := time.Since(gone); took > quietTime+deadTime+3*time.Second {
		t.Errorf("it took %v to notice", took)
	}
	// Some calls fail.
	for before := a.manager.Stats().Failures; a.manager.Stats().Failures == before; {
		<-time.After(50 * time.Millisecond)
	}
	l.drop.Store(false)
	back := time.Now()
	a.until("the rest", func() bool { return len(ea.contacts[eb.account].outbox) == 0 })
	took := time.Since(back)
	t.Logf("drained %v after the way was back", took)
	if took > 5*time.Second {
		t.Errorf("draining took %v", took)
	}
}
