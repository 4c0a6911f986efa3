package post

import (
	"context"
	"errors"
	"sync"
	"time"

	"rushlight/node/engine"
	"rushlight/node/mailbox"
	"rushlight/protocol/identity"
	wire "rushlight/protocol/mailbox"
	"rushlight/storage/record"
)

// withdrawPause is until a relay that could not be reached is asked again to
// delete something.
const withdrawPause = time.Minute

// withdraw deletes at relays what the engine has taken back, until ctx ends.
func (p *Post) withdraw(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.e.WithdrawalsChanged():
		case <-timer.C:
		}
		again, err := p.withdrawDue(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !errors.Is(err, engine.ErrStopped) {
			p.log.Error("deleting at relays", "err", err)
			again = time.Now().Add(withdrawPause)
		}
		if again.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(max(0, time.Until(again)))
		}
	}
}

// withdrawDue deletes what is due and says when there is more.
func (p *Post) withdrawDue(ctx context.Context) (time.Time, error) {
	all, again, err := p.e.Withdrawals()
	if err != nil || len(all) == 0 {
		return again, err
	}
	byRelay := map[[32]byte][]*record.Withdrawal{}
	for i := range all {
		byRelay[all[i].Relay] = append(byRelay[all[i].Relay], &all[i])
	}
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	for relay, which := range byRelay {
		wg.Go(func() {
			if e := p.withdrawAt(ctx, relay, which); e != nil {
				mu.Lock()
				defer mu.Unlock()
				err = errors.Join(err, e)
			}
		})
	}
	wg.Wait()
	if err != nil {
		return again, err
	}
	_, again, err = p.e.Withdrawals()
	return again, err
}

// withdrawAt deletes envelopes at one relay, one after the other: the relay
// reads a mailbox for each.
func (p *Post) withdrawAt(ctx context.Context, relay [32]byte, which []*record.Withdrawal) error {
	at, err := peerOf(relay, which[0].Addrs)
	var d *mailbox.Deposits
	if err == nil && !p.out.avoid(relay, identity.AccountID{}) {
		if d, err = p.out.stream(ctx, relay, at); err != nil {
			p.log.Debug("a relay can't be reached", "err", err)
			p.out.note(relay, false, 0)
		}
	}
	for _, w := range which {
		err := errUnreached
		if d != nil {
			err = d.Unsend(ctx, &wire.Unsend{Stamp: w.Stamp, Object: w.Object, Cure: w.Cure})
		}
		e := new(wire.Err)
		gone, pause := false, withdrawPause
		if errors.As(err, &e) {
			gone = e.Code == wire.CodeUnknown || e.Code == wire.CodeExpired || e.Code == wire.CodeGone || e.Code == wire.CodeSpent
			pause = max(time.Second, time.Duration(min(e.RetryAfter, 3600))*time.Second)
		} else if err != nil {
			d, pause = nil, max(pause, p.out.rest(relay))
		}
		if err := p.e.Withdrawn(context.WithoutCancel(ctx), w, err == nil, gone, pause); err != nil {
			return err
		}
	}
	return nil
}

var errUnreached = errors.New("post: the relay can't be reached")
