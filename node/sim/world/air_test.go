package world

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// air is the network: it decides for each packet whether and when it arrives.
// It has no goroutines; a packet waits with its receiver until it is due.
type air struct {
	mu      sync.Mutex
	rng     *rand.Rand
	sockets map[netip.AddrPort]*socket
	at      []netip.Addr       // where each person is
	who     map[netip.Addr]int // and the other way round
	delay   [][]time.Duration  // one way, between two people
	cut     [][]bool           // from, to: nothing passes
	dark    []bool             // without power or cable
	walls   []*wall
	loss    int // of packets, in a hundred
	count   counts
	order   uint64
	moved   int
	of      []traffic              // of each person
	out     []traffic              // of these, what was sent
	in      []traffic              // what has arrived at each
	amiss   []traffic              // what each has sent to addresses that nobody has
	stray   map[netip.Addr]traffic // to addresses that nobody has
}

// wall is a firewall that lets in only answers: packets from an address that
// was written to a moment ago.
type wall struct{ opened map[netip.AddrPort]time.Time }

// wallTime is how long a firewall remembers; many home routers have 30 s.
const wallTime = 30 * time.Second

const port = 4000

// addrOf is an address that a device may have. No two are in one /16, as far
// as that goes.
func addrOf(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(20 + n>>8&15), byte(n), byte(n >> 16), byte(n >> 12)})
}

// addrOf is the address of one person's device now.
func (a *air) addrOf(n int) netip.AddrPort {
	a.mu.Lock()
	defer a.mu.Unlock()
	return netip.AddrPortFrom(a.at[n], port)
}

// move gives a person, whose device is off, another address. Nobody has the
// old one.
func (a *air) move(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.who, a.at[n])
	a.moved++
	a.at[n] = addrOf(len(a.at) + a.moved)
	a.who[a.at[n]] = n
}

// newAir makes a network for n people with 10 to 90 ms between any two.
func newAir(rng *rand.Rand, n int) *air {
	a := &air{
		rng: rng, sockets: map[netip.AddrPort]*socket{}, who: map[netip.Addr]int{},
		dark: make([]bool, n), walls: make([]*wall, n), stray: map[netip.Addr]traffic{},
	}
	for i := range n {
		a.at = append(a.at, addrOf(i))
		a.who[addrOf(i)] = i
		a.of, a.out = append(a.of, traffic{}), append(a.out, traffic{})
		a.in, a.amiss = append(a.in, traffic{}), append(a.amiss, traffic{})
		a.delay = append(a.delay, make([]time.Duration, n))
		a.cut = append(a.cut, make([]bool, n))
	}
	for i := range n {
		for j := range i {
			d := time.Duration(10+rng.IntN(81)) * time.Millisecond
			a.delay[i][j], a.delay[j][i] = d, d
		}
	}
	return a
}

// change lets f change what the network does to packets.
func (a *air) change(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

func (a *air) setCut(i, j int, cut bool) {
	a.change(func() { a.cut[i][j], a.cut[j][i] = cut, cut })
}

// heal takes everything away that keeps packets from people with power.
func (a *air) heal() {
	a.change(func() {
		a.loss = 0
		for _, row := range a.cut {
			clear(row)
		}
	})
}

// wall puts a firewall before a person's device.
func (a *air) wall(n int) {
	a.change(func() { a.walls[n] = &wall{map[netip.AddrPort]time.Time{}} })
}

// carry takes a packet from one address to another.
func (a *air) carry(from, to netip.AddrPort, b []byte) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	i, known := a.who[from.Addr()]
	j, there := a.who[to.Addr()]
	if known && !a.dark[i] {
		a.out[i].add(len(b))
	}
	if known && !there {
		a.of[i].add(len(b))
		t := a.stray[to.Addr()]
		t.add(len(b))
		a.stray[to.Addr()] = t
		a.amiss[i].add(len(b))
	}
	if !known || !there {
		a.count.lost++
		return
	}
	s := a.sockets[to]
	if w := a.walls[i]; w != nil && !a.dark[i] {
		w.opened[to] = now
	}
	if s == nil && !a.dark[i] { // sent in vain
		a.of[i].add(len(b))
	}
	if s == nil || a.dark[i] || a.dark[j] || a.cut[i][j] || a.rng.IntN(100) < a.loss {
		a.count.lost++
		return
	}
	if w := a.walls[j]; w != nil && now.Sub(w.opened[from]) > wallTime {
		a.count.walled++
		return
	}
	late := a.delay[i][j]
	if a.loss > 0 { // a bad line also mixes things up
		late += time.Duration(a.rng.IntN(20)) * time.Millisecond
	}
	a.count.carried++
	a.count.bytes += len(b)
	a.of[i].add(len(b))
	a.of[j].add(len(b))
	a.in[j].add(len(b))
	a.order++
	s.push(packet{from: from, data: append([]byte(nil), b...), due: now.Add(late), order: a.order})
}

// headers are what UDP and IP add to a packet.
const headers = 28

// traffic is what one device has sent and received.
type traffic struct{ packets, bytes int }

func (t *traffic) add(bytes int) {
	t.packets++
	t.bytes += bytes + headers
}

func (t traffic) since(before traffic) (packets, bytes int) {
	return t.packets - before.packets, t.bytes - before.bytes
}

func (a *air) sentBy(n int) (t traffic) {
	a.change(func() { t = a.of[n] })
	return t
}

// saidBy is what a person has sent, and nothing of what it was sent.
func (a *air) saidBy(n int) (t traffic) {
	a.change(func() { t = a.out[n] })
	return t
}

// toldTo is what has arrived at a person's.
func (a *air) toldTo(n int) (t traffic) {
	a.change(func() { t = a.in[n] })
	return t
}

// strayedFrom is what a person has sent to addresses that nobody has.
func (a *air) strayedFrom(n int) (t traffic) {
	a.change(func() { t = a.amiss[n] })
	return t
}

// strayTo is what was sent to an address that nobody has.
func (a *air) strayTo(at netip.Addr) (t traffic) {
	a.change(func() { t = a.stray[at] })
	return t
}

// counts is what became of the packets so far.
type counts struct{ carried, lost, walled, bytes int }

func (a *air) counted() (c counts) {
	a.change(func() { c = a.count })
	return c
}

// bind gives out a port of a person's address, which must be free; port 0 is
// any.
func (a *air) bind(n int, p uint16) (*socket, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := netip.AddrPortFrom(a.at[n], p)
	for p == 0 && (at.Port() == 0 || a.sockets[at] != nil) {
		at = netip.AddrPortFrom(a.at[n], 32768+uint16(a.rng.IntN(28000)))
	}
	if a.sockets[at] != nil {
		return nil, fmt.Errorf("the address is taken: %w", net.ErrClosed)
	}
	s := &socket{air: a, at: at, kick: make(chan struct{}, 1)}
	a.sockets[at] = s
	return s, nil
}

func (a *air) release(s *socket) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sockets[s.at] == s {
		delete(a.sockets, s.at)
	}
}

type packet struct {
	from  netip.AddrPort
	data  []byte
	due   time.Time
	order uint64
}

// packets is a heap, the next one first.
type packets []packet

func (p packets) Len() int { return len(p) }
func (p packets) Less(i, j int) bool {
	if p[i].due.Equal(p[j].due) {
		return p[i].order < p[j].order
	}
	return p[i].due.Before(p[j].due)
}
func (p packets) Swap(i, j int) { p[i], p[j] = p[j], p[i] }
func (p *packets) Push(x any)   { *p = append(*p, x.(packet)) }
func (p *packets) Pop() any {
	last := len(*p) - 1
	x := (*p)[last]
	(*p)[last] = packet{}
	*p = (*p)[:last]
	return x
}

var _ heap.Interface = (*packets)(nil)
