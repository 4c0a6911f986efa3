package record

import (
	"rushlight/protocol/wire"
	"rushlight/storage"
)

// Node is what the network side keeps from one run to the next.
type Node struct {
	Port uint16 // listened on last, 0 before the first run
}

// NodeKey is the key of the one [Node].
func NodeKey() storage.Key { return key(FamilyNode) }

// Marshal encodes n.
func (n *Node) Marshal() []byte { return wire.NewWriter(nil).U8(1).U16(n.Port).Out() }

// ParseNode decodes a [Node].
func ParseNode(b []byte) (*Node, error) {
	r := wire.NewReader(b)
	version(r)
	n := &Node{Port: r.U16()}
	return n, r.Close()
}
