package node

import (
	"time"
)

// closeTime is how long relays are given to delete the mailboxes of an account
// that has ended.
const closeTime = 2 * time.Second

// Wipe destroys every key of the store at once. Nothing can be read, received
// or sent any more; the node is to be closed. Then it tells relays to delete
// the mailboxes, those that answer soon.
func (n *Node) Wipe() error {
	all := n.engine.Mailboxes()
	err := n.store.Wipe()
	n.post.CloseAll(closeTime, all)
	return err
}

// Now is the store's time: a clock that was set back doesn't set it back.
func (n *Node) Now() time.Time { return n.store.Now() }
