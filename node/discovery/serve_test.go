package discovery

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

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
	a, b := newSomebody(t, false), newSomebody(t, false)
	a.servers.heard(infoOf(h1))
	b.servers.heard(infoOf(h2))
	pairUp(a, b)
	b.mu.Lock()
	b.relays = []beacon.Relay{{Key: [32]byte{1}}}
	b.mu.Unlock()
	b.Changed()
	eventually(t, func() bool { return b.Status().Copies > 0 })
	b.Finder.mu.Lock()
	reader := readerBytes(b.owner.Reader())
	b.Finder.mu.Unlock()
	a.Reads(b.account, reader)
	a.mu.Lock()
	a.waits = true
	a.mu.Unlock()
	// What the tables don't know of each other yet, they know a little later;
	// people would ask again after a minute.
	deadline, again := time.After(time.Minute), time.NewTicker(2*time.Second)
	defer again.Stop()
	for {
		a.Finder.mu.Lock()
		delete(a.quests, b.account)
		a.Finder.mu.Unlock()
		a.Missed(b.account)
		select {
		case got := <-a.named:
			if len(got) != 1 || got[0].Key != ([32]byte{1}) {
				t.Errorf("found %v", got)
			}
			return
		case <-again.C:
		case <-deadline:
			t.Fatal("not found in a minute")
		}
	}
}
