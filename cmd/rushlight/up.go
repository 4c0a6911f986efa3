package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"rushlight/node/api"
	"rushlight/protocol/identity"
	"rushlight/storage/keyfile"
)

// upFlags are the flags of up; no page and no browser is all there is yet.
type upFlags struct {
	listen []string
	noLAN  bool
	name   string
	noPage bool
	noOpen bool
}

func addUpFlags(cmd *cobra.Command) *upFlags {
	u := &upFlags{}
	f := cmd.Flags()
	f.StringArrayVar(&u.listen, "listen", nil, "address to listen on, a multiaddr; may be given several times")
	f.BoolVar(&u.noLAN, "no-lan", false, "don't look for contacts on the local network")
	f.StringVar(&u.name, "name", "", "first run: the name your contacts see until they choose one")
	f.BoolVar(&u.noPage, "no-page", false, "don't serve the page")
	f.BoolVar(&u.noOpen, "no-open", false, "don't open a browser")
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
	s := settings{
		listen: flags.listen, noLAN: flags.noLAN, name: flags.name,
		logger: slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level})),
	}
	if err := s.check(); err != nil {
		return err
	}
	harden()
	unlock, err := lockProfile(a.dir)
	if err != nil {
		return explain(err)
	}
	defer unlock()
	d, code, err := a.open(ctx, s)
	if err != nil {
		return explain(err)
	}
	return explain(a.serve(ctx, d, code, s.logger))
}

func (s settings) check() error {
	if s.name != "" && identity.CheckName(s.name) != nil {
		return api.Errorf(api.CodeUsage, "that name can't be used").
			WithHint("at most 64 bytes, no invisible characters, no spaces at the ends")
	}
	for _, l := range s.listen {
		if !canListen(l) {
			return api.Errorf(api.CodeUsage, "that is not an address to listen on").
				WithHint("write it like /ip4/0.0.0.0/udp/4001/quic-v1")
		}
	}
	return nil
}

// canListen tells whether addr begins like a multiaddr to listen on: an address
// of this machine and a port. What follows is for the host to judge.
func canListen(addr string) bool {
	parts := strings.Split(addr, "/")
	if len(parts) < 5 || parts[0] != "" || (parts[3] != "tcp" && parts[3] != "udp") {
		return false
	}
	ip, err := netip.ParseAddr(parts[2])
	if err != nil || ip.Zone() != "" || (parts[1] != "ip4" || !ip.Is4()) && (parts[1] != "ip6" || !ip.Is6()) {
		return false
	}
	_, err = strconv.ParseUint(parts[4], 10, 16)
	return err == nil
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
	defer a.progress()()

	if !first {
		root, err := keyfile.Open(keyDir(a.dir), pass)
		if err != nil {
			return nil, nil, err
		}
		d, err = openDaemon(a.dir, root, nil, s)
		clear(root[:])
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

// progress says what takes so long, if it does.
func (a *app) progress() (stop func()) {
	t := time.AfterFunc(time.Second, func() { fmt.Fprintln(a.err, "Unlocking the profile …") })
	return func() { t.Stop() }
}

// serve runs the daemon until ctx ends, it is told to stop, or it fails.
func (a *app) serve(ctx context.Context, d daemon, code *identity.RecoveryCode, log *slog.Logger) error {
	self, err := d.Self(ctx)
	if err != nil {
		return errors.Join(err, d.Close())
	}
	signalled := ctx
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ln, err := api.Listen(ctx, a.dir)
	if err != nil {
		if code != nil {
			err = errors.Join(err, a.ready(d, self, code, false))
		}
		return errors.Join(err, d.Close())
	}
	// The doors close first, so that what they have taken in is committed.
	nodeCtx, stopNode := context.WithCancel(context.WithoutCancel(ctx))
	defer stopNode()
	var doors, node sync.WaitGroup
	srv := &api.Server{Daemon: d, Version: versionText(), Logger: log, Shutdown: func() { stop(nil) }}
	doors.Go(func() {
		if err := srv.Serve(ctx, ln); err != nil {
			stop(fmt.Errorf("serving the socket: %w", err))
		}
	})
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
		err = a.ready(d, self, code, true)
	case <-ctx.Done():
		if code != nil { // it is shown now or never
			err = a.ready(d, self, code, false)
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
func (a *app) ready(d daemon, self api.Self, code *identity.RecoveryCode, ready bool) error {
	recovery := ""
	if code != nil {
		recovery = code.String()
	}
	if a.json {
		return errors.Join(a.printJSON(struct {
			Ready    bool             `json:"ready"`
			Peer     string           `json:"peer"`
			Addrs    api.List[string] `json:"addrs"`
			Page     *string          `json:"page"`
			Account  string           `json:"account"`
			Recovery string           `json:"recovery,omitempty"`
		}{ready, d.PeerID(), d.Addrs(), nil, self.Account, recovery}), finish(a.dir))
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
		fmt.Fprintf(a.err, "account %s\nready\n", self.Account)
	}
	return nil
}
