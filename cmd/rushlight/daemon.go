package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"rushlight/node"
	"rushlight/node/api"
	"rushlight/node/backup"
	"rushlight/node/host"
	"rushlight/protocol/identity"
	"rushlight/storage"
	"rushlight/storage/keyfile"
)

// daemon is the running node, as the commands need it.
type daemon interface {
	api.Daemon
	Run(ctx context.Context) error
	Ready() <-chan struct{}
	Close() error
	Addrs() []string
	PeerID() string
	Wipe() error
	Now() time.Time
	DoorKey() [32]byte
	Backup(w io.Writer, slot []byte, key [32]byte, expiring bool) (backup.Summary, error)
}

// settings are what up was told.
type settings struct {
	profile    host.Profile
	socks      string
	listen     []string
	announce   []string
	bootstrap  []string
	relays     []string
	networkKey *[32]byte
	idleCap    int64
	noLAN      bool
	name       string
	page       string // address of the page; empty is none
	notify     string
	lockAfter  time.Duration   // lock when unused for so long; 0 is never
	signalCLI  string          // address for programs written for signal-cli; empty is none
	open       bool            // in a browser, if there is one
	said       map[string]bool // which of the flags were given that preferences heed
	logger     *slog.Logger
}

func keyDir(dir string) string   { return filepath.Join(dir, "keys") }
func storeDir(dir string) string { return filepath.Join(dir, "store") }
func wheelDir(dir string) string { return filepath.Join(storeDir(dir), "wheel") }

// openDaemon opens the profile in dir. code is not nil when the identity is to
// be made.
func openDaemon(dir string, root [32]byte, code *identity.RecoveryCode, s settings) (daemon, error) {
	n, err := node.Open(node.Config{
		Dir: dir, Root: root, Name: s.name,
		Profile: s.profile, SOCKS: s.socks, Listen: s.listen, Announce: s.announce,
		Bootstrap: s.bootstrap, Relays: s.relays, NetworkKey: s.networkKey,
		IdleCap: s.idleCap, NoLAN: s.noLAN,
		NewIdentity: code, Logger: s.logger, Version: versionText(),
	})
	if err != nil {
		return nil, err
	}
	return n, nil
}

// errNoIdentity: the first run was cut off after the key file was made.
var errNoIdentity = node.ErrNoIdentity

// hashing is the cost of a passphrase: zero measures this machine. Tests, which
// make many profiles, set it.
var hashing keyfile.Params

// firstRun makes the keys and the identity of a new profile. If that fails it
// leaves nothing behind: nobody has used it yet.
func firstRun(dir string, passphrase []byte, s settings) (d daemon, code identity.RecoveryCode, err error) {
	code = identity.NewRecoveryCode()
	if err := os.WriteFile(unfinished(dir), nil, 0o600); err != nil {
		return nil, code, fmt.Errorf("making the profile: %w", bareFile(err))
	}
	root, err := keyfile.Create(keyDir(dir), passphrase, code[:], hashing)
	defer clear(root[:])
	if err == nil {
		d, err = openDaemon(dir, root, &code, s)
	}
	if err != nil {
		return nil, code, errors.Join(err, forget(dir))
	}
	return d, code, nil
}

// unfinished is there until a first run has shown its recovery code: a run that
// was cut off before that starts over. Keys without it belong to a store, even
// if that store is missing now.
func unfinished(dir string) string { return filepath.Join(keyDir(dir), "unfinished") }

func isUnfinished(dir string) bool {
	_, err := os.Stat(unfinished(dir))
	return err == nil
}

// finish ends the first run.
func finish(dir string) error { return os.RemoveAll(unfinished(dir)) }

// hasStore tells whether there is anything that keys could open.
func hasStore(dir string) bool {
	list, err := os.ReadDir(storeDir(dir))
	return err == nil && len(list) > 0
}

// forget removes the keys and the store of a profile that was never used.
func forget(dir string) error {
	if keyfile.Exists(keyDir(dir)) {
		if err := keyfile.Destroy(keyDir(dir)); err != nil {
			return err
		}
	}
	return errors.Join(os.RemoveAll(storeDir(dir)), finish(dir))
}

// mapped says which code and words an error of opening or running stands for.
var mapped = []struct {
	err error
	as  *api.Error
}{
	{keyfile.ErrWrongPassphrase, api.Errorf(api.CodeWrongPassphrase, "the passphrase is wrong")},
	{backup.ErrDamaged, api.Errorf(api.CodeBackupDamaged, "the backup was altered or cut short, or is none").WithHint("nothing was written; use another copy of it")},
	{backup.ErrVersion, api.Errorf(api.CodeNewerStore, "a newer version wrote this backup").WithHint("use that version")},
	{identity.ErrWrongCode, api.Errorf(api.CodeWrongPassphrase, "the recovery code is wrong")},
	{keyfile.ErrWrongRecovery, api.Errorf(api.CodeWrongPassphrase, "the recovery code is wrong")},
	{keyfile.ErrTaken, api.Errorf(api.CodeUsage, "that passphrase can't be used").WithHint("take another")},
	{keyfile.ErrVersion, errNewer},
	{keyfile.ErrCorrupt, api.Errorf(api.CodeCorruptStore, "the key file is damaged").WithHint("put a copy of the folder keys back")},
	{storage.ErrLocked, errRunning},
	{storage.ErrVersion, errNewer},
	{storage.ErrRolledBack, api.Errorf(api.CodeCorruptStore, "the store is older than its last run").
		WithHint("an old copy was put back, or the disk lost writes; put the newest copy back")},
	{storage.ErrCorrupt, errDamaged},
	{storage.ErrWrongKey, api.Errorf(api.CodeCorruptStore, "the keys don't belong to this store").
		WithHint("the folders keys and store come from different profiles")},
	{storage.ErrNoSpace, errDiskFull},
	{syscall.ENOSPC, errDiskFull},
	{storage.ErrDisk, api.Errorf(api.CodeInternal, "the disk reports errors").
		WithHint("nothing that was acknowledged is lost; see to the disk, and start again")},
	{storage.ErrReadOnly, errReadOnly},
	{syscall.EROFS, errReadOnly},
	{fs.ErrPermission, errReadOnly},
}

var (
	errNewer    = api.Errorf(api.CodeNewerStore, "a newer version wrote this profile").WithHint("use that version")
	errRunning  = api.Errorf(api.CodeAlreadyRunning, "a daemon is running for this profile already")
	errDamaged  = api.Errorf(api.CodeCorruptStore, "the store is damaged").WithHint("see what is wrong with: rushlight check")
	errDiskFull = api.Errorf(api.CodeDiskFull, "there is not enough room on the disk").WithHint("nothing was lost; make room and start again")
	errNoStore  = api.Errorf(api.CodeCorruptStore, "the keys are there, but the store they open is missing or empty").
			WithHint("put the folder store back; to start over with a new identity, move the folder keys away")
	errReadOnly = api.Errorf(api.CodeReadOnly, "the profile can't be written")
)

// explain gives err the code that people and programs act on.
func explain(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*api.Error](err); ok {
		return err
	}
	for _, m := range mapped {
		if errors.Is(err, m.err) {
			return m.as
		}
	}
	return err
}

// unlock opens a profile that exists. The passphrase of a decoy destroys what
// is there, and makes the decoy.
func (a *app) unlock(passphrase []byte, s settings) (daemon, error) {
	root, decoy, err := keyfile.Unlock(keyDir(a.dir), passphrase, func() error { return storage.Wipe(storeDir(a.dir)) })
	if err != nil {
		return nil, err
	}
	defer clear(root[:])
	if decoy {
		code := identity.NewRecoveryCode()
		return openDaemon(a.dir, root, &code, s)
	}
	return openDaemon(a.dir, root, nil, s)
}

// checkOffline opens the profile only to check it. It listens on nothing but
// the loopback address.
func (a *app) checkOffline(ctx context.Context, passphrase []byte) (api.CheckReport, error) {
	n, err := a.unlock(passphrase, settings{
		listen: []string{"/ip4/127.0.0.1/tcp/0"}, noLAN: true, logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return api.CheckReport{}, err
	}
	r, err := n.Check(ctx)
	return r, errors.Join(err, n.Close())
}
