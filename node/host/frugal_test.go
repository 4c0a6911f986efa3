package host

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Somebody who is away is called by TCP, and by QUIC now and then.
func TestAway(t *testing.T) {
	p := info(t, somebody, "/ip4/5.5.5.5/udp/1/quic-v1", "/ip4/5.5.5.5/tcp/1", "/ip4/6.6.6.6/udp/1/quic-v1/p2p/"+aRelay+"/p2p-circuit")
	a := newAway()
	byQUIC := 0
	for i := range 80 {
		n := len(a.choose(p, Ample))
		if n != 3 && n != 1 || i < awayAfter && n != 3 {
			t.Fatalf("call %d: %d addresses", i, n)
		}
		if n == 3 {
			byQUIC++
		}
		a.note(peer.AddrInfo{ID: p.ID}, false)
	}
	if byQUIC != awayAfter+80/quicEvery {
		t.Errorf("%d of 80 calls by QUIC", byQUIC)
	}
	a.note(p, true)
	if len(a.choose(p, Ample)) != 3 || len(a.choose(p, Sparing)) != 1 {
		t.Error("who was there is called differently")
	}
	// Who has nothing but QUIC is called by that.
	only := info(t, aRelay, "/ip4/5.5.5.5/udp/1/quic-v1")
	if len(a.choose(only, Spent)) != 1 {
		t.Error("somebody is not called at all")
	}
	for i := range maxAway + 10 {
		a.note(peer.AddrInfo{ID: peer.ID(rune(i))}, false)
	}
	if len(a.tries) > maxAway {
		t.Errorf("%d peers are remembered", len(a.tries))
	}
}

// However many contacts are away, calling them all once by QUIC is not done.
func TestManyAway(t *testing.T) {
	a := newAway()
	byQUIC := 0
	for i := range 200 {
		p := peer.AddrInfo{ID: peer.ID(rune(i)), Addrs: info(t, somebody, "/ip4/5.5.5.5/udp/1/quic-v1", "/ip4/5.5.5.5/tcp/1").Addrs}
		p.Addrs = a.choose(p, Ample)
		if len(p.Addrs) == 2 {
			byQUIC++
		}
		a.note(p, false)
	}
	if byQUIC != quicBurst {
		t.Errorf("%d of 200 were called by QUIC", byQUIC)
	}
}
