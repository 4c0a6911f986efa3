package world

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	kbucket "github.com/libp2p/go-libp2p-kbucket"
	coreconnmgr "github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"

	"rushlight/node/discovery"
	"rushlight/node/host"
)

// tables is a network of nodes that have nothing but the hash table.
type tables struct {
	t    *testing.T
	ctx  context.Context
	rng  *rand.Rand
	air  *air
	all  []*tableNode // servers first
	stop []func()
	made atomic.Int64  // connections, so far
	more []host.Option // of every host that is added

	quiet atomic.Bool // servers call only those they are wired to
	mu    sync.Mutex
	wires map[[2]peer.ID]bool
}

type tableNode struct {
	n     int
	h     *host.Host
	table *discovery.Table
}

// thrifty makes a server let go of connections that a relay would keep: nodes by
// the thousand with thousands each don't fit into one process. Lookups have to
// call more often for it than they would.
func (w *tables) thrifty(c *libp2p.Config) error {
	cm, err := connmgr.NewConnManager(30, 45, connmgr.WithGracePeriod(10*time.Second), connmgr.WithSilencePeriod(5*time.Second))
	if err != nil {
		return err
	}
	err = c.ConnManager.Close()
	c.ConnManager = forgetful{cm}
	return err
}

// forgetful lets go of connections to nodes of the routing table, too.
type forgetful struct{ *connmgr.BasicConnMgr }

func (forgetful) Protect(peer.ID, string) {}

func (n *tableNode) info() peer.AddrInfo { return peer.AddrInfo{ID: n.h.ID(), Addrs: n.h.Addrs()} }

// add starts a node. A client is as a node makes one for a few questions.
func (w *tables) add(n int, cfg discovery.TableConfig) *tableNode {
	w.t.Helper()
	left := &leftovers{}
	options := append(w.air.on(n, left), w.more...)
	profile := host.Relay
	if cfg.Server {
		options = append(options, w.thrifty)
		if n >= joining {
			options = append(options, w.wired)
		}
	} else {
		profile = host.Desktop
		options = append(options, libp2p.NoListenAddrs, libp2p.WithDialTimeout(discovery.DialTime))
	}
	var seed [8]byte
	binary.BigEndian.PutUint64(seed[:], w.rng.Uint64())
	h, err := host.New(host.Config{
		Key:     sha256.Sum256(seed[:]),
		Profile: profile,
		Brief:   !cfg.Server,
		Listen:  []string{fmt.Sprintf("/ip4/%v/udp/%d/quic-v1", w.air.addrOf(n).Addr(), port)},
		Libp2p:  options,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	h.Libp2p().Network().Notify(&network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) {
		if c.Stat().Direction == network.DirOutbound {
			w.made.Add(1)
		}
	}})
	table, err := discovery.NewTable(h, cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.stop = append(w.stop, func() {
		for _, err := range []error{table.Close(), h.Close(), left.close()} {
			if err != nil {
				w.t.Error(err)
			}
		}
	})
	return &tableNode{n, h, table}
}

// meets makes a node join by way of a few of the others, dead ones or not.
func (w *tables) meets(n *tableNode, among []*tableNode, few int) error {
	err := discovery.ErrNobody
	for tries := 0; err != nil && tries < 3; tries++ {
		var some []peer.AddrInfo
		for _, i := range w.rng.Perm(len(among))[:min(few, len(among))] {
			some = append(some, among[i].info())
		}
		if err = n.table.Join(w.ctx, some, nil); err != nil {
			w.t.Logf("node %d could not join by way of %d: %v", n.n, len(some), err)
		}
	}
	return err
}

// wired makes a server call nobody but those it is wired to while the table is
// made. To join, each would call a hundred others.
func (w *tables) wired(c *libp2p.Config) error {
	key, err := peer.IDFromPrivateKey(c.PeerKey)
	c.ConnectionGater = calm{c.ConnectionGater, func(p peer.ID) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return !w.quiet.Load() || w.wires[[2]peer.ID{key, p}]
	}}
	return err
}

// calm is a gate that asks first whether to call a peer.
type calm struct {
	coreconnmgr.ConnectionGater
	ask func(peer.ID) bool
}

func (c calm) InterceptPeerDial(p peer.ID) bool {
	return c.ask(p) && c.ConnectionGater.InterceptPeerDial(p)
}

// joining is how many servers join a large table by themselves; the others are
// wired.
var joining = func() int {
	if n, err := strconv.Atoi(os.Getenv("RUSHLIGHT_SIM_JOINING")); err == nil {
		return n
	}
	return 100
}()

// wire makes a server know those that it would in a table that has stood for
// some time: the nearest twenty, and a few at each distance.
func (w *tables) wire(n *tableNode) {
	w.t.Helper()
	self := kbucket.ConvertPeerID(n.h.ID())
	near := func(o *tableNode) int { return kbucket.CommonPrefixLen(self, kbucket.ConvertPeerID(o.h.ID())) }
	others := slices.Clone(w.all)
	w.rng.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	slices.SortStableFunc(others, func(a, b *tableNode) int { return cmp.Compare(near(b), near(a)) })
	const nearest, atOthers = 20, 2
	var wg sync.WaitGroup
	have := map[int]int{}
	for i, o := range others {
		if have[near(o)]++; i < nearest || have[near(o)] <= atOthers {
			w.mu.Lock()
			w.wires[[2]peer.ID{n.h.ID(), o.h.ID()}], w.wires[[2]peer.ID{o.h.ID(), n.h.ID()}] = true, true
			w.mu.Unlock()
			wg.Go(func() {
				if err := n.h.Connect(w.ctx, o.info()); err != nil {
					w.t.Errorf("node %d could not call %d: %v", n.n, o.n, err)
				}
			})
		}
	}
	wg.Wait()
}

// timed runs f for every i, some at once, and returns how long the successful
// ones took, in order, and how many failed.
func (w *tables) timed(n int, f func(i int) bool) (took []time.Duration, failed int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	line := make(chan struct{}, 8)
	for i := range n {
		line <- struct{}{}
		wg.Go(func() {
			began := time.Now()
			ok := f(i)
			mu.Lock()
			defer mu.Unlock()
			if ok {
				took = append(took, time.Since(began))
			} else {
				failed++
			}
			<-line
		})
	}
	wg.Wait()
	slices.Sort(took)
	return took, failed
}

// part is the q-th hundredth of times in order.
func part(took []time.Duration, q int) time.Duration {
	if len(took) == 0 {
		return 0
	}
	return took[min(len(took)-1, len(took)*q/100)].Round(time.Millisecond)
}

func tableSize(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(cmpOr(os.Getenv("RUSHLIGHT_SIM_TABLE"), "100"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}
