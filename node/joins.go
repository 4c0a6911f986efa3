package node

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"rushlight/node/delivery"
	"rushlight/node/delivery/parcel"
	"rushlight/node/engine"
	"rushlight/node/host"
	"rushlight/protocol/identity"
)

// How often the maker of an accepted invite is tried while away.
const (
	joinFirst = time.Second
	joinLast  = time.Minute
	joinTry   = 10 * time.Second // for one attempt,
	joinTor   = time.Minute      // and through Tor
)

// joins remembers which accepted invites are being tried right now.
type joins struct {
	mu    sync.Mutex
	busy  map[identity.AccountID]bool
	again chan struct{} // has a token when there is a new one
}

func (j *joins) init() {
	j.busy, j.again = map[identity.AccountID]bool{}, make(chan struct{}, 1)
}

// take reserves one; the caller that gets true gives it back.
func (j *joins) take(a identity.AccountID) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.busy[a] {
		return false
	}
	j.busy[a] = true
	return true
}

func (j *joins) give(a identity.AccountID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.busy, a)
}

func (j *joins) kick() {
	select {
	case j.again <- struct{}{}:
	default:
	}
}

// runJoins tries accepted invites until their makers have answered.
func (n *Node) runJoins(ctx context.Context) {
	pause := joinFirst
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.joins.again:
			pause = joinFirst
		case <-timer.C:
		}
		if n.tryJoins(ctx) {
			timer.Reset(pause + rand.N(pause/4))
			pause = min(2*pause, joinLast)
		}
	}
}

// tryJoins tries each accepted invite once and reports whether any is left.
func (n *Node) tryJoins(ctx context.Context) (open bool) {
	list, err := n.engine.Joins()
	if err != nil {
		n.log.Error("listing accepted invites", "err", err)
		return true
	}
	for _, j := range list {
		if j.Sent {
			continue
		}
		if j.Stale(time.Now()) {
			if err := n.engine.JoinFailed(ctx, j.Account, parcel.CodeExpired); err != nil && ctx.Err() == nil {
				n.log.Error("ending an accepted invite", "err", err)
			}
			continue
		}
		open = true
		if !n.joins.take(j.Account) {
			continue
		}
		err := n.tryJoin(ctx, j.Invite)
		n.joins.give(j.Account)
		if err != nil && ctx.Err() == nil {
			n.log.Debug("an accepted invite was not answered", "err", err)
		}
	}
	return open
}

func (n *Node) fetchInvite(ctx context.Context, inv *identity.Invite, hints []identity.Hint) ([]byte, error) {
	within := joinTry
	if n.cfg.Profile == host.Hidden {
		within = joinTor
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return n.delivery.FetchInvite(ctx, hints, inv.ID, inv.Secret)
}

// tryJoin asks the maker of an invite for its bundle and hands the answer to
// the engine. A refusal ends the join.
func (n *Node) tryJoin(ctx context.Context, inv *identity.Invite) error {
	reply, err := n.fetchInvite(ctx, inv, inv.Hints)
	if errors.Is(err, delivery.ErrUnreachable) {
		// Its maker is away: what is asked waits at a relay.
		if aerr := n.post.Ask(ctx, inv); aerr != nil && ctx.Err() == nil {
			n.log.Error("asking the maker of an invite", "err", aerr)
		}
		// Or has moved since.
		for _, r := range inv.Relays {
			n.finder.HeardRelay(r.Key, r.Addr)
		}
		if hints := n.finder.SeekInvite(ctx, inv); len(hints) > 0 {
			reply, err = n.fetchInvite(ctx, inv, hints)
		}
	}
	code := uint8(0)
	switch {
	case errors.Is(err, delivery.ErrInviteUsed):
		code = parcel.CodeUsed
	case errors.Is(err, delivery.ErrInviteExpired):
		code = parcel.CodeExpired
	case errors.Is(err, delivery.ErrInviteUnknown):
		code = parcel.CodeUnknown
	case err != nil:
		return err
	}
	if code == 0 {
		switch err = n.engine.Offered(ctx, inv, reply); {
		case errors.Is(err, engine.ErrInviteDenied):
			code = parcel.CodeRefused
		case errors.Is(err, engine.ErrClock):
			code = parcel.CodeTime
		default:
			return err
		}
	}
	return errors.Join(err, n.engine.JoinFailed(ctx, inv.Account, code))
}
