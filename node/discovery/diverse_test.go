package discovery

import (
	"fmt"
	"testing"
	"time"

	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p-kbucket/peerdiversity"
	"github.com/libp2p/go-libp2p/core/peer"
	pstore "github.com/libp2p/go-libp2p/p2p/host/peerstore"
	ma "github.com/multiformats/go-multiaddr"
)

// Whoever has one block of addresses gets no more than a few places in the
// routing table; without the filter it is the whole table. What costs its owner
// nothing by the block is not counted.
func TestOneBlockCantFillTheTable(t *testing.T) {
	self := kb.ConvertKey("self")
	where := map[peer.ID]ma.Multiaddr{}
	fill := func(filtered bool, format string, n int) int {
		t.Helper()
		var df *peerdiversity.Filter
		if filtered {
			var err error
			if df, err = peerdiversity.NewFilter(newDiverse(func(p peer.ID) []ma.Multiaddr { return []ma.Multiaddr{where[p], where[p]} }),
				"", func(p peer.ID) int { return kb.CommonPrefixLen(self, kb.ConvertPeerID(p)) }); err != nil {
				t.Fatal(err)
			}
		}
		rt, err := kb.NewRoutingTable(bucketSize, self, time.Minute, pstore.NewMetrics(), time.Minute, df)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := rt.Close(); err != nil {
				t.Error(err)
			}
		}()
		add := func(id, format string, n int) {
			for i := range n {
				p := peer.ID(fmt.Sprint(id, i))
				where[p] = ma.StringCast(fmt.Sprintf(format, i))
				_, _ = rt.TryAddPeer(p, true, false) // that is what is counted
			}
		}
		add("first", format, n)
		before := rt.Size()
		if filtered && before <= fromBlock { // there is room for others all the same
			add("other", "/ip4/40.%d.1.1/udp/1/quic-v1", 40)
			if rt.Size() < before+30 {
				t.Errorf("%s: %d of 40 others have a place", format, rt.Size()-before)
			}
			for _, p := range rt.ListPeers() {
				rt.RemovePeer(p)
			}
			if add("again", format, n); rt.Size() != before {
				t.Errorf("%s: %d places at first, %d later", format, before, rt.Size())
			}
		}
		return before
	}
	for _, block := range []string{"/ip4/5.5.1.%d/udp/1/quic-v1", "/ip6/2001:db9:%x::1/tcp/1", "/ip6/2a00:1:1::%x/udp/1/quic-v1"} {
		if n := fill(true, block, 200); n > fromBlock {
			t.Errorf("%s: %d places", block, n)
		}
		if n := fill(false, block, 200); n < 4*bucketSize {
			t.Errorf("control: %s: %d places without the filter", block, n)
		}
	}
	for _, free := range []string{
		"/ip4/10.1.1.%d/tcp/1", "/ip4/127.0.0.1/tcp/%d",
		"/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1%d",
	} {
		if n := fill(true, free, 60); n < 30 {
			t.Errorf("%s: %d of 60", free, n)
		}
	}
}
