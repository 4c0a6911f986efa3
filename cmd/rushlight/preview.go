package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"rushlight/node/api"
)

func previewCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "preview URL",
		Short: "Show the preview of a link that would be sent",
		Long: `Show what "send --preview" would send of a link. The page is asked for by this
device, and its owner sees this device's address; who gets the message contacts
nobody.`,
		Args: exactly("URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var p api.Preview
			if err := a.call(cmd.Context(), "preview", map[string]any{"url": args[0]}, &p); err != nil {
				return err
			}
			return a.print(p, func(w io.Writer) { fmt.Fprintln(w, previewText(&p)) })
		},
	}
}

// previewText is "[HOST: TITLE — DESCRIPTION]".
func previewText(p *api.Preview) string {
	s := "[" + clean(p.Host) + ": " + clean(p.Title)
	if p.Description != "" {
		s += " — " + clean(p.Description)
	}
	if p.Image != "" {
		s += ", with a picture"
	}
	return s + "]"
}

// look puts the preview of the first link of a message into the parameters of
// send, and shows it.
func (a *app) look(ctx context.Context, params map[string]any) error {
	var p api.Preview
	if err := a.call(ctx, "preview", map[string]any{"text": params["message"]}, &p); err != nil {
		e := api.AsError(err)
		if e.Code == api.CodeNoPreview {
			e = e.WithHint("nothing was sent; without --preview it is")
		}
		return e
	}
	fmt.Fprintln(a.err, previewText(&p))
	params["preview"] = p
	return nil
}

func settingsCommand(a *app) *cobra.Command {
	var previews, lockAfter, notify string
	cmd := &cobra.Command{
		Use:   "settings",
		Short: "Show or change what holds for the whole profile",
		Long: `Show or change what holds for the whole profile, on this device.

--previews says whether links may be looked up for previews, by the page and by
"send --preview": on, as it is at first, or off. --lock-after says when the
profile locks itself, --notify what notifications of the desktop say; "up" with
the same flags decides otherwise while it runs.`,
		Example: "  rushlight settings --previews off\n  rushlight settings --lock-after 15m --notify content",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			params := map[string]any{}
			switch previews {
			case "on", "off":
				params["previews"] = previews == "on"
			case "":
			default:
				return api.Errorf(api.CodeUsage, "--previews is on or off")
			}
			if lockAfter != "" {
				params["lockAfter"] = lockAfter
			}
			if notify != "" {
				params["notify"] = notify
			}
			var s struct {
				api.Settings
				api.Choices
			}
			if err := a.call(cmd.Context(), "settings", params, &s); err != nil {
				return err
			}
			return a.print(s, func(w io.Writer) {
				fmt.Fprintf(w, "Previews of links: %s\n", map[bool]string{true: "on", false: "off"}[s.Previews])
				after := "never"
				if s.LockAfter != 0 {
					after = "after " + api.FormatDuration(time.Duration(s.LockAfter))
				}
				fmt.Fprintf(w, "Locks itself: %s\nNotifications: %s\n", after, s.Notify)
			})
		},
	}
	cmd.Flags().StringVar(&previews, "previews", "", "on or off")
	cmd.Flags().StringVar(&lockAfter, flagLockAfter, "", "a duration such as 15m, or off")
	cmd.Flags().StringVar(&notify, flagNotify, "", "plain, content or off")
	return cmd
}
