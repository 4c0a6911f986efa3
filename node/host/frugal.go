package host

import (
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// Calling somebody who is away costs fifty times as much by QUIC as by TCP:
// ten packets of 1,280 bytes in ten seconds instead of four of 60. So who was
// not there a few times, or anybody when little may be spent, is called by TCP
// alone, with QUIC now and then for networks that let nothing else through.
const (
	awayAfter = 3    // calls in vain
	quicEvery = 8    // calls
	maxAway   = 4096 // peers remembered
)

// away counts calls in vain.
type away struct {
	mu    sync.Mutex
	tries map[peer.ID]int
}

// choose returns the addresses at which to call now.
func (a *away) choose(p peer.AddrInfo, t Thrift) []ma.Multiaddr {
	a.mu.Lock()
	n := a.tries[p.ID]
	a.mu.Unlock()
	if t == Ample && n < awayAfter || n%quicEvery == quicEvery-1 {
		return p.Addrs
	}
	quic := func(addr ma.Multiaddr) bool { _, err := addr.ValueForProtocol(ma.P_QUIC_V1); return err == nil }
	if cheap := slices.DeleteFunc(slices.Clone(p.Addrs), quic); len(cheap) > 0 {
		return cheap
	}
	return p.Addrs
}

// note takes the outcome of a call.
func (a *away) note(id peer.ID, there bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if there {
		delete(a.tries, id)
		return
	}
	if a.tries == nil || len(a.tries) >= maxAway {
		a.tries = map[peer.ID]int{}
	}
	a.tries[id]++
}
