package node

import (
	"context"
	"fmt"
	"time"

	"rushlight/node/api"
	"rushlight/node/host"
)

// Status implements api.Daemon.
func (n *Node) Status(context.Context) (api.Status, error) {
	unread, err := n.engine.Unread()
	if err != nil {
		return api.Status{}, apiError(err)
	}
	cpu, err := cpuTime()
	if err != nil {
		return api.Status{}, fmt.Errorf("reading the processor time: %w", err)
	}
	in, sent := n.host.Traffic()
	ready := false
	select {
	case <-n.ready:
		ready = true
	default:
	}
	reach := n.host.Reach()
	return api.Status{
		Ready: ready, Reachability: reach.Word, Why: reach.Why, Transports: n.host.Transports(),
		Addrs: n.Addrs(), Peers: n.delivery.Stats().Contacts,
		Relays: n.relays(), Connections: n.connections(),
		Outbox: n.engine.Queued(), Bytes: api.Traffic{In: in, Out: sent}, CPU: cpu.Seconds(),
		Disk: diskUse(n.cfg.Dir), Uptime: time.Since(n.started).Seconds(),
		Contacts: len(n.engine.Contacts()), Unread: unread, Version: n.cfg.Version,
	}, nil
}

func (n *Node) connections() (out []api.Connection) {
	for _, c := range n.host.Conns() {
		out = append(out, api.Connection{
			Peer: c.Peer.String(), Transport: c.Transport, Relayed: c.Transport == "circuit",
			Relay: c.Place, Inbound: c.Inbound, Since: api.TimeOf(c.Since),
		})
	}
	return out
}

// slowRelay is from when on a relay is called slow.
const slowRelay = 2 * time.Second

func (n *Node) relays() (out []api.Relay) {
	for _, p := range n.host.Places() {
		r := api.Relay{
			Peer: p.Peer.String(), Took: p.Took.Milliseconds(), Failed: p.Failed, Until: api.TimeOf(p.Until),
			Transport: host.TransportOf(p.Addr), State: "spare",
		}
		switch {
		case p.Held && p.Took > slowRelay:
			r.State = "slow"
		case p.Held:
			r.State = "ok"
		case p.Refused:
			r.State = "full"
		case p.Failed > 0:
			r.State = "down"
		}
		out = append(out, r)
	}
	return out
}
