package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rushlight/node/api"
)

// aboutMessage calls a method about one message and says what was done.
func (a *app) aboutMessage(cmd *cobra.Command, method string, params map[string]any, done string) error {
	var r struct {
		ID string `json:"id"`
	}
	if err := a.call(cmd.Context(), method, params, &r); err != nil {
		return err
	}
	return a.print(r, func(w io.Writer) { fmt.Fprintln(w, done) })
}

func editMessageCommand(a *app) *cobra.Command {
	var markdown bool
	cmd := &cobra.Command{
		Use:   "edit ID TEXT|-",
		Short: "Give a message of yours another text",
		Args:  between(1, "ID", "TEXT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := a.text(args[1:])
			if err != nil {
				return err
			}
			return a.aboutMessage(cmd, "edit", map[string]any{"id": args[0], "message": text, "markdown": markdown}, "Edited.")
		},
	}
	addMarkdown(cmd, &markdown)
	return cmd
}

func addMarkdown(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "markdown", false, "**bold**, *italic*, ~~struck~~, 'code' in backquotes and ||spoiler|| are styles")
}

func unsendCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "unsend ID",
		Short: "Take a message of yours back from everybody",
		Long: `Take a message of yours back: its text is destroyed here at once, and there as
soon as this arrives. A mark stays in its place.`,
		Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.aboutMessage(cmd, "unsend", map[string]any{"id": args[0]}, "Taken back.")
		},
	}
}

func reactCommand(a *app) *cobra.Command {
	var remove bool
	cmd := &cobra.Command{
		Use:     "react ID EMOJI",
		Short:   "Put an emoji under a message",
		Example: "  rushlight react 0123456789abcdef0123456789abcdef 👍\n  rushlight react 0123456789abcdef0123456789abcdef --remove",
		Args:    between(1, "ID", "EMOJI"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if remove == (len(args) == 2) {
				return api.Errorf(api.CodeUsage, "give an emoji, or --remove")
			}
			params, done := map[string]any{"id": args[0], "emoji": ""}, "Taken back."
			if !remove {
				params["emoji"], done = args[1], "Done."
				if args[1] == "" {
					return api.Errorf(api.CodeUsage, "give an emoji, or --remove")
				}
			}
			return a.aboutMessage(cmd, "react", params, done)
		},
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "take your reaction back")
	return cmd
}

func timerCommand(a *app) *cobra.Command {
	var (
		timers timerFlags
		off    bool
	)
	cmd := &cobra.Command{
		Use:   "timer WHO",
		Short: "Show or set how long messages of a conversation live",
		Long: `Show or set how long the messages of a conversation live, yours and theirs. It
counts for what is sent from then on and is announced in the conversation; a
message can be told otherwise when it is sent.`,
		Example: `  rushlight timer bob --expires 7d
  rushlight timer bob --expires 1d --burn 30s
  rushlight timer bob --off`,
		Args:              exactly("WHO"),
		ValidArgsFunction: a.completeWho,
		RunE: func(cmd *cobra.Command, args []string) error {
			params := map[string]any{"who": args[0]}
			timers.into(params)
			if off {
				if len(params) > 1 {
					return api.Errorf(api.CodeUsage, "either --off or a time")
				}
				params["expires"], params["burn"] = "off", "off"
			}
			var r api.Timers
			if err := a.call(cmd.Context(), "timer", params, &r); err != nil {
				return err
			}
			return a.print(r, func(w io.Writer) { fmt.Fprintln(w, timersText(r)) })
		},
	}
	timers.add(cmd.Flags())
	cmd.Flags().BoolVar(&off, "off", false, "messages stay")
	return cmd
}

func timersText(t api.Timers) string {
	switch {
	case t.Expires != 0 && t.Burn != 0:
		return fmt.Sprintf("messages expire %s after they were sent and burn %s after they were seen", durationText(t.Expires), durationText(t.Burn))
	case t.Expires != 0:
		return fmt.Sprintf("messages expire %s after they were sent", durationText(t.Expires))
	case t.Burn != 0:
		return fmt.Sprintf("messages burn %s after they were seen", durationText(t.Burn))
	}
	return "messages stay"
}

func durationText(d api.Duration) string { return api.FormatDuration(time.Duration(d)) }

// contentText is what a message says, for a terminal.
func contentText(m api.Message) string {
	text := cleanText(m.Text)
	switch {
	case m.Kind == api.KindNewer:
		text = "(this message needs a newer version of rushlight)"
	case m.Kind == api.KindTimer && m.Timer != nil:
		text = "(from now on " + timersText(*m.Timer) + ")"
	case m.Deleted:
		text = "(taken back)"
	}
	if m.Preview != nil {
		text += " " + previewText(m.Preview)
	}
	for _, f := range m.Files {
		text = strings.TrimSpace(text + " " + fileText(f))
	}
	if len(m.Files) > 0 && !m.Mine {
		text += " (rushlight save " + m.ID + ")"
	}
	if m.Forwarded {
		text = "(forwarded) " + text
	}
	if m.Quote != nil {
		line, _, more := strings.Cut(m.Quote.Text, "\n")
		if more {
			line += " …"
		}
		text = "“" + clean(line) + "” — " + text
	}
	return text
}

// reactionsText lists the reactions to a message.
func reactionsText(list []api.Reaction) string {
	n := map[string]int{}
	var order []string
	for _, r := range list {
		if n[r.Emoji]++; !slices.Contains(order, r.Emoji) {
			order = append(order, r.Emoji)
		}
	}
	for i, e := range order {
		order[i] = clean(e)
		if n[e] > 1 {
			order[i] += fmt.Sprintf(" %d", n[e])
		}
	}
	return strings.Join(order, " ")
}
