package node

import (
	"context"
	"fmt"
	"strings"
	"time"

	"rushlight/node/api"
)

// network is how this node is connected, in short and in words.
func (n *Node) network() api.Network {
	peers, relays := map[string]bool{}, map[string]bool{}
	for _, c := range n.host.Conns() {
		peers[c.Peer.String()] = true
	}
	for _, r := range n.relays() {
		if r.State == "ok" || r.State == "slow" {
			relays[r.Peer] = true
		}
	}
	for _, r := range n.engine.Mailboxes() {
		if b := n.mailboxOf(&r); b.State == api.MailboxOK {
			relays[b.Peer] = true
		}
	}
	out := api.Network{Reachability: n.host.Reach().Word, Peers: len(peers), Relays: len(relays)}
	out.Text = networkText(out)
	return out
}

// networkText is such as "2 relays, 14 peers, reachable from outside".
func networkText(s api.Network) string {
	if s.Peers == 0 && s.Relays == 0 {
		return "not connected to anybody"
	}
	var parts []string
	for _, c := range []struct {
		n    int
		what string
	}{{s.Relays, "relay"}, {s.Peers, "peer"}} {
		switch {
		case c.n == 1:
			parts = append(parts, "1 "+c.what)
		case c.n > 1:
			parts = append(parts, fmt.Sprintf("%d %ss", c.n, c.what))
		}
	}
	how := map[string]string{
		"public": "reachable from outside", "relayed": "reachable through a relay", "private": "not reachable from outside",
	}[s.Reachability]
	if how != "" {
		parts = append(parts, how)
	}
	return strings.Join(parts, ", ")
}

// networkEvery is how often those who watch are told of a change at most.
const networkEvery = 3 * time.Second

// watchNetwork calls fn when the network has changed, until ctx ends.
func (n *Node) watchNetwork(ctx context.Context, fn func(api.Event) error) error {
	before := n.network()
	tick := time.NewTicker(networkEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case now := <-tick.C:
			next := n.network()
			if next == before {
				continue
			}
			before = next
			if err := fn(api.Event{Type: api.EventNetwork, At: api.TimeOf(now), Network: &next}); err != nil {
				return err
			}
		}
	}
}
