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
	now, err := n.sample(time.Now())
	if err != nil {
		return api.Status{}, err
	}
	ready := false
	select {
	case <-n.ready:
		ready = true
	default:
	}
	reach, net, idle := n.host.Reach(), n.network(), n.host.Upkeep()
	return api.Status{
		Ready: ready, Text: net.Text, Network: net, Reachability: reach.Word, Why: reach.Why, WhyCode: reach.Code, Transports: n.host.Transports(),
		Addrs: n.Addrs(), Peers: n.delivery.Stats().Contacts,
		DHT:    api.DHTStatus{Enabled: true, Peers: n.finder.Status().Size},
		Relays: n.relays(), Connections: n.connections(),
		Outbox: n.engine.Queued(), Bytes: api.Traffic{In: now.in, Out: now.out}, CPU: now.cpu.Seconds(),
		Disk: diskUse(n.cfg.Dir), Uptime: time.Since(n.started).Seconds(),
		Contacts: len(n.engine.Contacts()), Unread: unread, Version: n.cfg.Version,
		Day: n.day.used(now, n.started), Idle: api.IdleStatus{Cap: idle.Limit, Used: idle.Day, State: idle.State.String()},
		Erasure: erasure(n.store.Erasure()), Clock: clock(n.engine.ClockInDoubt()),
	}, nil
}

// sample is what was used so far.
func (n *Node) sample(now time.Time) (sample, error) {
	cpu, err := cpuTime()
	if err != nil {
		return sample{}, fmt.Errorf("reading the processor time: %w", err)
	}
	in, out := n.host.Traffic()
	return sample{at: now, in: in, out: out, cpu: cpu}, nil
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
