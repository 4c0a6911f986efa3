package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rushlight/node/api"
)

func saveCommand(a *app) *cobra.Command {
	var (
		nth     int
		timeout durationFlag
	)
	cmd := &cobra.Command{
		Use:   "save MSGID [PATH]",
		Short: "Save the files of a message",
		Long: `Save the files of a message in a folder (default: this one), or one file under a
name that isn't taken: nothing is overwritten. A file that has not come yet is
fetched first, however large it is; on a terminal it is shown how far that is,
how fast it goes and how long it still takes.

In a folder a file gets a name that stays there, shows what it really is and
doesn't make it run: what would run is saved as NAME.download. It may be run by
nobody, and on Windows and macOS it is marked as coming from elsewhere.`,
		Example: `  rushlight save 0123456789abcdef0123456789abcdef
  rushlight save 0123456789abcdef0123456789abcdef ~/Pictures
  rushlight save 0123456789abcdef0123456789abcdef plan.pdf --file 2`,
		Args: between(1, "MSGID", "PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "."
			if len(args) > 1 {
				path = args[1]
			}
			abs, err := filepath.Abs(path)
			if err != nil {
				return fmt.Errorf("finding the folder: %w", err)
			}
			p := map[string]any{"id": args[0], "path": abs}
			if cmd.Flags().Changed("file") {
				if nth < 1 {
					return api.Errorf(api.CodeUsage, "files are counted from 1")
				}
				p["file"] = nth - 1
			}
			if timeout > 0 {
				p["timeout"] = api.Duration(timeout)
			}
			var r struct {
				Files api.List[api.Saved] `json:"files"`
			}
			stop := a.showProgress(cmd.Context(), func(t api.Transfer) bool {
				return t.ID == args[0] && t.Direction == api.TransferIn && (nth == 0 || t.File == nth-1)
			})
			err = a.call(cmd.Context(), "save", p, &r)
			stop()
			if err != nil {
				return err
			}
			return a.print(r, func(w io.Writer) {
				for _, f := range r.Files {
					fmt.Fprintln(w, clean(f.Path))
				}
			})
		},
	}
	cmd.Flags().IntVar(&nth, "file", 0, "which file of the message, from 1 (default all)")
	cmd.Flags().Var(&timeout, "timeout", "how long to wait until it is here; exits with 4 after that (default for ever)")
	return cmd
}

func transfersCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "transfers",
		Short: "List the files that are on their way",
		Long: `List the files that are on their way, or wait for that. A file is fetched by
itself when it leaves three quarters of the free disk, larger ones when you save
them.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var r struct {
				Transfers api.List[api.Transfer] `json:"transfers"`
			}
			if err := a.call(cmd.Context(), "transfers", map[string]any{}, &r); err != nil {
				return err
			}
			return a.print(r, func(w io.Writer) {
				for _, t := range r.Transfers {
					fmt.Fprintf(w, "%s %d %s\n", t.ID, t.File+1, transferText(t))
				}
				if len(r.Transfers) == 0 {
					fmt.Fprintln(a.err, "Nothing is on its way.")
				}
			})
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use:     "cancel MSGID [N]",
		Short:   "Stop fetching a file, and delete what has come of it",
		Example: "  rushlight transfers cancel 0123456789abcdef0123456789abcdef 2",
		Args:    between(1, "MSGID", "N"),
		RunE: func(cmd *cobra.Command, args []string) error {
			nth := 1
			if len(args) > 1 {
				var err error
				if nth, err = strconv.Atoi(args[1]); err != nil || nth < 1 {
					return api.Errorf(api.CodeUsage, "files are counted from 1")
				}
			}
			if err := a.call(cmd.Context(), "cancelTransfer", map[string]any{"id": args[0], "file": nth - 1}, nil); err != nil {
				return err
			}
			return a.print(struct {
				Cancelled bool `json:"cancelled"`
			}{true}, func(w io.Writer) { fmt.Fprintln(w, "Cancelled. To fetch it after all: rushlight save") })
		},
	})
	return cmd
}

// transferText is "NAME in 3.2 of 10 MiB, 1.2 MiB/s, 6s left".
func transferText(t api.Transfer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s of %s", clean(t.Name), t.Direction, byteText(t.Have), byteText(t.Size))
	if t.State != api.TransferRunning && t.State != api.TransferPreparing {
		b.WriteString(", " + t.State)
		return b.String()
	}
	fmt.Fprintf(&b, ", %s/s", byteText(t.Rate))
	if t.Left > 0 {
		fmt.Fprintf(&b, ", %s left", time.Duration(t.Left*float64(time.Second)).Round(time.Second))
	}
	return b.String()
}

// fileText is "[NAME, TYPE, SIZE]", with what is odd about it.
func fileText(f api.File) string {
	s := fmt.Sprintf("[%s, %s, %s", clean(f.Name), clean(f.Type), byteText(f.Size))
	if f.Claimed != "" {
		s += ", said to be " + clean(f.Claimed)
	}
	switch {
	case f.State == api.TransferFailed:
		s += ", not what was announced"
	case f.State == api.TransferLeft:
		s += ", large: not fetched by itself"
	case f.State == api.TransferCancelled:
		s += ", cancelled"
	case f.Have < f.Size:
		s += ", " + byteText(f.Have) + " here"
	}
	return s + "]"
}
