package host

import (
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/time/rate"
)

// Calling somebody who is away costs fifty times as much by QUIC as by TCP:
// ten packets of 1,280 bytes in ten seconds instead of four of 60. So who was
// not there a few times, or anybody when little may be spent or many were not
// there, is called by TCP alone, with QUIC now and then for networks that let
// nothing else through.
const (
	awayAfter = 3    // calls in vain
	quicEvery = 8    // calls
	maxAway   = 4096 // peers remembered
	// Calls by QUIC in vain, of all peers, at once and later.
	quicBurst = 16
	quicAgain = 10 * time.Minute
)

// away counts calls in vain.
type away struct {
	mu    sync.Mutex
	tries map[peer.ID]int
	quic  *rate.Limiter
}

func newAway() *away {
	return &away{tries: map[peer.ID]int{}, quic: rate.NewLimiter(rate.Every(quicAgain), quicBurst)}
}

func isQUIC(a ma.Multiaddr) bool { _, err := a.ValueForProtocol(ma.P_QUIC_V1); return err == nil }

// choose returns the addresses at which to call now.
func (a *away) choose(p peer.AddrInfo, t Thrift) []ma.Multiaddr {
	a.mu.Lock()
	n := a.tries[p.ID]
	a.mu.Unlock()
	seldom := n%quicEvery == quicEvery-1
	if (t == Ample && n < awayAfter || t != Spent && seldom) && a.quic.Tokens() >= 1 {
		return p.Addrs
	}
	if cheap := slices.DeleteFunc(slices.Clone(p.Addrs), isQUIC); len(cheap) > 0 {
		return cheap
	}
	return p.Addrs
}

// note takes the outcome of a call.
func (a *away) note(p peer.AddrInfo, there bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if there {
		delete(a.tries, p.ID)
		return
	}
	if len(a.tries) >= maxAway {
		clear(a.tries)
	}
	a.tries[p.ID]++
	if slices.ContainsFunc(p.Addrs, isQUIC) {
		_ = a.quic.Allow() // it was made; the next one may not be
	}
}
