package discovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	record "github.com/libp2p/go-libp2p-record"
	libp2phost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"rushlight/node/host"
)

// DialTime is how long a client gives a node to answer a call: a dead one costs
// no more.
const DialTime = 3 * time.Second

// Parameters of the hash table (spec §14.1).
const (
	tablePrefix = "/rushlight"
	bucketSize  = 20
	atOnce      = 20             // requests of one lookup: dead nodes must not hold up the living
	recordLife  = 48 * time.Hour // from when a node received it
	serverKeeps = 50_000         // records of others, of about 1.2 KiB
	clientKeeps = 64             // own ones, while they are put
)

// ErrNobody is returned when no node of the hash table could be reached.
var ErrNobody = errors.New("discovery: no node of the hash table was reached")

// TableConfig configures a [Table]. The zero value is a client.
type TableConfig struct {
	// Server keeps records for others and answers their questions. That is
	// for hosts that anybody can reach.
	Server bool
	// Keeps bounds the records kept for others; 0 is 50,000.
	Keeps int
	// Payer is the purse from which a call to a node is paid that the table begins
	// with, empty for one of its own, which is what nil means.
	Payer func(peer.ID) string
	// Relays decides about relay descriptors; nil refuses all.
	Relays Validator
}

// Table is this node's part in the distributed hash table. It has a protocol
// name, namespaces and validators of its own, knows no node until it is told
// one, and keeps what others put in memory only.
type Table struct {
	d      *dht.IpfsDHT
	h      *host.Host
	keep   *keep
	payer  func(peer.ID) string
	server bool
	space  map[string]*validator
}

// The module brings a list of nodes of somebody else's network along.
func init() { dht.DefaultBootstrapPeers = nil }

// NewTable takes part in the hash table on a host. Goroutines start here;
// [Table.Close] ends them, and must come before the host's.
func NewTable(h *host.Host, cfg TableConfig) (*Table, error) {
	keeps, mode := clientKeeps, dht.ModeClient
	if cfg.Server {
		keeps, mode = cfg.Keeps, dht.ModeServer
		if keeps == 0 {
			keeps = serverKeeps
		}
	}
	relays := cfg.Relays
	if relays == nil {
		relays = none{}
	}
	if cfg.Payer == nil {
		cfg.Payer = func(peer.ID) string { return "" }
	}
	t := &Table{h: h, payer: cfg.Payer, server: cfg.Server, keep: newKeep([]byte(h.ID()), keeps), space: map[string]*validator{}}
	all := record.NamespacedValidator{}
	for name, v := range map[string]Validator{spaceBeacon: beacons{}, spaceRelay: relays} {
		t.space[name] = &validator{space: name, v: v, waiting: map[string]*copies{}}
		all[name] = t.space[name]
	}
	o := []dht.Option{
		dht.ProtocolPrefix(tablePrefix), dht.Mode(mode),
		dht.Validator(all), dht.Datastore(t.keep), dht.MaxRecordAge(recordLife), dht.DisableProviders(),
		dht.BucketSize(bucketSize), dht.Concurrency(atOnce),
		dht.RoutingTablePeerDiversityFilter(newDiverse(t.addrsOfPeer)),
	}
	if !cfg.Server {
		// A client lives for a few questions: nothing needs to be kept fresh.
		o = append(o, dht.DisableAutoRefresh())
	}
	var err error
	if t.d, err = dht.New(h.Libp2p(), o...); err != nil {
		return nil, host.Opaque("discovery: joining the hash table", err)
	}
	return t, nil
}

// Close leaves the table.
func (t *Table) Close() error {
	if err := t.d.Close(); err != nil {
		return host.Opaque("discovery: leaving the hash table", err)
	}
	return nil
}

// A table that begins calls a few nodes at once and then one after the other,
// without waiting for those that don't answer, until it knows enough.
const (
	enoughServers = 4
	firstCalls    = 4
	callEvery     = 250 * time.Millisecond
)

// Join calls nodes, in the order given, until enough of them have answered. It
// tells each outcome to tried, which may be nil and is called by several
// goroutines. The error is [ErrNobody].
func (t *Table) Join(ctx context.Context, servers []peer.AddrInfo, tried func(p peer.AddrInfo, ok bool)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tick := time.NewTicker(callEvery)
	defer tick.Stop()
	ended := make(chan struct{}, len(servers))
	var wg sync.WaitGroup
	begun, open, allowed := 0, 0, firstCalls
	for (begun < len(servers) || open > 0) && ctx.Err() == nil && t.Known() < enoughServers {
		for ; begun < len(servers) && begun < allowed; begun, open = begun+1, open+1 {
			p := servers[begun]
			wg.Go(func() {
				err := t.meet(ctx, p)
				if tried != nil && (err == nil || ctx.Err() == nil) { // else it had no time to answer
					tried(p, err == nil)
				}
				ended <- struct{}{}
			})
		}
		select {
		case <-ended:
			open--
			allowed++
		case <-tick.C:
			allowed++
		case <-ctx.Done():
		}
	}
	cancel()
	wg.Wait()
	if t.Known() == 0 {
		return ErrNobody
	}
	if t.server {
		t.d.RefreshRoutingTable()
	}
	return nil
}

// meet calls one node and takes it into the table.
func (t *Table) meet(ctx context.Context, p peer.AddrInfo) error {
	if p.ID == t.h.ID() {
		return ErrNobody
	}
	purse, call := t.payer(p.ID), t.h.Connect
	if purse != "" && !slices.ContainsFunc(p.Addrs, manet.IsPrivateAddr) {
		call = func(ctx context.Context, p peer.AddrInfo) error { return t.h.Meet(ctx, p, purse) }
	}
	if err := call(ctx, p); err != nil {
		return err
	}
	if !isServer(t.h.Libp2p(), p.ID) {
		return fmt.Errorf("discovery: not a node of the hash table")
	}
	_, _ = t.d.RoutingTable().TryAddPeer(p.ID, true, true) // there may be no room for it, or its block
	return nil
}

// isServer reports whether a peer, of a connection that has been identified,
// is a node of the hash table.
func isServer(h libp2phost.Host, p peer.ID) bool {
	has, err := h.Peerstore().SupportsProtocols(p, tablePrefix+"/kad/1.0.0")
	return err == nil && len(has) > 0
}

// Known is how many nodes this one can ask at once.
func (t *Table) Known() int { return t.d.RoutingTable().Size() }

// knows reports whether a node is in the routing table.
func (t *Table) knows(p peer.ID) bool { return t.d.RoutingTable().Find(p) != "" }

// Held is how many records, and bytes of them, are kept.
func (t *Table) Held() (records, bytes int) { return t.keep.held() }

// Size estimates how many nodes take part. It is a lower bound when exact
// figures can't be had, as in a network too small to tell.
func (t *Table) Size() int {
	n, err := t.d.NetworkSize()
	if err != nil {
		return t.Known()
	}
	return max(int(n), t.Known())
}

// Servers are nodes that have answered, with the addresses at which they can
// be called, nearest to this one first.
func (t *Table) Servers() (out []peer.AddrInfo) {
	h := t.h.Libp2p()
	for _, id := range t.d.RoutingTable().ListPeers() {
		p := peer.AddrInfo{ID: id}
		for _, c := range h.Network().ConnsToPeer(id) {
			p.Addrs = append(p.Addrs, c.RemoteMultiaddr())
		}
		// What a node claims counts where somebody has answered.
		claimed := slices.DeleteFunc(h.Peerstore().Addrs(id), func(a ma.Multiaddr) bool { return manet.IsPublicAddr(a) && !t.h.Proven(a) })
		p.Addrs = Order(p.Addrs, claimed)
		if len(p.Addrs) > 0 {
			out = append(out, p)
		}
	}
	return out
}

// enoughCopies is how many nodes have to return what was put.
const enoughCopies = 3

// Put stores a record and reads it back: the table itself says nothing of
// failures. It returns how many nodes returned the record, at most 3, or a
// better one. With none, the error says why.
func (t *Table) Put(ctx context.Context, key string, value []byte) (copies int, err error) {
	if err := t.put(ctx, key, value); err != nil {
		return 0, err
	}
	v := t.spaceOf(key)
	if v == nil {
		return 0, errRecord
	}
	count := v.expect(key, value)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	values, err := t.d.SearchValue(ctx, key, dht.Quorum(enoughCopies))
	if err != nil {
		count()
		return 0, host.Opaque("discovery: reading a record back", err)
	}
	for range values {
	}
	if copies = count(); copies == 0 {
		return 0, errors.New("discovery: nobody returned what was put")
	}
	return min(copies, enoughCopies), nil
}

// put stores a record without looking.
func (t *Table) put(ctx context.Context, key string, value []byte) error {
	err := t.d.PutValue(ctx, key, value)
	t.keep.clear() // or this node would find its own copy
	if err != nil {
		return host.Opaque("discovery: putting a record", err)
	}
	return nil
}

func (t *Table) spaceOf(key string) *validator {
	name, _, err := record.SplitKey(key)
	if err != nil {
		return nil
	}
	return t.space[name]
}

// Search calls found with the first valid record under key, and with each
// better one that comes after, until found returns false, everybody was asked
// or ctx ends.
func (t *Table) Search(ctx context.Context, key string, found func(value []byte) (more bool)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	values, err := t.d.SearchValue(ctx, key, dht.Quorum(0))
	if err != nil {
		return host.Opaque("discovery: searching a record", err)
	}
	more := true
	for v := range values {
		if more && !found(slices.Clone(v)) {
			more = false
			cancel()
		}
	}
	return nil
}
