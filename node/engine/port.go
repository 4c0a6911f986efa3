package engine

import (
	"context"
	"errors"

	"rushlight/storage"
	"rushlight/storage/record"
)

// Port is the network port of the last run, 0 before the first.
func (e *Engine) Port() (port uint16, err error) {
	err = e.store.View(func(tx *storage.Tx) error {
		b, err := tx.Get(record.NodeKey())
		if errors.Is(err, storage.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		n, err := record.ParseNode(b)
		if err == nil {
			port = n.Port
		}
		return err
	})
	return port, err
}

// SetPort remembers the network port, so that addresses given out stay good.
func (e *Engine) SetPort(ctx context.Context, port uint16) error {
	return e.do(ctx, 256, func(t *txn) error {
		n := record.Node{Port: port}
		return t.put(record.NodeKey(), n.Marshal())
	})
}
