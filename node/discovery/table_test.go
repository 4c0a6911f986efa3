package discovery

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	ds "github.com/ipfs/go-datastore"
	query "github.com/ipfs/go-datastore/query"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/peer"

	"rushlight/node/host"
	"rushlight/protocol/beacon"
	"rushlight/protocol/suite"
)

// onLoopback starts a host for a test.
func onLoopback(t *testing.T) *host.Host {
	t.Helper()
	var key [32]byte
	suite.Random(key[:])
	h, err := host.New(host.Config{Key: key, Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func tableOn(t *testing.T, h *host.Host, cfg TableConfig) *Table {
	t.Helper()
	tab, err := NewTable(h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tab.Close(); err != nil {
			t.Error(err)
		}
	})
	return tab
}

func infoOf(h *host.Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()} }

func aBeacon(t *testing.T) (beacon.Key, []byte) {
	t.Helper()
	o := beacon.NewOwner()
	k, v, err := o.Seal(beacon.Place{Epoch: o.Reader().Epoch(time.Now())}, &beacon.Body{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return k, v
}

// anything is the validator of somebody who wants to get junk into the table.
type anything struct{}

func (anything) Validate(string, []byte) error        { return nil }
func (anything) Select(string, [][]byte) (int, error) { return 0, nil }

// What hostile nodes put is refused by its own keeper, whoever it is that asks.
func TestHostileRecords(t *testing.T) {
	server, attacker, asker := onLoopback(t), onLoopback(t), onLoopback(t)
	table := tableOn(t, server, TableConfig{Server: true})
	d, err := dht.New(attacker.Libp2p(), dht.ProtocolPrefix(tablePrefix), dht.Mode(dht.ModeServer), dht.Validator(anything{}), dht.DisableAutoRefresh())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	if err := attacker.Connect(ctx, infoOf(server)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.RoutingTable().TryAddPeer(server.ID(), true, true); err != nil {
		t.Fatal(err)
	}

	k, good := aBeacon(t)
	bad := func(i int) []byte {
		v := append([]byte(nil), good...)
		v[i] ^= 1
		return v
	}
	old := beacon.NewOwner()
	past := time.Now().Add(-4 * 24 * time.Hour)
	oldKey, stale, err := old.Seal(beacon.Place{Epoch: old.Reader().Epoch(past)}, &beacon.Body{}, past)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key   string
		value []byte
	}{
		"bad signature":    {BeaconKey(k), bad(beacon.Size - 1)},
		"altered":          {BeaconKey(k), bad(500)},
		"oversize":         {BeaconKey(k), append(append([]byte(nil), good...), 0)},
		"huge":             {BeaconKey(k), make([]byte, 1<<20)},
		"empty":            {BeaconKey(k), []byte{}},
		"stale":            {BeaconKey(oldKey), stale},
		"another key":      {BeaconKey(beacon.Key{1}), good},
		"short key":        {"/rushlight-beacon/x", good},
		"relay descriptor": {"/rushlight-relay/" + string(k[:]), good},
		"another space":    {"/pk/" + string(k[:]), good},
		"no space":         {"x", good},
	} {
		_ = d.PutValue(ctx, c.key, c.value) // it never tells
		if n, _ := table.Held(); n != 0 {
			t.Errorf("%s: kept", name)
			table.keep.clear()
		}
	}
	if err := d.PutValue(ctx, BeaconKey(k), good); err != nil {
		t.Fatal(err)
	}
	if n, size := table.Held(); n != 1 || size > 2*beacon.Size {
		t.Errorf("control: %d good records of %d bytes are kept", n, size)
	}

	// A node that answers with junk: whoever asks refuses it, too, and gets the
	// good one from the other.
	for _, v := range [][]byte{bad(500), make([]byte, 1<<20)} {
		if err := d.PutValue(ctx, BeaconKey(k), v); err != nil {
			t.Fatal(err)
		}
		client := tableOn(t, asker, TableConfig{})
		if err := client.Join(ctx, []peer.AddrInfo{infoOf(attacker), infoOf(server)}, nil); err != nil {
			t.Fatal(err)
		}
		got := 0
		if err := client.Search(ctx, BeaconKey(k), func(v []byte) bool {
			if beacon.Check(k, v, time.Now()) != nil {
				t.Error("junk was found")
			}
			got++
			return true
		}); err != nil || got != 1 {
			t.Errorf("found %d: %v", got, err)
		}
	}
}

// A put that nobody has kept is an error, and one that is kept says by how many.
func TestPutIsVerified(t *testing.T) {
	h := onLoopback(t)
	client := tableOn(t, h, TableConfig{})
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	k, v := aBeacon(t)
	if _, err := client.Put(ctx, BeaconKey(k), v); err == nil {
		t.Error("put without knowing anybody")
	}
	if err := client.Join(ctx, nil, nil); !errors.Is(err, ErrNobody) {
		t.Errorf("joined nobody: %v", err)
	}
	// A server that keeps nothing: the table itself reports no error.
	forgetful := onLoopback(t)
	tab := tableOn(t, forgetful, TableConfig{Server: true})
	tab.keep.most = 0
	if err := client.Join(ctx, []peer.AddrInfo{infoOf(forgetful)}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Put(ctx, BeaconKey(k), v); err == nil {
		t.Error("put at a server that keeps nothing")
	}
	if err := client.d.PutValue(ctx, BeaconKey(k), v); err != nil {
		t.Errorf("control: the table itself does report it: %v", err)
	}
	client.keep.clear()
	var more []peer.AddrInfo
	for range 2 {
		s := onLoopback(t)
		tableOn(t, s, TableConfig{Server: true})
		more = append(more, infoOf(s))
	}
	if err := client.Join(ctx, more, nil); err != nil {
		t.Fatal(err)
	}
	if n, err := client.Put(ctx, BeaconKey(k), v); err != nil || n != 2 {
		t.Errorf("%d copies at 2 servers: %v", n, err)
	}
	// What is not valid is not put at all.
	if _, err := client.Put(ctx, BeaconKey(beacon.Key{}), v); err == nil {
		t.Error("put under another key")
	}
}

// A million records take no more memory than the bound allows, and those
// nearest to the node stay.
func TestKeepIsBounded(t *testing.T) {
	const most = 2000
	all := 1_000_000
	if testing.Short() || raceEnabled {
		all = 50_000
	}
	s := newKeep([]byte("this node"), most)
	value := make([]byte, beacon.Size)
	name := func(i int) ds.Key {
		raw := sha256.Sum256([]byte(fmt.Sprint(i)))
		key := BeaconKey(raw)
		return ds.NewKey("/" + spaceBeacon + "/" + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(key)))
	}
	before := heapNow()
	for i := range all {
		if err := s.Put(t.Context(), name(i), append([]byte(nil), value...)); err != nil {
			t.Fatal(err)
		}
	}
	if n, size := s.held(); n != most || size != most*beacon.Size || len(s.far) != most {
		t.Errorf("%d records of %d bytes", n, size)
	}
	if grown := int64(heapNow()) - int64(before); grown > 3*most*beacon.Size {
		t.Errorf("%d MiB more in use", grown>>20)
	}
	worst := s.far[0].distance
	for i := range all {
		d := s.distance(name(i))
		has, err := s.Has(t.Context(), name(i))
		if err != nil || has != (string(d[:]) <= string(worst[:])) {
			t.Fatalf("record %d: kept %v: %v", i, has, err)
		}
	}
	// It is a store like any other.
	k := s.far[0].key
	if err := s.Delete(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), k); !errors.Is(err, ds.ErrNotFound) {
		t.Errorf("deleted and there: %v", err)
	}
	got, err := s.Query(t.Context(), query.Query{Prefix: "/" + spaceBeacon})
	if err != nil {
		t.Fatal(err)
	}
	list, err := got.Rest()
	if err != nil || len(list) != most-1 {
		t.Errorf("%d listed: %v", len(list), err)
	}
	if got, err := s.Query(t.Context(), query.Query{Prefix: "/rushlight"}); err != nil {
		t.Error(err)
	} else if list, err := got.Rest(); err != nil || len(list) != 0 {
		t.Errorf("%d listed under half a name: %v", len(list), err)
	}
}

func heapNow() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// The table has its own two namespaces and no other, not even libp2p's usual
// ones.
func TestNamespaces(t *testing.T) {
	table := tableOn(t, onLoopback(t), TableConfig{})
	all, ok := table.d.Validator.(record.NamespacedValidator)
	if !ok || len(all) != 2 || all[spaceBeacon] == nil || all[spaceRelay] == nil {
		t.Errorf("namespaces %v", all)
	}
	if len(table.d.RoutingTable().ListPeers()) != 0 {
		t.Error("it knows somebody already")
	}
}

// Nobody is called whom the person did not name: there is no list of first
// nodes, neither ours nor anybody's.
func TestNobodyToBeginWith(t *testing.T) {
	if n := len(dht.GetDefaultBootstrapPeerAddrInfos()); n > 0 {
		t.Errorf("%d nodes of another network are known", n)
	}
	table := tableOn(t, onLoopback(t), TableConfig{})
	if err := table.Join(t.Context(), nil, nil); !errors.Is(err, ErrNobody) || table.Known() != 0 {
		t.Errorf("%v, %d nodes are known", err, table.Known())
	}
}
