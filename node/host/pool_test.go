package host

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
)

// nobody is a transport by which nobody is reached.
type nobody struct {
	transport.Transport
	calls int
}

func (n *nobody) Dial(ctx context.Context, _ ma.Multiaddr, _ peer.ID) (transport.CapableConn, error) {
	n.calls++
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// others are n peers at addresses of their own, from the first on.
func others(form string, first, n int) (out []peer.AddrInfo) {
	for i := first; i < first+n; i++ {
		out = append(out, peer.AddrInfo{ID: peer.ID(fmt.Sprint("other ", i)), Addrs: []ma.Multiaddr{ma.StringCast(fmt.Sprintf(form, i/250, i%250))}})
	}
	return out
}

const atTCP, atQUIC = "/ip4/7.%d.%d.1/tcp/1", "/ip4/7.%d.%d.1/udp/1/quic-v1"

// callAll counts those of the peers that may be called.
func (g *gate) callAll(list []peer.AddrInfo) (n int) {
	for _, p := range list {
		if g.InterceptAddrDial(p.ID, p.Addrs[0]) {
			n++
		}
	}
	return n
}

// What nodes of the hash table name is paid from what they have sent, all
// together; what a contact has named as nodes, from that one's purse.
func TestPool(t *testing.T) {
	g, _ := timed()
	g.heard("a node", "/ipfs/id/1.0.0", 5*tcpCost)
	g.heard("a node", "/libp2p/circuit/relay/0.2.0/stop", 100*purseFull)
	g.heard("another", "/rushlight/kad/1.0.0", 3*tcpCost)
	g.met("a device", "a contact")
	g.heard("a device", "/rushlight/kad/1.0.0", 2*tcpCost)
	g.heard("a device", "", 100*purseFull)
	list := others(atTCP, 0, 300)
	if n := g.callAll(list); n != 10 {
		t.Errorf("%d third parties were called for %d bytes", n, 10*tcpCost)
	}
	// Who is there gives back what it has cost, and who isn't does not, however
	// many there are.
	ip, _ := ipOf(list[0].Addrs[0])
	g.unproven.giveBack(list[0].ID, ip)
	g.unproven.giveBack(list[1].ID, ip)
	if n := g.callAll(list); n != 1 {
		t.Errorf("%d were called for what one call had cost", n)
	}
	for i := range 4 * maxPooled {
		g.unproven.earn(pool, tcpCost)
		g.callAll(others(atTCP, 10_000+i, 1))
	}
	if p := g.unproven.purses[pool]; len(p.paid) > maxPooled || len(g.unproven.owed) != len(p.paid) {
		t.Errorf("%d are paid for, %d owed", len(p.paid), len(g.unproven.owed))
	}
	// Time adds nothing, and what it holds is bounded.
	left := g.unproven.purses[pool].left
	if got := g.unproven.purse(pool, g.now().AddDate(1, 0, 0)).left; got != left {
		t.Errorf("%.0f bytes became %.0f in a year", left, got)
	}
	g.unproven.earn(pool, 100*purseFull)
	list = others(atTCP, 1000, 2000)
	if n := g.callAll(list); n != purseFull/tcpCost {
		t.Errorf("%d were called for a full pool", n)
	}
	for i := range 2 * maxPurses {
		g.unproven.purse(string(rune(i)), g.now())
	}
	if g.unproven.earn(pool, tcpCost); g.unproven.purses[pool] == nil {
		t.Fatal("it was forgotten for others' purses")
	}
	list = others(atTCP, 4000, 300)
	for _, p := range list {
		g.meets(p, "a teller")
	}
	if n := g.callAll(list); n != purseFirst/tcpCost {
		t.Errorf("%d third parties were called that a contact had named as nodes", n)
	}
	// At an address that it has not named, it is the pool that pays.
	elsewhere := others("/ip4/8.%d.%d.1/tcp/1", 4000, 300)
	if n := g.callAll(elsewhere); n != 1 {
		t.Errorf("%d were called elsewhere", n)
	}
}

// A call by QUIC waits for its purse, ends when that is empty, and is paid
// flight by flight; who answers gives back what it has cost.
func TestBill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, inner := newGate(), &nobody{}
		quic := &paidQUIC{inner, g}
		list := others(atQUIC, 0, 10)
		dial := func(i int, within time.Duration) (took time.Duration, err error) {
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			began := time.Now()
			_, err = quic.Dial(ctx, list[i].Addrs[0], list[i].ID)
			return time.Since(began), err
		}
		purse := g.unproven.purses[pool]
		earn := func(n int64) { g.unproven.earn(pool, n) }
		earn(flightCost)
		if took, err := dial(0, hesitation/2); !errors.Is(err, errPurse) || took != hesitation/2 || inner.calls != 0 || purse.left != flightCost {
			t.Errorf("%v after %v, %d calls, %.0f left, though given up soon", err, took, inner.calls, purse.left)
		}
		purse.left = flightCost / 2
		if took, err := dial(0, time.Minute); !errors.Is(err, errPurse) || took != time.Minute || inner.calls != 0 {
			t.Errorf("%v after %v, %d calls, with half of a flight", err, took, inner.calls)
		}
		time.AfterFunc(time.Second, func() { earn(flightCost / 2) })
		if took, err := dial(0, time.Minute); !errors.Is(err, errPurse) || took != time.Second+flights[0]-payAhead || inner.calls != 1 {
			t.Errorf("%v after %v, %d calls, with one flight", err, took, inner.calls)
		}
		ip, _ := ipOf(list[0].Addrs[0])
		time.AfterFunc(time.Second, func() { g.unproven.giveBack(list[0].ID, ip) })
		if took, err := dial(1, time.Minute); !errors.Is(err, errPurse) || took != time.Second+flights[0]-payAhead || inner.calls != 2 {
			t.Errorf("%v after %v, %d calls, after one was given back", err, took, inner.calls)
		}
		earn(100 * purseFull)
		if took, err := dial(2, 10*time.Second); !errors.Is(err, context.DeadlineExceeded) || took != 10*time.Second {
			t.Errorf("%v after %v, with a full purse", err, took)
		}
		if spent := purseFull - purse.left; spent != float64(1+len(flights))*flightCost {
			t.Errorf("%.0f bytes were paid for a call in vain", spent)
		}
		// Where somebody has answered, and where the person says, calls are free.
		g.unproven.proven(list[3].Addrs[0], time.Now())
		g.trust(list[4])
		for i := 3; i < 5; i++ {
			if b := g.bill(list[i].ID, list[i].Addrs[0]); b != nil {
				t.Errorf("%v is paid for", list[i].Addrs[0])
			}
		}
	})
}

// Flights that left before they were paid for, because this came late, are owed.
func TestBillIsSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		p := others(atQUIC, 0, 1)[0]
		g.unproven.earn(pool, flightCost)
		b := g.bill(p.ID, p.Addrs[0])
		if err := b.first(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(flights[1])
		b.settle()
		if left := g.unproven.purses[pool].left; left > -flightCost {
			t.Errorf("%.0f bytes are left", left)
		}
	})
}
