package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"rushlight/node/api"
	"rushlight/storage/keyfile"
)

func checkCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Verify everything that is stored",
		Long: `Verify that what is stored is whole, and print what is wrong. If no daemon runs,
the profile is opened for it, which needs the passphrase.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := a.check(cmd.Context())
			if err != nil {
				return err
			}
			if !r.OK {
				err := api.Errorf(api.CodeCorruptStore, "the check found %s", count(len(r.Problems), "problem"))
				if a.json {
					return &failure{err, map[string]any{"ok": r.OK, "checked": r.Checked, "problems": r.Problems}}
				}
				for _, p := range r.Problems {
					fmt.Fprintf(a.out, "%s: %s\n", clean(p.Where), clean(p.What))
				}
				return err
			}
			return a.print(r, func(w io.Writer) {
				var parts []string
				for _, what := range slices.Sorted(maps.Keys(r.Checked)) {
					parts = append(parts, fmt.Sprintf("%s %d", clean(what), r.Checked[what]))
				}
				fmt.Fprintln(w, "Everything is in order.")
				if len(parts) > 0 {
					fmt.Fprintf(w, "Checked: %s.\n", strings.Join(parts, ", "))
				}
			})
		},
	}
}

// check asks the daemon, or opens the profile if none runs.
func (a *app) check(ctx context.Context) (r api.CheckReport, err error) {
	err = a.call(ctx, "check", nil, &r)
	if !errors.Is(err, &api.Error{Code: api.CodeNoDaemon}) || !keyfile.Exists(keyDir(a.dir)) {
		return r, err
	}
	harden()
	unlock, err := lockProfile(a.dir)
	if err != nil {
		return r, explain(err)
	}
	defer unlock()
	pass, _, err := a.passphrase(ctx, false)
	if err != nil {
		return r, err
	}
	defer clear(pass)
	r, err = a.checkOffline(ctx, pass)
	return r, explain(err)
}
