package discovery

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"rushlight/node/host"
)

// ServeTable takes part in the hash table as a node that keeps records for
// others, on the host of something else such as a relay, until ctx ends. It
// begins with the nodes in bootstrap, which may be none, and gets to know those
// who ask it.
func ServeTable(ctx context.Context, h *host.Host, bootstrap []peer.AddrInfo, log *slog.Logger) (err error) {
	t, err := NewTable(h, TableConfig{Server: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	born := time.Now()
	for {
		if len(bootstrap) > 0 && t.Known() < enoughServers {
			if err := t.Join(ctx, bootstrap, nil); err != nil && ctx.Err() == nil {
				log.Debug("joining the hash table", "error", err)
			}
		}
		pause := lookAfter
		if t.Known() < enoughServers && time.Since(born) < newServer {
			pause = rejoin
		}
		timer := time.NewTimer(pause + rand.N(pause/4))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}
