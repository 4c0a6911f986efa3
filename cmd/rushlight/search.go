package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"rushlight/node/api"
)

func searchCommand(a *app) *cobra.Command {
	var (
		in    string
		limit int
	)
	cmd := &cobra.Command{
		Use:   "search QUERY",
		Short: "Find messages, the newest first",
		Long: `Find messages that have all words of the query, also as parts of words. Case,
accents and vowel marks make no difference. What burns is found once "read" or
the page has shown it.`,
		Example: "  rushlight search \"dinner friday\"\n  rushlight search 東京 --in bob",
		Args:    exactly("QUERY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 0 || (limit == 0 && cmd.Flags().Changed("limit")) {
				return api.Errorf(api.CodeUsage, "the limit is at least 1")
			}
			var r struct {
				Messages api.List[api.Message] `json:"messages"`
			}
			if err := a.call(cmd.Context(), "search", map[string]any{"query": args[0], "in": in, "limit": limit}, &r); err != nil {
				return err
			}
			return a.print(r, func(w io.Writer) {
				now := time.Now()
				for _, m := range r.Messages {
					fmt.Fprintf(w, "%s ", m.ID)
					printMessage(w, m, now)
				}
				if len(r.Messages) == 0 {
					fmt.Fprintln(a.err, "Nothing was found.")
				}
			})
		},
	}
	cmd.Flags().StringVar(&in, "in", "", "only in the conversation with WHO")
	cmd.Flags().IntVar(&limit, "limit", 0, "show at most so many of each conversation (default all)")
	return cmd
}
