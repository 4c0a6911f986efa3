package discovery

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"rushlight/node/host"
	"rushlight/protocol/beacon"
)

// Relays alone are hash table enough: of two that know each other, each keeps
// the beacons that were put by way of the other.
func TestServeTable(t *testing.T) {
	h1, h2 := onLoopback(t), onLoopback(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- ServeTable(ctx, h1, nil, slog.New(slog.DiscardHandler)) }()
	go func() { done <- ServeTable(ctx, h2, []peer.AddrInfo{infoOf(h1)}, slog.New(slog.DiscardHandler)) }()
	defer func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}()
	const patience = 2 * time.Minute // a relay that found nobody asks again, and so does a person
	for _, x := range [][2]*host.Host{{h1, h2}, {h2, h1}} {
		within(t, patience, func() bool { return names(t, x[0], x[1]) })
	}
	a, b := newSomebody(t, false), newSomebody(t, false)
	pairUp(a, b)
	b.mu.Lock()
	b.relays = []beacon.Relay{{Key: [32]byte{1}}}
	// Nobody calls loopback on the word of a node of the table.
	b.trusts = []peer.AddrInfo{infoOf(h1)}
	b.mu.Unlock()
	b.servers.heard(infoOf(h2), "")
	b.Changed()
	within(t, patience, func() bool { return b.Status().Copies > 1 })
	b.Finder.mu.Lock()
	reader := readerBytes(b.owner.Reader())
	b.Finder.mu.Unlock()
	a.servers.heard(infoOf(h1), "")
	a.Reads(b.account, reader)
	a.mu.Lock()
	a.waits = true
	a.mu.Unlock()
	a.Missed(b.account)
	select {
	case got := <-a.named:
		if len(got) != 1 || got[0].Key != ([32]byte{1}) {
			t.Errorf("found %v", got)
		}
	case <-time.After(patience):
		t.Fatal("not found")
	}
}

// names reports whether a node of the hash table tells those who ask it of
// another.
func names(t *testing.T, node, other *host.Host) bool {
	t.Helper()
	h, err := Fresh(host.Config{})
	if err != nil {
		t.Fatal(err)
	}
	tab, err := NewTable(h, TableConfig{})
	if err != nil {
		t.Fatal(errors.Join(err, h.Close()))
	}
	defer func() {
		if err := errors.Join(tab.Close(), h.Close()); err != nil {
			t.Error(err)
		}
	}()
	h.Trust(infoOf(other))
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	if tab.Join(ctx, []peer.AddrInfo{infoOf(node)}, nil) != nil {
		return false
	}
	all, err := tab.d.GetClosestPeers(ctx, string(other.ID()))
	return err == nil && slices.Contains(all, other.ID())
}
