package node

import (
	"io"

	"rushlight/node/backup"
)

// Backup writes what a person would miss, encrypted under the key in slot; see
// [backup.Write].
func (n *Node) Backup(w io.Writer, slot []byte, key [32]byte, expiring bool) (backup.Summary, error) {
	return backup.Write(w, slot, key, n.store, expiring)
}
