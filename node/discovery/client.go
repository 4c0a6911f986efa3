package discovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"

	"rushlight/node/host"
	"rushlight/protocol/suite"
)

// linger is how long a client stays in the hash table after its last question.
const linger = 30 * time.Second

// Fresh makes a host for questions to strangers: with a key that was never used
// before, without addresses, and with nothing that others could use.
func Fresh(base host.Config) (*host.Host, error) {
	suite.Random(base.Key[:])
	base.Brief = true
	base.PortMap, base.Announce, base.Circuits, base.Candidates = false, nil, nil, nil
	base.Libp2p = append(slices.Clone(base.Libp2p), libp2p.ForceReachabilityPrivate(), libp2p.DisableIdentifyAddressDiscovery())
	if base.Profile != host.Hidden {
		base.Profile = host.Desktop
		base.Listen = []string{"/ip4/127.0.0.1/tcp/0"} // and not even there:
		base.Libp2p = append(base.Libp2p, libp2p.NoListenAddrs, libp2p.WithDialTimeout(DialTime))
	}
	return host.New(base)
}

// client is this device's part in the hash table while it asks something: a
// host with a key of its own, that is given up soon after.
type client struct {
	turn   chan struct{} // full while it joins or leaves
	host   *host.Host
	table  *Table
	joined time.Time

	use   sync.Mutex
	users int
	idle  time.Time // since when nobody uses it
}

// ask runs do with a table that has joined. The error is [ErrNobody] when no
// node could be reached.
func (f *Finder) ask(ctx context.Context, do func(t *Table) error) error {
	c := &f.client
	t, err := c.take(ctx, f)
	if err != nil {
		return err
	}
	defer c.give()
	return do(t)
}

func (c *client) take(ctx context.Context, f *Finder) (*Table, error) {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("discovery: waiting for the hash table: %w", ctx.Err())
	}
	defer func() { <-c.turn }()
	if c.table == nil {
		if !f.servers.any() {
			return nil, ErrNobody // and no host is made for it
		}
		h, err := f.cfg.Fresh()
		if err != nil {
			return nil, fmt.Errorf("discovery: making a host for questions: %w", err)
		}
		t, err := NewTable(h, TableConfig{Relays: f.cfg.Relays, Payer: f.servers.payer})
		if err == nil {
			if err = f.join(ctx, t); err != nil {
				err = errors.Join(err, t.Close())
			}
		}
		if err != nil {
			f.cfg.Host.Charge(h)
			return nil, errors.Join(err, h.Close())
		}
		c.host, c.table, c.joined = h, t, time.Now()
	} else if c.table.Known() < enoughServers && time.Since(c.joined) > rejoin {
		c.joined = time.Now()
		// There may be others by now, and it goes on without them.
		_ = f.join(ctx, c.table)
	}
	f.meetNew(ctx, c.table, &f.fresh.client)
	c.use.Lock()
	c.users++
	c.use.Unlock()
	return c.table, nil
}

func (c *client) give() {
	c.use.Lock()
	defer c.use.Unlock()
	c.users--
	c.idle = time.Now()
}

// rest gives the client up when it has had nothing to do for a while; due says
// whether a time has come.
func (f *Finder) rest(due func(time.Time) bool) {
	c := &f.client
	c.use.Lock()
	over := c.users == 0 && !c.idle.IsZero() && due(c.idle.Add(linger))
	c.use.Unlock()
	if over {
		f.work(func() {
			if err := f.shut(); err != nil {
				f.log.Debug("leaving the hash table", "error", err)
			}
		})
	}
}

// shut gives the client up unless somebody uses it.
func (f *Finder) shut() error {
	c := &f.client
	c.turn <- struct{}{} // whoever has it gives it up soon
	defer func() { <-c.turn }()
	c.use.Lock()
	stay := c.users > 0 || c.table == nil
	if !stay {
		c.idle = time.Time{}
	}
	c.use.Unlock()
	if stay {
		return nil
	}
	f.note(c.table)
	f.cfg.Host.Charge(c.host)
	err := errors.Join(c.table.Close(), c.host.Close())
	c.table, c.host = nil, nil
	return err
}
