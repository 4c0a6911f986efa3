package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rushlight/node/api"
	"rushlight/node/door"
	"rushlight/protocol/identity"
	"rushlight/storage/keyfile"
)

// upFlags are the flags of up.
type upFlags struct {
	profile    string
	socks      string
	listen     []string
	announce   []string
	bootstrap  []string
	relays     []string
	networkKey string
	idleCap    int64
	noLAN      bool
	name       string
	page       string
	signalCLI  string
	lockAfter  string
	notify     string
	noPage     bool
	noOpen     bool
	given      *pflag.FlagSet
}

// said tells which of the flags were given that somebody can also choose while
// the daemon runs.
func (u upFlags) said() map[string]bool {
	said := map[string]bool{}
	for _, name := range []string{flagLockAfter, flagNotify} {
		said[name] = u.given != nil && u.given.Changed(name)
	}
	return said
}

func addUpFlags(cmd *cobra.Command) *upFlags {
	f := cmd.Flags()
	u := &upFlags{given: f}
	f.StringVar(&u.profile, "profile", "desktop", "desktop, relay (a public server) or hidden (everything through Tor)")
	f.StringVar(&u.socks, "socks", "", "SOCKS5 proxy of a hidden profile (default 127.0.0.1:9050)")
	f.StringArrayVar(&u.listen, "listen", nil, "address to listen on, a multiaddr; may be given several times")
	f.StringArrayVar(&u.announce, "announce", nil, "address to tell others instead of one's own, a multiaddr; may be given several times")
	f.StringArrayVar(&u.bootstrap, "bootstrap", nil, "peer through which to join the network, a multiaddr with /p2p/; may be given several times")
	f.StringArrayVar(&u.relays, "relay", nil, "relay to use, a multiaddr with /p2p/; may be given several times")
	f.StringVar(&u.networkKey, "network-key", "", "file with the key of a closed network")
	f.Int64Var(&u.idleCap, "idle-cap", defaultIdleCap, "bytes a day to spend while nobody says anything; 0 is no limit, as a relay has")
	f.BoolVar(&u.noLAN, "no-lan", false, "don't look for contacts on the local network")
	f.StringVar(&u.name, "name", "", "first run: the name your contacts see until they choose one")
	f.StringVar(&u.page, "page", defaultPage, "address of the page on this machine; port 0 is chosen once and kept")
	f.StringVar(&u.signalCLI, "signal-cli", "", "address on this machine for programs written for signal-cli; anybody who can connect is let in (default: none)")
	f.StringVar(&u.notify, flagNotify, api.NotifyPlain, "desktop notifications: plain (that there is a message), content (what it says) or off; given here, the page's setting doesn't count")
	f.StringVar(&u.lockAfter, flagLockAfter, "off", "lock the profile when nobody has used it for so long, such as 15m; given here, the page's setting doesn't count")
	f.BoolVar(&u.noPage, "no-page", false, "don't serve the page")
	f.BoolVar(&u.noOpen, "no-open", false, "don't open the page in a browser")
	return u
}

func upCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start the daemon (what no command does too)",
		Long: `Start the daemon of a profile and stay in the foreground. The first time this
makes your identity and shows its recovery code, once: write it down. When the
daemon can be used, it prints the line "ready" on standard error, or with --json
one JSON object on standard output. Interrupt it to stop it.`,
		Example: `  rushlight up --name Ann
  rushlight up --listen /ip4/0.0.0.0/udp/4001/quic-v1 --listen /ip4/0.0.0.0/tcp/4001
  rushlight up --passphrase-file ~/.secret --json`,
		Args: exactly(),
	}
	flags := addUpFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.up(cmd.Context(), *flags) }
	return cmd
}

// stopTime is how long stopping may take. What is committed is safe anyway.
const stopTime = 3 * time.Second

func (a *app) up(ctx context.Context, flags upFlags) error {
	if a.dirErr != nil {
		return a.dirErr
	}
	level, err := a.level()
	if err != nil {
		return err
	}
	s, err := flags.settings()
	if err != nil {
		return err
	}
	s.logger = slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level}))
	scrubbing()
	harden()
	unlock, err := lockProfile(a.dir)
	if err != nil {
		return explain(err)
	}
	defer unlock()
	var d daemon
	var code *identity.RecoveryCode
	if since, locked := lockedSince(); locked {
		d, err = a.serveLocked(ctx, s, since)
	} else {
		d, code, err = a.open(ctx, s)
	}
	for err == nil && d != nil {
		now := d.Now
		err = a.serve(ctx, d, code, s)
		d, code = nil, nil
		if errors.Is(err, errLock) {
			since := now()
			becomeLocked(since)
			d, err = a.serveLocked(ctx, s, since)
		}
	}
	if errors.Is(err, errWipe) {
		err = wipeFiles(a.dir)
	}
	return explain(err)
}

// open unlocks the profile, or makes it. code is not nil if it was made now.
func (a *app) open(ctx context.Context, s settings) (d daemon, code *identity.RecoveryCode, err error) {
	if isUnfinished(a.dir) {
		if err := forget(a.dir); err != nil {
			return nil, nil, err
		}
	}
	first := !keyfile.Exists(keyDir(a.dir))
	if first {
		if err := os.MkdirAll(keyDir(a.dir), 0o700); err != nil {
			return nil, nil, fmt.Errorf("making the profile directory: %w", bareFile(err))
		}
	} else if !hasStore(a.dir) {
		return nil, nil, errNoStore
	}
	pass, keep, err := a.passphrase(ctx, first)
	if err != nil {
		return nil, nil, err
	}
	defer clear(pass)
	if err := keep(); err != nil {
		return nil, nil, err
	}
	defer a.slowly("Unlocking the profile")()

	if !first {
		d, err = a.unlock(pass, s)
		if errors.Is(err, errNoIdentity) {
			err = errNoStore
		}
		return d, nil, err
	}
	d, made, err := firstRun(a.dir, pass, s)
	if err != nil {
		return nil, nil, err
	}
	return d, &made, nil
}

// slowly says what takes longer than a second, if it does, and nothing any more
// once stop has returned.
func (a *app) slowly(what string) (stop func()) {
	said := make(chan struct{})
	t := time.AfterFunc(time.Second, func() {
		defer close(said)
		fmt.Fprintf(a.err, "%s …\n", what)
	})
	return func() {
		if !t.Stop() {
			<-said
		}
	}
}

// serve runs the daemon until ctx ends, it is told to stop, or it fails.
func (a *app) serve(ctx context.Context, d daemon, code *identity.RecoveryCode, s settings) error {
	self, err := d.Self(ctx)
	if err != nil {
		return errors.Join(err, d.Close())
	}
	signalled := ctx
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	key := d.DoorKey()
	p, err := openPage(ctx, a.dir, s.page, &key)
	var prefs *preferences
	if err == nil {
		prefs, err = openPreferences(a.dir, s)
	}
	var ln net.Listener
	if err == nil {
		ln, err = api.Listen(ctx, a.dir)
	}
	if err != nil {
		if p != nil {
			err = errors.Join(err, p.ln.Close())
		}
		if code != nil {
			err = errors.Join(err, a.ready(d, self, code, nil, false))
		}
		return errors.Join(err, d.Close())
	}
	// The doors close first, so that what they have taken in is committed.
	nodeCtx, stopNode := context.WithCancel(context.WithoutCancel(ctx))
	defer stopNode()
	var doors, node sync.WaitGroup
	var wiped atomic.Bool
	srv := &api.Server{
		Daemon: d, Version: versionText(), Logger: s.logger, Rights: p.rights(),
		Shutdown: func() { stop(nil) }, Lock: func() { stop(errLock) }, Recovery: shownOnce(code),
		Choose: prefs.change,
		Backup: func(_ context.Context, r api.BackupRequest) (api.Backup, error) {
			b, err := writeBackup(d, r.Path, []byte(r.Passphrase), r.Expiring)
			return b, explain(err)
		},
		Wipe: func() error {
			wiped.Store(true)
			if err := errors.Join(d.Wipe(), wipeSlots(a.dir)); err != nil {
				return explain(err)
			}
			stop(errWipe)
			return nil
		},
	}
	doors.Go(func() {
		if err := srv.Serve(ctx, ln); err != nil {
			stop(fmt.Errorf("serving the socket: %w", err))
		}
	})
	if p != nil {
		doors.Go(func() {
			if err := p.serve(ctx, srv, s.logger); err != nil {
				stop(err)
			}
		})
	}
	doors.Go(func() { notifyDesktop(ctx, d, prefs.notify, s.logger) })
	doors.Go(func() { lockWhenIdle(ctx, prefs.lockAfter, srv.LastUse, func() { stop(errLock) }) })
	if s.signalCLI != "" {
		sln, err := door.Listen(ctx, s.signalCLI)
		if err != nil {
			stop(errSignalAddr)
		} else {
			doors.Go(func() {
				if err := srv.ServeSignal(ctx, sln); err != nil {
					stop(fmt.Errorf("serving programs written for signal-cli: %w", err))
				}
			})
		}
	}
	node.Go(func() {
		err := d.Run(nodeCtx)
		if err == nil && nodeCtx.Err() == nil {
			err = errors.New("the daemon ended by itself")
		}
		if err != nil {
			stop(err)
		}
	})

	select {
	case <-d.Ready():
		link := p.link()
		err = a.ready(d, self, code, link, true)
		if link != nil && s.open && !a.json && a.canOpen() {
			doors.Go(func() {
				if openBrowser(ctx, *link) != nil && ctx.Err() == nil {
					fmt.Fprintln(a.err, "No browser could be opened; open the link yourself.")
				}
			})
		}
	case <-ctx.Done():
		if code != nil { // it is shown now or never
			err = a.ready(d, self, code, nil, false)
		}
	}
	if err != nil {
		stop(err)
	}
	<-ctx.Done()
	defer a.hurry(signalled.Err() != nil)()
	doors.Wait()
	stopNode()
	node.Wait()
	if wiped.Load() {
		return errWipe
	}
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// hurry ends the process when stopping takes too long, or at a signal, if
// another signal was what stopped it.
func (a *app) hurry(signalled bool) (done func()) {
	again := make(chan os.Signal, 1)
	signal.Notify(again, os.Interrupt, syscall.SIGTERM)
	t := time.AfterFunc(stopTime, func() {
		fmt.Fprintln(a.err, "rushlight: stopped before everything was closed; nothing is lost")
		os.Exit(0)
	})
	ended := make(chan struct{})
	go func() {
		for {
			select {
			case <-again:
				if signalled {
					os.Exit(1)
				}
				signalled = true
			case <-ended:
				return
			}
		}
	}()
	return func() {
		t.Stop()
		signal.Stop(again)
		close(ended)
	}
}

// ready tells whoever waits that the daemon can be used, and on the first run
// the recovery code. Only that is told when the daemon was stopped already.
func (a *app) ready(d daemon, self api.Self, code *identity.RecoveryCode, page *string, ready bool) error {
	recovery := ""
	if code != nil {
		recovery = code.String()
	}
	if a.json {
		if _, locked := lockedSince(); locked {
			return nil // it was said before the profile was locked
		}
		return errors.Join(a.printJSON(struct {
			Ready    bool             `json:"ready"`
			Peer     string           `json:"peer"`
			Addrs    api.List[string] `json:"addrs"`
			Page     *string          `json:"page"`
			Account  string           `json:"account"`
			Recovery string           `json:"recovery,omitempty"`
		}{ready, d.PeerID(), d.Addrs(), page, self.Account, recovery}), finish(a.dir))
	}
	if code != nil {
		fmt.Fprintf(a.err, `This is a new profile. Its recovery code is shown only now:

    %s

Write it down and keep it safe: without it and your passphrase, nobody can give
you your account back.

Make a link for somebody with: rushlight invite

`, recovery)
	}
	if err := finish(a.dir); err != nil {
		return err
	}
	if ready {
		if page != nil {
			fmt.Fprintf(a.out, "The page, for whoever opens this first within a minute: %s\n", *page)
		}
		fmt.Fprintf(a.err, "account %s\nready\n", self.Account)
	}
	return nil
}
