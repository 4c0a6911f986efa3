package mailbox

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"rushlight/node/host"
	"rushlight/protocol/suite"
	"rushlight/storage/shelf"
)

// RelayConfig says how a relay is run. Dir is needed.
type RelayConfig struct {
	// Dir belongs to the relay alone; it holds the shelf and, unless KeyFile
	// says otherwise, the key.
	Dir string
	// KeyFile is a file of 32 random bytes from which all keys of the relay
	// come. It is made when it is missing. Empty is "key" in Dir.
	KeyFile string
	// Listen and Announce are those of [host.Config].
	Listen, Announce []string
	// Keeper is what the relay asks of others. What the shelf decides is
	// filled in.
	Keeper Config
	// Shelf is what it stores. Dir, Root, Key and Stored are filled in.
	Shelf shelf.Options
	// Status is an address on loopback, such as 127.0.0.1:9464, at which
	// /metrics and /status are served; empty is none.
	Status string
	// Beside, when not nil, runs on the relay's host beside it, until ctx ends:
	// its part in the hash table.
	Beside func(ctx context.Context, h *host.Host) error
	// Logger receives what the operator should know; nil discards it.
	Logger *slog.Logger
}

const (
	labelRelayHost  suite.Label = "rushlight/mailbox/relay-host/1"
	labelRelayShelf suite.Label = "rushlight/mailbox/relay-shelf/1"
	labelRelayToken suite.Label = "rushlight/mailbox/relay-token/1"
)

// relayKeys come from the key file.
type relayKeys struct{ host, shelf, token [32]byte }

// ErrKeyFile is returned for a key file that isn't one.
var ErrKeyFile = errors.New("mailbox: the key file is not 32 bytes")

func readKeys(path string, create bool) (k relayKeys, err error) {
	root, err := os.ReadFile(path)
	if create && errors.Is(err, os.ErrNotExist) {
		root = make([]byte, 32)
		suite.Random(root)
		err = writeNew(path, root)
	}
	if err != nil {
		return k, fmt.Errorf("mailbox: reading the key file: %w", err)
	}
	if len(root) != 32 {
		return k, ErrKeyFile
	}
	defer clear(root)
	for label, key := range map[suite.Label]*[32]byte{labelRelayHost: &k.host, labelRelayShelf: &k.shelf, labelRelayToken: &k.token} {
		*key = [32]byte(suite.Derive(root, nil, 32, label))
	}
	return k, nil
}

// writeNew writes a file that isn't there yet, and syncs it.
func writeNew(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

func (c *RelayConfig) keyFile() string {
	if c.KeyFile != "" {
		return c.KeyFile
	}
	return filepath.Join(c.Dir, "key")
}

// RelayTokens makes hosting tokens of the relay in c.Dir. It may run or not.
func RelayTokens(c RelayConfig, count int) ([][TokenSize]byte, error) {
	keys, err := readKeys(c.keyFile(), false)
	if err != nil {
		return nil, err
	}
	out := make([][TokenSize]byte, count)
	for i := range out {
		out[i] = NewToken(keys.token)
	}
	return out, nil
}

// EraseObject deletes every envelope with an id from the shelf of a relay that
// doesn't run, and returns how many there were.
func EraseObject(ctx context.Context, c RelayConfig, object [16]byte) (n int, err error) {
	keys, err := readKeys(c.keyFile(), false)
	if err != nil {
		return 0, err
	}
	s, err := c.openShelf(keys, nil)
	if err != nil {
		return 0, err
	}
	ctx, stop := context.WithCancel(ctx)
	var writer sync.WaitGroup
	writer.Go(func() { err = errors.Join(err, s.Run(ctx)) })
	n, eerr := s.Erase(object)
	stop()
	writer.Wait()
	return n, errors.Join(eerr, err, s.Close())
}

func (c *RelayConfig) openShelf(keys relayKeys, stored func([]uint64)) (*shelf.Shelf, error) {
	o := c.Shelf
	o.Dir, o.Root, o.Key, o.Stored, o.Logger = filepath.Join(c.Dir, "shelf"), keys.shelf, ed25519.NewKeyFromSeed(keys.host[:]), stored, c.Logger
	return shelf.Open(o)
}

// Relay is a keeper with its host and its shelf.
type Relay struct {
	log    *slog.Logger
	host   *host.Host
	shelf  *shelf.Shelf
	keeper *Keeper
	status net.Listener
	ready  chan struct{}
	beside func(context.Context, *host.Host) error
}

// drainTime is for how long a relay that stops tells everybody so.
const drainTime = time.Second

// OpenRelay opens the relay in cfg.Dir, or makes one.
func OpenRelay(ctx context.Context, cfg RelayConfig) (*Relay, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("mailbox: making the relay's directory: %w", err)
	}
	keys, err := readKeys(cfg.keyFile(), true)
	if err != nil {
		return nil, err
	}
	r := &Relay{log: cfg.Logger, ready: make(chan struct{}), beside: cfg.Beside}
	if err := r.open(ctx, cfg, keys); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Relay) open(ctx context.Context, cfg RelayConfig, keys relayKeys) (err error) {
	k := cfg.Keeper
	k.TokenKey, k.Logger = keys.token, cfg.Logger
	r.keeper = NewKeeper(k)
	if r.shelf, err = cfg.openShelf(keys, r.keeper.Stored); err != nil {
		return err
	}
	if level := r.shelf.Level(); level.Level == 'C' {
		r.log.Warn("mail that has expired may be recoverable from this disk", "reason", level.Reason)
	}
	r.host, err = host.New(host.Config{
		Key: keys.host, Listen: cfg.Listen, Announce: cfg.Announce, Profile: host.Relay, Logger: cfg.Logger,
	})
	if err != nil {
		return err
	}
	if err := r.keeper.Bind(r.host, r.shelf); err != nil {
		return err
	}
	if cfg.Status == "" {
		return nil
	}
	if at, err := netip.ParseAddrPort(cfg.Status); err != nil || !at.Addr().IsLoopback() {
		return errors.New("mailbox: the address for the status is not one of loopback")
	}
	var lc net.ListenConfig
	if r.status, err = lc.Listen(ctx, "tcp", cfg.Status); err != nil {
		return fmt.Errorf("mailbox: listening for the status: %w", err)
	}
	return nil
}

// Run serves until ctx ends; then it drains, finishes what is under way, and
// returns nil. An error means that the relay can't go on.
func (r *Relay) Run(ctx context.Context) error {
	run, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	fail := func(err error) {
		if err != nil {
			cancel(err)
		}
	}
	var parts, shelfDone sync.WaitGroup
	parts.Go(func() { fail(r.keeper.Run(run)) })
	parts.Go(func() { fail(r.host.Run(run)) })
	if r.beside != nil {
		parts.Go(func() { fail(r.beside(run, r.host)) })
	}
	shelfCtx, shelfStop := context.WithCancel(context.WithoutCancel(ctx))
	defer shelfStop()
	shelfDone.Go(func() { fail(r.shelf.Run(shelfCtx)) })
	var web *http.Server
	if r.status != nil {
		web = &http.Server{Handler: r.Handler(), ReadHeaderTimeout: 5 * time.Second}
		parts.Go(func() {
			if err := web.Serve(r.status); !errors.Is(err, http.ErrServerClosed) {
				fail(err)
			}
		})
	}
	<-r.keeper.Ready()
	close(r.ready)
	select {
	case <-ctx.Done():
		r.log.Info("draining")
		r.keeper.Drain()
		t := time.NewTimer(drainTime)
		select {
		case <-t.C:
		case <-run.Done():
		}
		t.Stop()
	case <-run.Done():
	}
	err := context.Cause(run)
	cancel(nil)
	if web != nil {
		_ = web.Close()
	}
	parts.Wait()
	shelfStop() // after the keeper, so that what it has queued is written
	shelfDone.Wait()
	return err
}

// Ready is closed when Run has begun to serve.
func (r *Relay) Ready() <-chan struct{} { return r.ready }

// Close gives up everything. Run must have returned, or never been called.
func (r *Relay) Close() error {
	var errs []error
	if r.status != nil {
		_ = r.status.Close()
	}
	if r.host != nil {
		errs = append(errs, r.host.Close())
	}
	if r.shelf != nil {
		errs = append(errs, r.shelf.Close())
	}
	return errors.Join(errs...)
}

// Addrs are the addresses that people add the relay by, ending in its peer id.
func (r *Relay) Addrs() (out []string) {
	for _, a := range r.host.Addrs() {
		out = append(out, a.String())
	}
	return out
}

// PeerID names the relay.
func (r *Relay) PeerID() string { return r.host.ID().String() }
