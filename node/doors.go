package node

import (
	"context"

	"rushlight/node/api"
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
