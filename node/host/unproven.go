package host

import (
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/time/rate"
)

// Anybody can name an address that is somebody else's, and nothing shows that
// before it is called. So a public address at which nobody has answered is
// called seldom, whoever named it and however often: by QUIC, where a call in
// vain is ten packets of 1,280 bytes, a few times and then after pauses that
// double; by TCP, where it is four of 60, every ten minutes. What a contact names
// is besides paid from its [purse], and what nodes of the hash table name from
// the [pool], so that they make a device send third parties less than they have
// sent themselves (spec §14.5).
const (
	quicFew     = 4 // calls at once, of one IPv4 address or IPv6 /56
	quicPause   = 10 * time.Minute
	quicLongest = 12 * time.Hour
	tcpPause    = 10 * time.Minute
	tcpFew      = 8
	// Third parties that contacts make this device call by QUIC, at once and
	// later.
	newFew, newPause = 64, 15 * time.Minute
	// An address that answered is good for so long.
	provenFor = 7 * 24 * time.Hour

	maxProven, maxUnproven = 4096, 4096
)

// unproven knows at which public addresses somebody has answered, and how often
// the others were called.
type unproven struct {
	mu       sync.Mutex
	answered map[netip.Prefix]time.Time // when, by IPv4 address or IPv6 /64
	called   map[netip.Prefix]*calls
	purses   map[string]*purse
	more     chan struct{}   // closed when there is more in one of them; nil if nobody waits
	owed     map[paidFor]int // how many purses have paid for it
	fresh    *rate.Limiter
}

// calls are those in vain.
type calls struct {
	quic int
	next time.Time // of QUIC, when there were a few
	tcp  *rate.Limiter
}

func newUnproven() *unproven {
	return &unproven{
		answered: map[netip.Prefix]time.Time{}, called: map[netip.Prefix]*calls{}, owed: map[paidFor]int{},
		purses: map[string]*purse{pool: {paid: map[paidFor]float64{}}},
		fresh:  rate.NewLimiter(rate.Every(newPause), newFew),
	}
}

func blockOf(ip netip.Addr, bits6 int) netip.Prefix {
	bits := 32
	if ip.Is6() {
		bits = bits6
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// proven notes that somebody answered at an address.
func (u *unproven) proven(a ma.Multiaddr, at time.Time) {
	ip, ok := ipOf(a)
	if !ok || isCircuit(a) {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.answered) >= maxProven {
		var oldest netip.Prefix
		var when time.Time
		for p, t := range u.answered {
			if !oldest.IsValid() || t.Before(when) {
				oldest, when = p, t
			}
		}
		delete(u.answered, oldest)
	}
	if p := blockOf(ip, 64); u.answered[p].Before(at) {
		u.answered[p] = at
	}
	delete(u.called, blockOf(ip, 56))
}

// isProven reports whether somebody answered at an address not long ago. The
// caller holds the lock.
func (u *unproven) isProven(ip netip.Addr, now time.Time) bool {
	t, ok := u.answered[blockOf(ip, 64)]
	return ok && now.Sub(t) < provenFor
}

// call is one of a peer at a public address.
type call struct {
	peer peer.ID
	ip   netip.Addr
	quic bool
}

// may reports whether a call may be made now, and takes it that it will be. by
// are the purses of who named the address; without any it is paid elsewhere.
func (u *unproven) may(to call, by []string, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.isProven(to.ip, now) {
		return true
	}
	block := blockOf(to.ip, 56)
	c := u.called[block]
	if c == nil {
		c = &calls{tcp: rate.NewLimiter(rate.Every(tcpPause), tcpFew)}
		if len(u.called) >= maxUnproven {
			u.forgetOne()
		}
		u.called[block] = c
	}
	if !to.quic {
		return c.tcp.TokensAt(now) >= 1 && u.pays(to, by, tcpCost, 0, now) && c.tcp.AllowN(now, 1)
	}
	isNew, rest := c.quic == 0 && len(by) > 0, 0.0
	if c.quic > 0 {
		rest = quicCost // for where nobody was called yet
	}
	if c.quic >= quicFew && now.Before(c.next) || isNew && u.fresh.TokensAt(now) < 1 || !u.pays(to, by, quicCost, rest, now) {
		return false
	}
	if isNew {
		u.fresh.AllowN(now, 1)
	}
	if c.quic++; c.quic >= quicFew {
		c.next = now.Add(min(quicPause<<min(c.quic-quicFew, 16), quicLongest))
	}
	return true
}

// forgetOne drops the entry that may be called soonest anyway.
func (u *unproven) forgetOne() {
	var least netip.Prefix
	var soonest *calls
	for p, c := range u.called {
		if soonest == nil || c.next.Before(soonest.next) {
			least, soonest = p, c
		}
	}
	delete(u.called, least)
}

// Answered says that somebody was reached at an address, in an earlier run.
func (h *Host) Answered(a ma.Multiaddr, at time.Time) { h.gate.unproven.proven(a, at) }

// Proven reports whether somebody has answered at an address not long ago.
func (h *Host) Proven(a ma.Multiaddr) bool {
	ip, ok := ipOf(a)
	u := h.gate.unproven
	u.mu.Lock()
	defer u.mu.Unlock()
	return ok && !isCircuit(a) && u.isProven(ip, h.gate.now())
}
