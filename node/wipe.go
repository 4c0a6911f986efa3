package node

import "time"

// Wipe destroys every key of the store at once. Nothing can be read, received
// or sent any more; the node is to be closed.
func (n *Node) Wipe() error { return n.store.Wipe() }

// Now is the store's time: a clock that was set back doesn't set it back.
func (n *Node) Now() time.Time { return n.store.Now() }
