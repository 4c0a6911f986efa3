package node

import (
	"testing"

	"rushlight/node/api"
)

func TestNetworkText(t *testing.T) {
	for _, c := range []struct {
		is   api.Network
		want string
	}{
		{api.Network{Reachability: "public", Peers: 14, Relays: 2}, "2 relays, 14 peers, reachable from outside"},
		{api.Network{Reachability: "relayed", Peers: 1, Relays: 1}, "1 relay, 1 peer, reachable through a relay"},
		{api.Network{Reachability: "private", Peers: 3}, "3 peers, not reachable from outside"},
		{api.Network{Reachability: "unknown", Peers: 1}, "1 peer"},
		{api.Network{Reachability: "unknown"}, "not connected to anybody"},
	} {
		if got := networkText(c.is); got != c.want {
			t.Errorf("%+v: %q", c.is, got)
		}
	}
}
