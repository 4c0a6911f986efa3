package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"rushlight/node/api"
)

func sendCommand(a *app) *cobra.Command {
	var (
		o              sending
		timers         timerFlags
		reply, forward string
		markdown       bool
		files          []string
		original, full bool
		preview        bool
	)
	cmd := &cobra.Command{
		Use:   "send WHO [TEXT|-]",
		Short: "Send a message, or files",
		Long: `Send a message of up to 48 KiB. With "-" the text is read from standard input;
one line end at its end is left out. A text that starts with a dash goes after
"--".

The message is kept and tried again until it is delivered, also over restarts.
--wait says for which state to wait: queued (it is saved here), delivered (it is
saved there) or read.

With --expires the message is destroyed on both sides so long after it was sent,
with --burn so long after the other side has seen it. Both can be off; without
them the conversation's timers count.

--file sends a file of any size, up to 16 of them with a message; the text may
then be left out. The daemon takes a copy, encrypted, and gives it to the other
side whenever both are online, going on where it stopped; on a terminal it is
shown how far that is while this waits, and "rushlight transfers" tells it at any
time. What pictures, films,
sound and PDF files tell of where, when, by whom and with what they were made is
taken out first, and large pictures are made smaller; --original sends them as
they are and says what kinds of that they keep, --full-size in their own size.

--preview asks for the page of the first link in the text, now and by this device,
and sends its title, a few words and a small picture with the message. What is
sent is shown; "rushlight preview URL" shows it without sending.`,
		Example: `  rushlight send bob "See you at 8"
  rushlight send bob "Call me" --wait delivered --timeout 1m
  rushlight send bob "Yes" --reply 0123456789abcdef0123456789abcdef
  rushlight send bob "The code is 4711" --expires 1h --burn 30s
  uptime | rushlight send bob -
  rushlight send bob --file plan.pdf --file map.png
  rushlight send bob -- "-5 degrees"`,
		Args:              between(1, "WHO", "TEXT"),
		ValidArgsFunction: a.completeWho,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := api.CheckWaitState(o.wait); err != nil {
				return err
			}
			o.params, o.files = map[string]any{"recipient": args[0]}, files
			if forward == "" {
				if err := a.content(o.params, args[1:], files); err != nil {
					return err
				}
				o.params["markdown"], o.params["original"], o.params["fullSize"] = markdown, original, full
			} else {
				if len(args) > 1 || len(files) > 0 {
					return api.Errorf(api.CodeUsage, "a forwarded message has no text of its own")
				}
				if preview {
					return api.Errorf(api.CodeUsage, "a forwarded message keeps the preview it has")
				}
				o.params["forward"] = forward
			}
			if preview {
				if err := a.look(cmd.Context(), o.params); err != nil {
					return err
				}
			}
			if reply != "" {
				o.params["replyTo"] = reply
			}
			timers.into(o.params)
			if o.key != "" {
				o.params["idempotencyKey"] = o.key
			}
			return a.send(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.wait, "wait", api.StateQueued, "state to wait for: queued, stored, delivered or read")
	f.Var(&o.timeout, "timeout", "how long to wait; exits with 4 after that (default for ever)")
	f.StringVar(&o.key, "idempotency-key", "", "a message with a key that was used before is not sent again")
	f.StringVar(&reply, "reply", "", "id of the message it answers")
	f.StringVar(&forward, "forward", "", "id of a message to send on, in place of a text")
	f.StringArrayVar(&files, "file", nil, "send the file of this name; may be given several times")
	f.BoolVar(&original, "original", false, "send files as they are, with all they tell of who made them")
	f.BoolVar(&preview, "preview", false, "send a preview of the first link with it")
	f.BoolVar(&full, "full-size", false, "don't make large pictures smaller")
	addMarkdown(cmd, &markdown)
	timers.add(f)
	return cmd
}

// sending is what the send command was told.
type sending struct {
	params  map[string]any
	key     string
	wait    string
	timeout durationFlag
	files   []string
}

// content puts what is to be sent into the parameters of a request.
func (a *app) content(params map[string]any, args, files []string) error {
	if len(files) > 0 {
		var list []string
		for _, f := range files {
			abs, err := filepath.Abs(f)
			if err != nil {
				return fmt.Errorf("finding a file: %w", err)
			}
			list = append(list, abs)
		}
		params["attachments"] = list
		if len(args) == 0 {
			return nil
		}
	}
	text, err := a.text(args)
	params["message"] = text
	return err
}

// text is the message, from the command line or standard input.
func (a *app) text(args []string) (string, error) {
	if len(args) == 0 {
		return "", api.Errorf(api.CodeEmptyText, "the text is missing").WithHint(`use "-" to read it from standard input`)
	}
	text := args[0]
	if text == "-" {
		b, err := io.ReadAll(io.LimitReader(a.in, api.MaxText+2))
		if err != nil {
			return "", fmt.Errorf("reading standard input: %w", err)
		}
		text = strings.TrimSuffix(string(b), "\n")
	}
	return text, api.CheckText(text, nil)
}

func (a *app) send(ctx context.Context, o sending) error {
	wait, timeout := o.wait, time.Duration(o.timeout)
	deadline := time.Now().Add(timeout)
	sending := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		sending, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	c, err := a.dial(sending)
	if err != nil {
		return err
	}
	defer c.Close()
	var id atomic.Pointer[string] // of the message, once it has one
	stop := func() {}
	if len(o.files) > 0 {
		stop = a.showProgress(ctx, func(t api.Transfer) bool {
			if s := id.Load(); s != nil {
				return t.ID == *s && t.Direction == api.TransferOut
			}
			return t.State == api.TransferPreparing && slices.ContainsFunc(o.files, func(f string) bool { return filepath.Base(f) == t.Name })
		})
		defer stop()
	}
	var sent api.Sent
	if err := c.Call(sending, "send", o.params, &sent); err != nil {
		return err
	}
	id.Store(&sent.ID)
	if wait != api.StateQueued {
		p := map[string]any{"id": sent.ID, "state": wait}
		if timeout > 0 {
			p["timeout"] = api.Duration(max(time.Until(deadline), time.Millisecond))
		}
		var r struct{ State string }
		err := c.Call(ctx, "wait", p, &r)
		if err == nil && r.State == api.StateFailed {
			err = api.Errorf(api.CodeFailed, "the message can't be delivered")
		}
		if err != nil {
			return &failure{err, map[string]any{"id": sent.ID, "state": orElse(r.State, sent.State)}}
		}
		sent.State = r.State
	}
	stop()
	if !a.json {
		for _, k := range sent.Keeps {
			fmt.Fprintln(a.err, keepsText(k))
		}
	}
	return a.print(sent, func(w io.Writer) { fmt.Fprintf(w, "%s %s\n", sent.State, sent.ID) })
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// keepsText is "NAME is sent with: place, time".
func keepsText(k api.Keeps) string {
	if len(k.Kinds) == 0 {
		return clean(k.Name) + " is sent as it is; nothing is known to be in it that tells of who made it"
	}
	var all []string
	for _, kind := range k.Kinds {
		if text := keptKinds[kind]; text != "" {
			kind = text
		}
		all = append(all, clean(kind))
	}
	return clean(k.Name) + " is sent with: " + strings.Join(all, ", ")
}

// keptKinds are the kinds of [api.Keeps] that are said in other words.
var keptKinds = map[string]string{
	"device": "the device", "text": "titles, comments or keywords", "name": "the camera's file name",
	"other": "other details", "unknown": "whatever else is in it, which can't be looked through",
}
