package world

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/proto"

	"rushlight/node/discovery"
	"rushlight/node/host"
	"rushlight/protocol/beacon"
)

// liar is a node of the hash table that answers every question with nodes which
// are not there, at addresses of a network of somebody else's.
type liar struct {
	rng     *rand.Rand // used by one stream at a time
	turn    chan struct{}
	answers atomic.Int64
}

// Names in one answer: as many as the hash table looks at.
const lies = 40

func (l *liar) serve(s network.Stream) {
	defer s.Close()
	in := bufio.NewReader(s)
	n, err := binary.ReadUvarint(in)
	if err != nil || n > 64<<10 {
		return
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(in, body); err != nil {
		return
	}
	m := new(pb.Message)
	if proto.Unmarshal(body, m) != nil {
		return
	}
	m.CloserPeers, m.Record = nil, nil
	l.turn <- struct{}{}
	for range lies {
		id := []byte{0x12, 0x20}
		for range 4 {
			id = binary.BigEndian.AppendUint64(id, l.rng.Uint64())
		}
		at := ma.StringCast(fmt.Sprintf("/ip4/9.9.%d.%d/udp/53/quic-v1", l.rng.IntN(256), 1+l.rng.IntN(254)))
		m.CloserPeers = append(m.CloserPeers, &pb.Message_Peer{Id: id, Addrs: [][]byte{at.Bytes()}})
	}
	<-l.turn
	out, err := proto.Marshal(m)
	if err != nil {
		return
	}
	_, _ = s.Write(append(binary.AppendUvarint(nil, uint64(len(out))), out...))
	l.answers.Add(1)
}

// lied lets a device ask a hash table of two honest nodes and a liar. It returns
// what it sent to whom the liar named, and what all nodes together sent to it.
func lied(t *testing.T, more ...host.Option) (stray, told traffic) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		const bad, asks = 2, 3
		w := &tables{t: t, ctx: t.Context(), rng: rand.New(rand.NewPCG(seedOf(t), 5)), wires: map[[2]peer.ID]bool{}}
		w.air = newAir(rand.New(rand.NewPCG(seedOf(t), 6)), asks+1)
		defer func() {
			for _, f := range slices.Backward(w.stop) {
				f()
			}
		}()
		for i := range asks {
			n := w.add(i, discovery.TableConfig{Server: true})
			if i > 0 {
				if err := w.meets(n, w.all, i); err != nil {
					t.Fatal(err)
				}
			}
			w.all = append(w.all, n)
		}
		l := &liar{rng: rand.New(rand.NewPCG(seedOf(t), 7)), turn: make(chan struct{}, 1)}
		w.all[bad].h.Libp2p().SetStreamHandler("/rushlight/kad/1.0.0", l.serve)
		w.more = more
		c := w.add(asks, discovery.TableConfig{})
		if err := w.meets(c, w.all, len(w.all)); err != nil {
			t.Fatal(err)
		}
		for range 6 {
			r := beacon.NewOwner().Reader()
			key, err := r.Key(beacon.Place{Epoch: r.Epoch(time.Now())})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.table.Search(t.Context(), discovery.BeaconKey(key), func([]byte) bool { return true }); err != nil {
				t.Logf("%v", err)
			}
			time.Sleep(time.Minute)
		}
		stray, told = w.air.strayedFrom(asks), w.air.toldTo(asks)
		t.Logf("%d lies in %d answers; of nodes %d bytes in all: %d bytes to others, a factor of %.2f",
			lies*l.answers.Load(), l.answers.Load(), told.bytes, stray.bytes, float64(stray.bytes)/float64(told.bytes))
		if l.answers.Load() < 6 || stray.bytes == 0 {
			t.Errorf("%d answers, %d bytes to others", l.answers.Load(), stray.bytes)
		}
	})
	return stray, told
}

// A node of the hash table that names the addresses of others makes a device
// send them less than all nodes together have sent to it. Control: where nothing
// is paid it is many times that.
func TestLiar(t *testing.T) {
	t.Parallel()
	if stray, told := lied(t); stray.bytes > told.bytes {
		t.Errorf("%d bytes to others for %d", stray.bytes, told.bytes)
	}
	if stray, told := lied(t, unpaid); stray.bytes < 3*told.bytes {
		t.Errorf("control: %d bytes to others for %d", stray.bytes, told.bytes)
	}
}

// Nodes to begin with that a contact named are paid from its purse, which begins
// with 15,020 bytes. Control: those of which each has one of its own.
func TestNamedToBeginWith(t *testing.T) {
	t.Parallel()
	for _, payer := range []func(peer.ID) string{func(peer.ID) string { return "a contact" }, nil} {
		synctest.Test(t, func(t *testing.T) {
			w := &tables{t: t, ctx: t.Context(), rng: rand.New(rand.NewPCG(seedOf(t), 8))}
			w.air = newAir(rand.New(rand.NewPCG(seedOf(t), 9)), 1)
			c := w.add(0, discovery.TableConfig{Payer: payer})
			defer w.stop[0]()
			var list []peer.AddrInfo
			for i := range 24 {
				id := append([]byte{0x12, 0x20, byte(i)}, make([]byte, 31)...)
				list = append(list, peer.AddrInfo{ID: peer.ID(id), Addrs: []ma.Multiaddr{ma.StringCast(fmt.Sprintf("/ip4/9.9.9.%d/udp/53/quic-v1", 1+i))}})
			}
			for range 4 {
				if err := c.table.Join(t.Context(), list, nil); !errors.Is(err, discovery.ErrNobody) {
					t.Error(err)
				}
			}
			const first = 15_020
			sent := w.air.strayedFrom(0)
			t.Logf("%d bytes to %d third parties", sent.bytes, len(list))
			if ok := sent.bytes <= first; ok != (payer != nil) || sent.bytes < first/2 || payer == nil && sent.bytes < 5*first {
				t.Errorf("%d bytes in %d packets", sent.bytes, sent.packets)
			}
		})
	}
}

// unpaid makes calls by QUIC cost nothing.
func unpaid(c *libp2p.Config) error {
	c.Transports = nil
	return libp2p.Transport(quic.NewTransport)(c)
}
