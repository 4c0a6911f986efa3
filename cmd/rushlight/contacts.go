package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rushlight/node/api"
)

type contactList struct {
	Contacts api.List[api.Contact] `json:"contacts"`
}

type contactResult struct {
	Contact api.Contact `json:"contact"`
}

// shortID is enough of an account id to name a contact.
func shortID(id string) string {
	const prefix, least = len("rl1"), 8
	return id[:min(len(id), prefix+least)]
}

// shown is what to call a contact in a line of text.
func shown(c api.Contact) string {
	if c.Petname == "" && c.Name == "" {
		return shortID(c.ID)
	}
	return clean(c.Shown())
}

func inviteCommand(a *app) *cobra.Command {
	var (
		uses     int
		expires  = durationFlag(api.DefaultInviteExpires)
		approval bool
		qr       bool
		note     string
	)
	cmd := &cobra.Command{
		Use:   "invite",
		Short: "Make a link with which somebody can add you",
		Long: `Make a link with which somebody can add you as a contact. Give it to that
person only, over a channel you trust: whoever has it first becomes your
contact. While your daemon is off, whoever uses it waits: at your relay if you
have one, else until both of you run.`,
		Example: `  rushlight invite
  rushlight invite --expires 1h --qr
  rushlight invite --uses 5 --note "book club"`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			params := map[string]any{
				"uses": uses, "expires": api.Duration(expires), "needsApproval": approval, "note": note,
			}
			var inv api.Invite
			if err := a.call(cmd.Context(), "invite", params, &inv); err != nil {
				return err
			}
			var code string
			if qr && !a.json {
				var err error
				if code, err = qrText(inv.Link, colourful(a.out)); err != nil {
					return err
				}
			}
			return a.print(inv, func(w io.Writer) {
				fmt.Fprint(w, code)
				fmt.Fprintln(w, inv.Link)
				fmt.Fprintf(a.err, "Good until %s for %s.\n", localTime(inv.Expires, time.Now()), count(uses, "person"))
			})
		},
	}
	f := cmd.Flags()
	f.IntVar(&uses, "uses", api.DefaultInviteUses, "how many people may use it")
	f.Var(&expires, "expires", "how long it is good for")
	f.BoolVar(&approval, "needs-approval", false, "whoever uses it stays pending until you approve")
	f.BoolVar(&qr, "qr", false, "show it as a QR code too")
	f.StringVar(&note, "note", "", "a note for yourself; it stays on this device")
	return cmd
}

func addCommand(a *app) *cobra.Command {
	var (
		as, message string
		replace     bool
	)
	cmd := &cobra.Command{
		Use:   "add LINK",
		Short: "Add a contact by the link they gave you",
		Example: `  rushlight add rushlight:… --as bob
  rushlight add rushlight:… --message "It’s me, from the book club"`,
		Args: exactly("LINK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("message") {
				if err := api.CheckRequest(message, nil); err != nil {
					return err
				}
			}
			params := map[string]any{"link": strings.TrimSpace(args[0]), "as": as, "message": message, "replace": replace}
			var r struct {
				contactResult
				NeedsApproval bool `json:"needsApproval"`
			}
			if err := a.call(cmd.Context(), "add", params, &r); err != nil {
				return err
			}
			return a.print(r, func(w io.Writer) {
				c := r.Contact
				fmt.Fprintf(w, "Added %s.\n", shown(c))
				if c.State == api.ContactPending && !c.Awaits {
					fmt.Fprintln(a.err, "They could not be reached yet; this goes on by itself until the invite expires.")
				}
				if r.NeedsApproval {
					fmt.Fprintln(a.err, "They decide first whether to accept you: what you write waits until then.")
				}
				if c.Petname == "" {
					fmt.Fprintf(a.err, "To choose a name for them: rushlight rename %s NAME\n", shortID(c.ID))
				}
			})
		},
	}
	cmd.Flags().StringVar(&as, "as", "", "the name by which you want to call them")
	cmd.Flags().StringVar(&message, "message", "", "what to tell them, at most 1,000 characters")
	cmd.Flags().BoolVar(&replace, "replace", false, "they are a contact already: start over with them")
	return cmd
}

func contactsCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "contacts",
		Short: "List your contacts",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var r contactList
			if err := a.call(cmd.Context(), "contacts", nil, &r); err != nil {
				return err
			}
			return a.print(r, func(w io.Writer) {
				if len(r.Contacts) == 0 {
					fmt.Fprintln(a.err, "No contacts yet. Make a link for somebody with: rushlight invite")
					return
				}
				rows := [][]string{{"NAME", "STATE", "VERIFIED", "ID"}}
				for _, c := range r.Contacts {
					name, verified := clean(c.Petname), yesNo(c.Verified)
					switch {
					case name != "":
					case c.Name != "":
						name = "“" + clean(c.Name) + "”" // a claim
					default:
						name = "-"
					}
					if c.KeyChanged {
						verified = "KEY CHANGED"
					}
					state := c.State
					if c.NoRoom {
						state += ", mailbox full"
					}
					rows = append(rows, []string{name, state, verified, c.ID})
				}
				printTable(w, rows)
			})
		},
	}
}

func requestsCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "requests",
		Short: "List who waits for your approval",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var r contactList
			if err := a.call(cmd.Context(), "requests", nil, &r); err != nil {
				return err
			}
			return a.print(r, func(w io.Writer) {
				if len(r.Contacts) == 0 {
					fmt.Fprintln(a.err, "Nobody waits for your approval.")
					return
				}
				rows := [][]string{{"NAME", "ID"}}
				for _, c := range r.Contacts {
					rows = append(rows, []string{shown(c), c.ID})
				}
				printTable(w, rows)
				for _, c := range r.Contacts {
					if c.Message != "" {
						fmt.Fprintf(w, "\n%s says: %s\n", shown(c), cleanText(c.Message))
					}
				}
			})
		},
	}
}

// editCommand changes the state of one contact.
func editCommand(a *app, name, short, done string) *cobra.Command {
	return &cobra.Command{
		Use:               name + " WHO",
		Short:             short,
		Args:              exactly("WHO"),
		ValidArgsFunction: a.completeWho,
		RunE: func(cmd *cobra.Command, args []string) error {
			var r json.RawMessage
			if err := a.call(cmd.Context(), name, map[string]any{"who": args[0]}, &r); err != nil {
				return err
			}
			return a.print(r, func(w io.Writer) { fmt.Fprintln(w, done) })
		},
	}
}

func renameCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "rename WHO NAME",
		Short:             "Call a contact something else",
		Args:              exactly("WHO", "NAME"),
		ValidArgsFunction: a.completeWho,
		RunE: func(cmd *cobra.Command, args []string) error {
			var r contactResult
			if err := a.call(cmd.Context(), "rename", map[string]any{"who": args[0], "as": args[1]}, &r); err != nil {
				return err
			}
			return a.print(r, func(w io.Writer) { fmt.Fprintf(w, "Now called %s.\n", shown(r.Contact)) })
		},
	}
}

func removeCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "remove WHO",
		Short:             "Forget a contact and the conversation",
		Args:              exactly("WHO"),
		ValidArgsFunction: a.completeWho,
		RunE: func(cmd *cobra.Command, args []string) error {
			var r struct {
				Removed bool `json:"removed"`
			}
			if err := a.call(cmd.Context(), "remove", map[string]any{"who": args[0]}, &r); err != nil {
				return err
			}
			return a.print(r, func(w io.Writer) { fmt.Fprintln(w, "Removed.") })
		},
	}
}

func verifyCommand(a *app) *cobra.Command {
	var number string
	cmd := &cobra.Command{
		Use:   "verify WHO",
		Short: "Show or check the safety number with a contact",
		Long: `Show the safety number with a contact. It is the same on both sides if nobody is
in between. Compare it over the phone or in person, then give the number that
the other side sees to mark the contact verified.`,
		Example: `  rushlight verify bob
  rushlight verify bob --number "12345 67890 …"`,
		Args:              exactly("WHO"),
		ValidArgsFunction: a.completeWho,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("number") && strings.TrimSpace(number) == "" {
				return api.Errorf(api.CodeUsage, "the number is empty")
			}
			var v api.Verification
			if err := a.call(cmd.Context(), "verify", map[string]any{"who": args[0], "number": number}, &v); err != nil {
				return err
			}
			return a.print(v, func(w io.Writer) {
				if number == "" {
					fmt.Fprintln(w, inGroups(v.Number))
				}
				if v.Verified {
					fmt.Fprintln(w, "Verified.")
				} else {
					fmt.Fprintln(a.err, "Not verified. Compare the number with what the other side sees, then:")
					fmt.Fprintf(a.err, "  rushlight verify %s --number \"…\"\n", quote(args[0]))
				}
			})
		},
	}
	cmd.Flags().StringVar(&number, "number", "", "the safety number that the other side sees")
	return cmd
}

// inGroups writes digits in groups of five, six groups in a line.
func inGroups(digits string) string {
	digits = strings.Join(strings.Fields(digits), "")
	var b strings.Builder
	for i, r := range digits {
		switch {
		case i > 0 && i%30 == 0:
			b.WriteByte('\n')
		case i > 0 && i%5 == 0:
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}
