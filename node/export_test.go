package node

import "rushlight/node/preview"

// LookWith lets the node look up what it otherwise wouldn't.
func (n *Node) LookWith(o preview.Options) { n.looker = newLooker(o) }
