package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rushlight/node/api"
)

func readCommand(a *app) *cobra.Command {
	var (
		limit             int
		before            string
		unread, peek, ids bool
	)
	cmd := &cobra.Command{
		Use:   "read WHO",
		Short: "Show the messages of a conversation",
		Long: `Show the messages of a conversation, oldest first. What is shown counts as read,
unless --peek is given. --ids shows in front of each the id by which other
commands know it: edit, unsend, delete, react, save and send --reply.`,
		Example: `  rushlight read bob
  rushlight read bob --unread
  rushlight read bob --limit 5 --ids
  rushlight read bob --limit 20 --peek`,
		Args:              exactly("WHO"),
		ValidArgsFunction: a.completeWho,
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 0 || (limit == 0 && cmd.Flags().Changed("limit")) {
				return api.Errorf(api.CodeUsage, "the limit is at least 1")
			}
			params := map[string]any{"who": args[0], "limit": limit, "before": before, "unread": unread, "peek": peek}
			var r struct {
				Messages api.List[api.Message] `json:"messages"`
			}
			if err := a.call(cmd.Context(), "read", params, &r); err != nil {
				return err
			}
			return a.print(r, func(w io.Writer) {
				now := time.Now()
				for _, m := range r.Messages {
					if ids {
						fmt.Fprintf(w, "%s ", m.ID)
					}
					printMessage(w, m, now)
				}
			})
		},
	}
	f := cmd.Flags()
	f.IntVar(&limit, "limit", 0, "show at most so many, the newest (default all)")
	f.StringVar(&before, "before", "", "show what is older than the message of this id")
	f.BoolVar(&unread, "unread", false, "show only what you have not read")
	f.BoolVar(&peek, "peek", false, "leave it unread")
	f.BoolVar(&ids, "ids", false, "show the id of each message")
	return cmd
}

// printMessage writes "time name: text".
func printMessage(w io.Writer, m api.Message, now time.Time) {
	name, text := clean(m.FromName), contentText(m)
	var marks []string
	switch {
	case m.Mine && m.Deleted:
		name = "me"
	case m.Mine:
		name, marks = "me", append(marks, m.State)
	case name == "":
		name = shortID(m.From)
	}
	if m.Edited {
		marks = append(marks, "edited")
	}
	if m.Waiting {
		marks = append(marks, "something before it has not arrived")
	}
	if life := lifeText(m, now); life != "" {
		marks = append(marks, life)
	}
	mark := ""
	if len(marks) > 0 {
		mark = " (" + strings.Join(marks, ", ") + ")"
	}
	if len(m.Reactions) > 0 {
		mark += " " + reactionsText(m.Reactions)
	}
	fmt.Fprintf(w, "%s %s: %s%s\n", localTime(m.Sent, now), name, text, mark)
}

func watchCommand(a *app) *cobra.Command {
	var after uint64
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Print what happens, as JSON lines",
		Long: `Print events as they happen, one JSON object in a line. Each has a number "seq";
with --after and the last number seen, nothing is missed and nothing comes
twice. --after 0 prints everything there is. What a message that burns says is
left out until "read" or the page has shown it, which starts its timer.`,
		Example: `  rushlight watch
  rushlight watch --after 120`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			from := api.FromNow
			if cmd.Flags().Changed("after") {
				from = after
			}
			return a.watch(cmd.Context(), from)
		},
	}
	cmd.Flags().Uint64Var(&after, "after", 0, "number of the last event seen (default only what is new)")
	return cmd
}

func (a *app) watch(ctx context.Context, after uint64) error {
	c, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	err = c.Watch(ctx, after, nil, func(e api.Event, raw json.RawMessage) (err error) {
		if unopened(e.Message) || unopened(e.Edit) || unopened(e.Placed) {
			if raw, err = json.Marshal(closed(e)); err != nil {
				return err
			}
		}
		_, err = a.out.Write(append(raw, '\n'))
		return err
	})
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil // interrupted, which is how a watch ends
	}
	return err
}

// unopened reports whether a message burns once it was shown, and wasn't yet.
func unopened(m *api.Message) bool {
	return m != nil && m.Burn != 0 && !m.Mine && !m.Deleted && m.State != api.StateRead
}

// closed is an event without what its unopened messages say.
func closed(e api.Event) api.Event {
	for _, m := range []**api.Message{&e.Message, &e.Edit, &e.Placed} {
		if unopened(*m) {
			c := **m
			c.Text, c.Files, c.Preview, c.Quote, c.Styles, c.Mentions = "", nil, nil, nil, nil, nil
			*m = &c
		}
	}
	return e
}
