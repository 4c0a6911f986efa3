package host

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// A contact's purse pays for calls to the unproven addresses that it names, all
// together, in bytes with headers. It begins with one call by QUIC and some by
// TCP, which is less than a contact has sent when it is one. From then on what
// its devices send is added, byte for byte, and what a call has cost is given
// back when the peer that was called turns out to be there: so a contact whose
// address changes every day pays nothing in the end. Time adds a little to a
// purse that is nearly empty, for two who have both lost each other.
//
// An invite, which a person has decided to follow, has a purse for a call to each
// of its addresses.
const (
	quicCost, tcpCost = 13_100, 240
	purseFirst        = quicCost + 8*tcpCost
	purseFull         = 20 * quicCost
	purseInvite       = 8 * (quicCost + tcpCost)
	paidDaily         = 2 * tcpCost
	maxPurses         = 4096
	maxPaid           = 64 // addresses that a purse remembers to have paid for
	maxPooled         = 1024
)

type purse struct {
	left float64
	at   time.Time
	paid map[paidFor]float64 // what may be given back
}

// paidFor is a peer at an IPv4 address or IPv6 /64.
type paidFor struct {
	peer peer.ID
	at   netip.Prefix
}

// pay takes the cost out, if it is there with the rest.
func (p *purse) pay(cost, rest float64) bool {
	if p.left < cost+rest {
		return false
	}
	p.left -= cost
	return true
}

// pays takes the cost of a call out of the first purse that has it, and has so
// much left then. Without any contact there is nothing to pay.
func (u *unproven) pays(to call, by []string, cost, rest float64, now time.Time) bool {
	for _, b := range by {
		p := u.purse(b, now)
		if !p.pay(cost, rest) {
			continue
		}
		what := paidFor{to.peer, blockOf(to.ip, 64)}
		if _, known := p.paid[what]; !known {
			for some := range p.paid { // any one
				if len(p.paid) < maxPaid || b == pool && len(p.paid) < maxPooled {
					break
				}
				u.unowe(some)
				delete(p.paid, some)
			}
			u.owed[what]++
		}
		p.paid[what] += cost
		return true
	}
	return len(by) == 0
}

func (p *purse) add(n float64) { p.left = min(p.left+n, purseFull) }

// purse is that of a contact. The caller holds the lock.
func (u *unproven) purse(by string, now time.Time) *purse {
	p := u.purses[by]
	if p == nil {
		if len(u.purses) >= maxPurses {
			u.dropFullest()
		}
		p = &purse{left: purseFirst, at: now, paid: map[paidFor]float64{}}
		if strings.HasPrefix(by, invited) {
			p.left = purseInvite
		}
		u.purses[by] = p
	}
	if p.left < purseFirst && by != pool {
		p.left = min(p.left+paidDaily*max(now.Sub(p.at).Hours()/24, 0), purseFirst)
	}
	p.at = now
	return p
}

// dropFullest forgets the purse that has the most left.
func (u *unproven) dropFullest() {
	var fullest string
	var p *purse
	for by, o := range u.purses {
		if by != pool && (p == nil || o.left > p.left) {
			fullest, p = by, o
		}
	}
	for what := range p.paid {
		u.unowe(what)
	}
	delete(u.purses, fullest)
}

func (u *unproven) unowe(what paidFor) {
	if u.owed[what]--; u.owed[what] <= 0 {
		delete(u.owed, what)
	}
}

// giveBack returns what calls to a peer have cost whoever named it there.
func (u *unproven) giveBack(id peer.ID, at netip.Addr) {
	what := paidFor{id, blockOf(at, 64)}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.owed[what] == 0 {
		return
	}
	for _, p := range u.purses {
		if cost, ok := p.paid[what]; ok {
			delete(p.paid, what)
			u.unowe(what)
			p.add(cost)
		}
	}
	u.stir()
}

// earn adds what a contact has sent, or anybody to the [pool].
func (u *unproven) earn(contact string, n int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if p := u.purses[contact]; p != nil {
		p.add(float64(n))
		u.stir()
	}
}

type callsFor struct{}

// invited begins the name of an invite's purse.
const invited = "invite "

// CallsForInvite tells [Host.Connect] in which invite the addresses stand.
func CallsForInvite(ctx context.Context, id [16]byte) context.Context {
	return CallsFor(ctx, invited+string(id[:]))
}

// CallsFor tells [Host.Connect] which contact named the addresses. Without it
// each peer counts as a contact of its own.
func CallsFor(ctx context.Context, contact string) context.Context {
	return context.WithValue(ctx, callsFor{}, contact)
}

// contactIn is the contact of a call.
func contactIn(ctx context.Context) string {
	by, _ := ctx.Value(callsFor{}).(string)
	return by
}

// Met notes that a peer is a device of a contact.
func (h *Host) Met(p peer.ID, contact string) { h.gate.met(p, contact) }

func (g *gate) met(p peer.ID, contact string) {
	g.mu.Lock()
	g.entry(p).contact = contact
	g.mu.Unlock()
	g.unproven.mu.Lock()
	defer g.unproven.mu.Unlock()
	g.unproven.purse(contact, g.now())
}

// contactOf is whose device a peer is, empty if that isn't known.
func (g *gate) contactOf(p peer.ID) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v := g.vouched[p]; v != nil {
		return v.contact
	}
	return ""
}

// heard notes what a peer has sent.
func (g *gate) heard(p peer.ID, over protocol.ID, n int64) {
	by := g.contactOf(p)
	if pooled(over) {
		by = pool
	}
	g.unproven.earn(by, n)
}

// connected notes that a peer is where it is.
func (g *gate) connected(c network.Conn, now time.Time) {
	g.unproven.proven(c.RemoteMultiaddr(), now)
	if ip, ok := ipOf(c.RemoteMultiaddr()); ok && !isCircuit(c.RemoteMultiaddr()) {
		g.unproven.giveBack(c.RemotePeer(), ip)
	}
	g.greeted(c)
}

// Purse is how many bytes are left in a contact's purse, -1 if it has none.
func (h *Host) Purse(contact string) int64 {
	u := h.gate.unproven
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.purses[contact] == nil {
		return -1
	}
	return int64(u.purse(contact, time.Now()).left)
}

// PurseWas says how many bytes were left in a contact's purse in an earlier run.
func (h *Host) PurseWas(contact string, left int64, at time.Time) {
	u := h.gate.unproven
	u.mu.Lock()
	defer u.mu.Unlock()
	u.purse(contact, at).left = float64(min(max(left, 0), purseFull))
}
