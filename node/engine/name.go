package engine

import (
	"context"

	"rushlight/protocol/identity"
	"rushlight/storage/record"
)

// Name is what this person calls themselves.
func (e *Engine) Name() string { return *e.self.name.Load() }

// SetName changes what this person calls themselves. Contacts who have the old
// name keep it: cards from now on carry the new one. Failures are
// [identity.ErrBadName] and those of the store.
func (e *Engine) SetName(ctx context.Context, name string) error {
	if err := identity.CheckName(name); err != nil {
		return err
	}
	e.self.naming.Lock()
	defer e.self.naming.Unlock()
	rec := e.self.record
	rec.Name = name
	if err := e.do(ctx, 16<<10, func(t *txn) error { return t.put(record.SelfKey(), rec.Marshal()) }); err != nil {
		return err
	}
	e.self.name.Store(&name)
	return nil
}
