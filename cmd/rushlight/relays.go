package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"rushlight/node/api"
)

func relaysCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "relays",
		Short: "Relays at which mail waits, and those that pass on calls",
		Long: `A relay that was added keeps sealed mail while this device is away. It can't
read the mail, and doesn't know who sends it; it sees the network address from
which mail is fetched, and senders' addresses. Contacts learn of it end to end.

Other relays pass calls on to a device that nobody can call directly. They see
who calls whom by network name and address, never what is said.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var token string
	add := &cobra.Command{
		Use:     "add MULTIADDR...",
		Short:   "Let mail wait at a relay",
		Long:    "Let mail wait at a relay, named by its full address, or by several that lead to\nit. Mail can wait at up to three relays that work.\nOne that has not answered for a day, or was found to lose mail, makes room for\nanother; what waits there is still fetched when it comes back.",
		Example: "  rushlight relays add /ip4/192.0.2.1/udp/4001/quic-v1/p2p/12D3…",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out struct {
				Mailbox api.Mailbox `json:"mailbox"`
			}
			if err := a.call(cmd.Context(), "addRelay", map[string]any{"addr": args, "token": token}, &out); err != nil {
				return err
			}
			return a.print(out, func(w io.Writer) { fmt.Fprintf(w, "Added %s.\n", out.Mailbox.Peer) })
		},
	}
	add.Flags().StringVar(&token, "token", "", "token of the relay's operator, if the relay asks for one")
	cmd.AddCommand(add, &cobra.Command{
		Use:   "remove PEER",
		Short: "Give up the mailbox at a relay",
		Long:  "Give up the mailbox at a relay. Contacts are told; what waits there is fetched for\nan hour more, and then the mailbox is deleted.",
		Args:  exactly("PEER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out struct{}
			if err := a.call(cmd.Context(), "removeRelay", map[string]any{"peer": args[0]}, &out); err != nil {
				return err
			}
			return a.print(out, func(w io.Writer) { fmt.Fprintln(w, "Removed.") })
		},
	}, &cobra.Command{
		Use:   "list",
		Short: "List the relays in use and how they are",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s api.Status
			if err := a.call(cmd.Context(), "status", nil, &s); err != nil {
				return err
			}
			var m struct {
				Mailboxes api.List[api.Mailbox] `json:"mailboxes"`
			}
			if err := a.call(cmd.Context(), "mailboxes", nil, &m); err != nil {
				return err
			}
			out := struct {
				Relays    api.List[api.Relay]   `json:"relays"`
				Mailboxes api.List[api.Mailbox] `json:"mailboxes"`
			}{s.Relays, m.Mailboxes}
			return a.print(out, func(w io.Writer) {
				for _, r := range m.Mailboxes {
					fmt.Fprintf(w, "%s  mailbox: %s\n", r.Peer, mailboxState(r))
					if r.State == api.MailboxDown || r.State == api.MailboxWanted {
						// What an operator who hosts by a list has to be told.
						fmt.Fprintf(w, "    its key: %s\n", r.Key)
					}
				}
				for _, r := range s.Relays {
					fmt.Fprintf(w, "%s  %s\n", r.Peer, relayState(r))
				}
			})
		},
	})
	return cmd
}

// mailboxState says how a mailbox is.
func mailboxState(m api.Mailbox) string {
	switch {
	case m.State == api.MailboxDown, m.State == api.MailboxLied:
		return m.State + ": " + m.Why
	case m.Refused > 0:
		return fmt.Sprintf("%s, had no room for %d letters (%s)", m.State, m.Refused, time.UnixMilli(int64(m.FullAt)).Format("2006-01-02 15:04"))
	case m.Faults > 0:
		return fmt.Sprintf("%s, has lost mail %d times", m.State, m.Faults)
	}
	return m.State
}
