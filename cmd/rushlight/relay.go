package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rushlight/node/api"
	"rushlight/node/mailbox"
	"rushlight/protocol/wire"
)

var errNoListen = api.Errorf(api.CodeUsage, "that is not an address to listen on").
	WithHint("write it like /ip4/0.0.0.0/udp/4001/quic-v1")

func relayCommand(a *app) *cobra.Command {
	var config string
	var listen, announce []string
	cmd := &cobra.Command{
		Use:   "relay",
		Short: "Run a relay: mail that waits for people who are away",
		Long: `Run a relay in the foreground until it is interrupted. A relay keeps sealed
envelopes for people who are away; it cannot read them, and does not know who
sends them or who owns a mailbox. Nothing of a profile is needed or touched.

Without --config the relay keeps its files in the folder relay of the profile
directory, listens on a free port, and hosts anybody, up to 10 GiB. When it
serves, it prints the addresses to add it by and the line "ready" on standard
error, or with --json one JSON object on standard output.`,
		Example: `  rushlight relay --config /etc/rushlight/relay.toml
  rushlight relay status
  rushlight relay token --count 5`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.relayConfig(config)
			if err != nil {
				return err
			}
			for _, l := range listen {
				if !canListen(l) {
					return errNoListen
				}
			}
			if len(listen) > 0 {
				c.Listen = listen
			}
			if len(announce) > 0 {
				c.Announce = announce
			}
			return a.relay(cmd.Context(), c)
		},
	}
	cmd.Flags().StringArrayVar(&listen, "listen", nil, "address to listen on, a multiaddr, in place of those of the file; may be given several times")
	cmd.Flags().StringArrayVar(&announce, "announce", nil, "address to tell others, a multiaddr, in place of those of the file; may be given several times")
	cmd.PersistentFlags().StringVar(&config, "config", "", "configuration file (default: none, see docs/relay.md)")
	cmd.AddCommand(relayStatusCommand(a, &config), relayTokenCommand(a, &config), relayEraseCommand(a, &config), relayCheckCommand(a, &config))
	return cmd
}

// lockRelay lets one process own the directory of a relay.
func lockRelay(dir string) (unlock func(), err error) {
	if unlock, err = lockProfile(dir); errors.Is(err, errRunning) {
		return nil, api.Errorf(api.CodeAlreadyRunning, "a relay runs in this directory").WithHint("stop it first")
	}
	return unlock, err
}

// relay runs a relay until ctx ends.
func (a *app) relay(ctx context.Context, c mailbox.RelayConfig) error {
	level, err := a.level()
	if err != nil {
		return err
	}
	c.Logger = slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level}))
	harden()
	if err := mailbox.ShareProcessors(); err != nil {
		c.Logger.Debug("the system divides processors more coarsely", "err", err)
	}
	unlock, err := lockRelay(c.Dir)
	if err != nil {
		return explain(err)
	}
	defer unlock()
	r, err := mailbox.OpenRelay(ctx, c)
	if err != nil {
		return explain(err)
	}
	go func() { // Run always makes it ready
		<-r.Ready()
		if a.json {
			_ = a.printJSON(struct {
				Ready bool             `json:"ready"`
				Peer  string           `json:"peer"`
				Addrs api.List[string] `json:"addrs"`
			}{true, r.PeerID(), r.Addrs()})
			return
		}
		for _, addr := range r.Addrs() {
			fmt.Fprintln(a.err, addr)
		}
		fmt.Fprintln(a.err, "ready")
	}()
	return explain(errors.Join(r.Run(ctx), r.Close()))
}

func relayStatusCommand(a *app, config *string) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show how the relay that runs on this machine is doing",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.relayConfig(*config)
			if err != nil {
				return err
			}
			s, err := askRelay(cmd.Context(), c.Status)
			if err != nil {
				return err
			}
			return a.print(s, func(w io.Writer) { printRelay(w, s) })
		},
	}
}

func askRelay(ctx context.Context, at string) (s mailbox.RelayStatus, err error) {
	if at == "" {
		return s, api.Errorf(api.CodeUsage, "the configuration turns the status off")
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+"/status", nil)
	if err != nil {
		return s, err
	}
	client := http.Client{Transport: &http.Transport{DialContext: new(net.Dialer).DialContext, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return s, api.Errorf(api.CodeNoDaemon, "no relay answers at %s", at).WithHint("start it with: rushlight relay")
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&s); err != nil {
		return s, fmt.Errorf("reading the relay's status: %w", err)
	}
	return s, nil
}

func printRelay(w io.Writer, s mailbox.RelayStatus) {
	state := "serving"
	switch {
	case s.Draining:
		state = "draining"
	case !s.Room:
		state = "full: nothing is stored until there is room"
	}
	rows := []row{{"state", state}, {"peer", s.Peer}}
	for i, addr := range s.Addrs {
		name := "addresses"
		if i > 0 {
			name = ""
		}
		// The whole is too long for a terminal: it ends in /p2p/ and the peer.
		rows = append(rows, row{name, strings.TrimSuffix(addr, "/p2p/"+s.Peer)})
	}
	erasure, _, _ := strings.Cut(s.Erasure, ";")
	printRows(w, append(
		rows,
		row{"peers", fmt.Sprintf("%d, %d waiting for mail", s.Peers, s.Waiting)},
		row{"mailboxes", fmt.Sprint(s.Mailboxes)},
		row{"mail", fmt.Sprintf("%d envelopes, %s of %s", s.Envelopes, mib(s.Live), mib(s.Capacity))},
		row{"disk", fmt.Sprintf("%s of %s", mib(s.Disk), mib(s.DiskCap))},
		row{"stored", fmt.Sprintf("%d, %s, since the start", s.Deposits, mib(s.BytesIn))},
		row{"fetched", fmt.Sprintf("%d, %s", s.Fetched, mib(s.BytesOut))},
		row{"refused", fmt.Sprintf("%d; %d for want of room, %d busy", s.Refused, s.Full, s.Busy)},
		row{"requests", fmt.Sprintf("%d, %d displaced", s.Requests, s.Displaced)},
		row{"damaged", fmt.Sprint(s.Damaged)},
		row{"taken back", fmt.Sprintf("%d, by their senders", s.Unsent)},
		row{"days erased", fmt.Sprint(s.Erased)},
		row{"erasure", erasure},
		row{"memory", fmt.Sprintf("%s heap, %d goroutines", mib(int64(s.Heap)), s.Goroutines)},
	))
}

func mib(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }

func relayTokenCommand(a *app, config *string) *cobra.Command {
	var count int
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make tokens, each good for one mailbox, with hosting = token",
		Args:  exactly(),
		RunE: func(*cobra.Command, []string) error {
			if count < 1 || count > 10000 {
				return api.Errorf(api.CodeUsage, "--count must be 1 to 10000")
			}
			c, err := a.relayConfig(*config)
			if err != nil {
				return err
			}
			tokens, err := mailbox.RelayTokens(c, count)
			if errors.Is(err, os.ErrNotExist) {
				return api.Errorf(api.CodeNoDaemon, "this relay has no key yet").WithHint("start it once with: rushlight relay")
			}
			if err != nil {
				return explain(err)
			}
			out := make(api.List[string], 0, count)
			for _, t := range tokens {
				out = append(out, wire.EncodeText(t[:]))
			}
			return a.print(out, func(w io.Writer) { fmt.Fprintln(w, strings.Join(out, "\n")) })
		},
	}
	cmd.Flags().IntVar(&count, "count", 1, "how many")
	return cmd
}

func relayEraseCommand(a *app, config *string) *cobra.Command {
	return &cobra.Command{
		Use:   "erase OBJECT",
		Short: "Delete an envelope by its id, while the relay is stopped",
		Long: `Delete every envelope with an id, which is 32 hex digits, from the relay's
store. The relay must be stopped. This is how to act on a notice that names an
envelope; the relay can't find one by what it says.`,
		Args: exactly("OBJECT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			raw, err := hex.DecodeString(args[0])
			if err != nil || len(raw) != 16 {
				return api.Errorf(api.CodeUsage, "OBJECT must be 32 hex digits")
			}
			c, err := a.relayConfig(*config)
			if err != nil {
				return err
			}
			unlock, err := lockRelay(c.Dir)
			if err != nil {
				return explain(err)
			}
			defer unlock()
			n, err := mailbox.EraseObject(cmd.Context(), c, [16]byte(raw))
			if err != nil {
				return explain(err)
			}
			return a.print(struct {
				Erased int `json:"erased"`
			}{n}, func(w io.Writer) { fmt.Fprintf(w, "%d deleted\n", n) })
		},
	}
}

func relayCheckCommand(a *app, config *string) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check the configuration and say what it means",
		Args:  exactly(),
		RunE: func(*cobra.Command, []string) error {
			c, err := a.relayConfig(*config)
			if err != nil {
				return err
			}
			v := struct {
				Dir      string `json:"dir"`
				Hosting  uint8  `json:"hosting"`
				DiskCap  int64  `json:"disk_cap_bytes"`
				Capacity uint64 `json:"capacity_bytes"`
				Quota    uint64 `json:"quota_bytes"`
				Sure     uint64 `json:"mailboxes_that_fit"`
				System   string `json:"system"`
			}{c.Dir, uint8(c.Keeper.Hosting), c.Shelf.DiskCap, c.Shelf.Capacity(), c.Shelf.Quota, c.Shelf.Capacity() / c.Shelf.Quota, runtime.GOOS}
			return a.print(v, func(w io.Writer) {
				printRows(w, []row{
					{"directory", v.Dir},
					{"disk", mib(v.DiskCap) + " at most, of which " + mib(int64(v.Capacity)) + " mail"},
					{"quota", mib(int64(v.Quota)) + " a mailbox; " + fmt.Sprint(v.Sure) + " full mailboxes fit"},
				})
			})
		},
	}
}
