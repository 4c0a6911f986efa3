package node

import (
	"context"
	"time"

	"rushlight/node/api"
	"rushlight/node/engine"
	"rushlight/protocol/message"
	"rushlight/storage/keyfile/wheel"
)

// lifetime is what a request says about how long a message lives.
func lifetime(expires, burn *time.Duration) (l message.Lifetime) {
	for _, t := range []struct {
		from *time.Duration
		to   *time.Duration
	}{{expires, &l.Expiry}, {burn, &l.Burn}} {
		switch {
		case t.from == nil: // as the conversation has it
		case *t.from == 0:
			*t.to = engine.Never
		default:
			*t.to = *t.from
		}
	}
	return l
}

// Delete implements api.Daemon.
func (n *Node) Delete(ctx context.Context, id string) error {
	mid, err := message.ParseID(id)
	if err != nil {
		return apiError(err)
	}
	return apiError(n.engine.Delete(ctx, mid))
}

// ConfirmClock implements api.Daemon.
func (n *Node) ConfirmClock(ctx context.Context) error { return apiError(n.engine.ConfirmClock(ctx)) }

func erasure(a wheel.Assurance) api.Erasure {
	return api.Erasure{Level: a.Level.String(), Why: a.Reason}
}

func clock(doubt bool) api.Clock {
	if !doubt {
		return api.Clock{}
	}
	return api.Clock{Doubt: true, Hint: "the clock has jumped, or this device was off for long: what has expired is hidden and not yet destroyed. " +
		"If the time is right: rushlight clock confirm"}
}
