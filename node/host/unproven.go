package host

import (
	"net/netip"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/time/rate"
)

// Anybody can name an address that is somebody else's, and nothing shows that
// before it is called. So a public address at which nobody has answered is
// called seldom, whoever named it and however often: by QUIC, where a call in
// vain is ten packets of 1,280 bytes, a few times and then after pauses that
// double; by TCP, where it is four of 60, every ten minutes. Whoever names a
// third party to a device makes it send that party at most 150 kB by QUIC on the
// first day, 30 kB on each after it, and 40 kB a day by TCP (spec §14.5).
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
		answered: map[netip.Prefix]time.Time{}, called: map[netip.Prefix]*calls{},
		fresh: rate.NewLimiter(rate.Every(newPause), newFew),
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
		oldest := netip.Prefix{}
		for p, t := range u.answered {
			if !oldest.IsValid() || t.Before(u.answered[oldest]) {
				oldest = p
			}
		}
		delete(u.answered, oldest)
	}
	if p := blockOf(ip, 64); u.answered[p].Before(at) {
		u.answered[p] = at
	}
	delete(u.called, blockOf(ip, 56))
}

// may reports whether a public address may be called now, and takes it that it
// will be. named says that a contact named it, not the hash table.
func (u *unproven) may(ip netip.Addr, quic, named bool, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if t, ok := u.answered[blockOf(ip, 64)]; ok && now.Sub(t) < provenFor {
		return true
	}
	block := blockOf(ip, 56)
	c := u.called[block]
	if c == nil {
		c = &calls{tcp: rate.NewLimiter(rate.Every(tcpPause), tcpFew)}
		if len(u.called) >= maxUnproven {
			u.forgetOne()
		}
		u.called[block] = c
	}
	switch {
	case !quic:
		return c.tcp.AllowN(now, 1)
	case c.quic == 0 && named && !u.fresh.AllowN(now, 1):
		return false
	case c.quic >= quicFew && now.Before(c.next):
		return false
	}
	if c.quic++; c.quic >= quicFew {
		c.next = now.Add(min(quicPause<<min(c.quic-quicFew, 16), quicLongest))
	}
	return true
}

// forgetOne drops the entry that may be called soonest anyway.
func (u *unproven) forgetOne() {
	var least netip.Prefix
	for p, c := range u.called {
		if o := u.called[least]; o == nil || c.next.Before(o.next) {
			least = p
		}
	}
	delete(u.called, least)
}

// Answered says that somebody was reached at an address, in an earlier run.
func (h *Host) Answered(a ma.Multiaddr, at time.Time) { h.gate.unproven.proven(a, at) }
