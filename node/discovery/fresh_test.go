package discovery

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"rushlight/node/host"
)

// Questions to strangers come from somebody whom they never hear of again: the
// host has a peer id of its own, each time another, listens nowhere and has no
// address to tell.
func TestFreshIsNobody(t *testing.T) {
	own := onLoopback(t)
	seen := map[peer.ID]bool{own.ID(): true}
	for range 3 {
		h, err := Fresh(host.Config{Key: [32]byte{1}, Announce: []string{"/ip4/192.0.2.1/tcp/1"}, PortMap: true, Beside: own})
		if err != nil {
			t.Fatal(err)
		}
		if seen[h.ID()] {
			t.Error("a peer id comes twice")
		}
		seen[h.ID()] = true
		if at := h.Transports(); len(at)+len(h.Addrs()) > 0 {
			t.Errorf("it listens by %v and tells %v", at, h.Addrs())
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
}
