package node

import (
	"context"

	"rushlight/node/api"
)

// SetName implements api.Daemon.
func (n *Node) SetName(ctx context.Context, name string) (api.Self, error) {
	if err := n.engine.SetName(ctx, name); err != nil {
		return api.Self{}, apiError(err)
	}
	return n.Self(ctx)
}
