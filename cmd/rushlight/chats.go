package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rushlight/node/api"
)

func conversationsCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "conversations",
		Short: "List your conversations, the newest first",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var r struct {
				Conversations api.List[api.Chat] `json:"conversations"`
			}
			if err := a.call(cmd.Context(), "conversations", nil, &r); err != nil {
				return err
			}
			return a.print(r, func(w io.Writer) {
				now := time.Now()
				rows := [][]string{{"NAME", "UNREAD", "LAST", ""}}
				for _, c := range r.Conversations {
					name, last := clean(c.Name), ""
					if name == "" {
						name = shortID(c.ID)
					}
					if c.Last != nil {
						line, _, _ := strings.Cut(lastText(*c.Last), "\n")
						last = localTime(c.Last.Sent, now) + " " + line
					}
					rows = append(rows, []string{name, fmt.Sprint(c.Unread), last, strings.Join(chatMarks(c, now), ", ")})
				}
				printTable(w, rows)
			})
		},
	}
}

// lastText is the newest message; what burns is not to be seen in passing.
func lastText(m api.Message) string {
	if unopened(&m) {
		return "(burns once it is read)"
	}
	return contentText(m)
}

// chatMarks are the words for how a conversation is wanted.
func chatMarks(c api.Chat, now time.Time) (out []string) {
	for _, m := range []struct {
		set  bool
		word string
	}{{c.Pinned, "pinned"}, {c.Archived, "archived"}, {c.Receipts, "receipts"}, {c.Typing, "typing"}, {c.Draft != nil, "draft"}} {
		if m.set {
			out = append(out, m.word)
		}
	}
	if c.Muted != 0 {
		out = append(out, "muted until "+localTime(c.Muted, now))
	}
	if c.Timer != (api.Timers{}) {
		out = append(out, timersText(c.Timer))
	}
	return out
}

// switchFlag is a flag that is on or off, or left alone.
type switchFlag struct{ value *bool }

func (s *switchFlag) String() string {
	switch {
	case s.value == nil:
		return ""
	case *s.value:
		return "on"
	}
	return "off"
}

func (s *switchFlag) Type() string { return "on|off" }

func (s *switchFlag) Set(text string) error {
	if text != "on" && text != "off" {
		return api.Errorf(api.CodeUsage, "say on or off")
	}
	s.value = new(text == "on")
	return nil
}

func conversationCommand(a *app) *cobra.Command {
	var (
		mute                              = timerFlag{check: api.CheckMute}
		pinned, archived, typing, receipt switchFlag
	)
	cmd := &cobra.Command{
		Use:   "conversation WHO",
		Short: "Show or set how you want a conversation",
		Long: `Show or set how you want a conversation. Nobody is told what you read or that you
write unless you switch that on.`,
		Example: `  rushlight conversation bob --receipts on --typing on
  rushlight conversation bob --mute 8h --pinned on`,
		Args:              exactly("WHO"),
		ValidArgsFunction: a.completeWho,
		RunE: func(cmd *cobra.Command, args []string) error {
			params := map[string]any{"who": args[0]}
			for name, f := range map[string]*switchFlag{"pinned": &pinned, "archived": &archived, "typing": &typing, "receipts": &receipt} {
				if f.value != nil {
					params[name] = *f.value
				}
			}
			if mute.set {
				params["mute"] = mute.value
			}
			var r struct {
				Conversation api.Chat `json:"conversation"`
			}
			if err := a.call(cmd.Context(), "conversation", params, &r); err != nil {
				return err
			}
			return a.print(r, func(w io.Writer) {
				fmt.Fprintf(w, "%s unread\n", count(r.Conversation.Unread, "message"))
				for _, m := range chatMarks(r.Conversation, time.Now()) {
					fmt.Fprintln(w, m)
				}
			})
		},
	}
	f := cmd.Flags()
	f.Var(&receipt, "receipts", "tell them what you have read")
	f.Var(&typing, "typing", "tell each other when one is writing")
	f.Var(&pinned, "pinned", "keep it on top")
	f.Var(&archived, "archived", "put it away")
	f.Var(&mute, "mute", "make no noise for so long, or off")
	return cmd
}
