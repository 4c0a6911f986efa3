package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"rushlight/node/api"
)

func relaysCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "relays",
		Short: "Relays in use",
		Long: `Relays pass calls on to a device that nobody can call directly. They see who
calls whom by network name and address, never what is said.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "list",
		Short: "List the relays in use and how they are",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s api.Status
			if err := a.call(cmd.Context(), "status", nil, &s); err != nil {
				return err
			}
			out := struct {
				Relays api.List[api.Relay] `json:"relays"`
			}{s.Relays}
			return a.print(out, func(w io.Writer) {
				for _, r := range s.Relays {
					fmt.Fprintf(w, "%s  %s\n", r.Peer, relayState(r))
				}
			})
		},
	})
	return cmd
}
