package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"rushlight/storage"
	"rushlight/storage/record"
)

// Keeper writes records that the network side keeps.
type Keeper interface {
	record.Namer
	Put(k storage.Key, value []byte) error
	Delete(k storage.Key) error
}

// MaxRemember is how many records one [Engine.Remember] may write, of 1 KiB
// each.
const MaxRemember = 12

// Remember commits records of the network side together with whatever else
// waits.
func (e *Engine) Remember(ctx context.Context, write func(k Keeper) error) error {
	return e.do(ctx, MaxRemember*1024, func(t *txn) error { return write(keeper{t}) })
}

type keeper struct{ *txn }

func (k keeper) Put(key storage.Key, value []byte) error { return k.put(key, value) }
func (k keeper) Delete(key storage.Key) error            { return k.del(key) }

// Remembered reads what was kept under a prefix.
func (e *Engine) Remembered(prefix storage.Key, each func(value []byte) error) error {
	return e.store.View(func(tx *storage.Tx) error {
		return tx.Scan(prefix, nil, false, func(_ storage.Key, v []byte) (bool, error) {
			err := each(v)
			return err == nil, err
		})
	})
}

// OpenInvites lists the secrets of the invites that can still be used, the one
// that ends last first.
func (e *Engine) OpenInvites(now time.Time) (secrets [][32]byte, err error) {
	ends := map[[32]byte]int64{}
	err = e.Remembered(record.InvitePrefix(), func(v []byte) error {
		inv, err := record.ParseInvite(v)
		if err != nil {
			return fmt.Errorf("reading an invite: %w", err)
		}
		for _, u := range inv.Uses {
			if !u.Used && inv.Expires > now.Unix() {
				ends[inv.Secret] = inv.Expires
			}
		}
		return nil
	})
	for s := range ends {
		secrets = append(secrets, s)
	}
	slices.SortFunc(secrets, func(a, b [32]byte) int { return cmp.Compare(ends[b], ends[a]) })
	return secrets, err
}
