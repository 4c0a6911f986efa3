package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rushlight/node/api"
)

func tokenCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Tokens that let programs in over HTTP",
		Long: `Tokens let programs of this machine use the daemon over HTTP and WebSocket, at
the address of the page. What a token may do is said when it is made:

  read    read messages and contacts, and be told what happens
  send    send, edit, react
  admin   everything

With --conversation it is good for the conversation with one contact alone.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(tokenCreateCommand(a), tokenListCommand(a), &cobra.Command{
		Use:   "revoke ID",
		Short: "End a token, and what is done with it",
		Args:  exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out struct {
				Revoked bool `json:"revoked"`
			}
			if err := a.call(cmd.Context(), "revokeToken", map[string]string{"id": args[0]}, &out); err != nil {
				return err
			}
			return a.print(out, func(w io.Writer) { fmt.Fprintln(w, "Revoked.") })
		},
	})
	return cmd
}

func tokenCreateCommand(a *app) *cobra.Command {
	var scopes []string
	var conversation, name string
	cmd := &cobra.Command{
		Use:   "create --scope read|send|admin",
		Short: "Make a token; it is shown once",
		Example: `  rushlight token create --scope send --name backups
  rushlight token create --scope read --scope send --conversation bob`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out struct {
				Token string `json:"token"`
				ID    string `json:"id"`
				URL   string `json:"url"`
			}
			err := a.call(cmd.Context(), "createToken", map[string]any{"name": name, "scopes": scopes, "conversation": conversation}, &out)
			if err != nil {
				return err
			}
			return a.print(out, func(w io.Writer) {
				fmt.Fprintln(w, out.Token)
				fmt.Fprintln(a.err, "It is good at "+out.URL)
			})
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&scopes, "scope", nil, "what it may do: read, send or admin; may be given several times")
	f.StringVar(&conversation, "conversation", "", "the contact to whose conversation it is confined")
	f.StringVar(&name, "name", "", "what it is for, for your own list")
	return cmd
}

func tokenListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List tokens, and pages that are open",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out struct {
				Tokens api.List[api.Token] `json:"tokens"`
			}
			if err := a.call(cmd.Context(), "listTokens", nil, &out); err != nil {
				return err
			}
			return a.print(out, func(w io.Writer) {
				rows := [][]string{{"ID", "FOR", "MAY", "CREATED", "USED", "NAME"}}
				for _, t := range out.Tokens {
					rows = append(rows, []string{
						t.ID, t.Kind, strings.Join(t.Scopes, ","), t.Created.Std().Format(time.DateOnly),
						t.Used.Std().Format(time.DateOnly), clean(t.Name),
					})
				}
				printTable(w, rows)
			})
		},
	}
}
