package post

import (
	"context"
	"errors"
	"time"

	"rushlight/node/engine"
	wire "rushlight/protocol/mailbox"
)

// mint fills up the pool of stamps.
func (c *collector) mint(ctx context.Context) error {
	short, err := c.p.e.Short(c.key)
	if err != nil {
		return err
	}
	for i, n := range short {
		if n == 0 || time.Since(c.refused[i]) < pollEvery {
			continue
		}
		class := engine.ClassOf(i)
		first, stamps, err := c.mb.Stamps(ctx, class, n)
		if e := new(wire.Err); errors.As(err, &e) && e.Code == wire.CodeTooBig {
			c.p.log.Warn("a relay gives no more stamps for now", "class", class)
			c.refused[i] = time.Now()
			continue // what there is has to do: those of some weeks ago end
		}
		if err != nil {
			return err
		}
		if err := c.p.e.AddStamps(ctx, c.key, class, first, stamps); err != nil {
			return err
		}
	}
	return nil
}
