package node

import (
	"context"
	"errors"

	"rushlight/node/api"
	"rushlight/node/engine"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/suite"
)

const labelDoor suite.Label = "rushlight/node/door/1"

// DoorKey seals what the doors keep of tokens.
func (n *Node) DoorKey() [32]byte {
	return [32]byte(suite.Derive(n.cfg.Root[:], nil, 32, labelDoor))
}

// Find implements api.Daemon.
func (n *Node) Find(_ context.Context, who string) (api.Contact, error) {
	c, err := n.resolve(who)
	if err != nil {
		return api.Contact{}, err
	}
	return n.contactJSON(c)
}

// Message implements api.Daemon.
func (n *Node) Message(_ context.Context, id string) (api.Message, error) {
	mid, err := message.ParseID(id)
	if err != nil {
		return api.Message{}, apiError(err)
	}
	v, err := n.engine.Message(mid)
	if err != nil {
		return api.Message{}, apiError(err)
	}
	return n.messageJSON(v), nil
}

// MarkRead implements api.Daemon.
func (n *Node) MarkRead(ctx context.Context, ids []string) error {
	by := map[identity.AccountID][]message.ID{}
	var unknown error
	for _, id := range ids {
		mid, err := message.ParseID(id)
		if err != nil {
			return apiError(err)
		}
		v, err := n.engine.Message(mid)
		if errors.Is(err, engine.ErrUnknownMessage) {
			unknown = err
			continue
		}
		if err != nil {
			return apiError(err)
		}
		by[v.With] = append(by[v.With], mid)
	}
	if len(by) == 0 {
		return apiError(unknown)
	}
	for with, list := range by {
		if err := n.engine.MarkRead(ctx, with, list); err != nil {
			return apiError(err)
		}
	}
	return nil
}

// SentAt implements api.Daemon.
func (n *Node) SentAt(ctx context.Context, who, from string, at api.Time) (api.Message, error) {
	c, err := n.resolve(who)
	if err != nil {
		return api.Message{}, err
	}
	author := n.engine.Account()
	if from != author.String() && from != author.UUID() {
		f, err := n.resolve(from)
		if err != nil {
			return api.Message{}, err
		}
		author = f.Account
	}
	id, err := n.engine.SentAt(c.Account, author, at.Std())
	if err != nil {
		return api.Message{}, apiError(err)
	}
	return n.Message(ctx, id.String())
}
