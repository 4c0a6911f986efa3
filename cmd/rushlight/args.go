package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rushlight/node/api"
)

// durationFlag is a flag that takes a duration with days and weeks.
type durationFlag time.Duration

func (d *durationFlag) String() string {
	if *d == 0 {
		return ""
	}
	return api.FormatDuration(time.Duration(*d))
}

func (d *durationFlag) Type() string { return "D" }

func (d *durationFlag) Set(s string) error {
	v, err := api.ParseDuration(s)
	if err != nil {
		return err
	}
	if v == 0 {
		return api.Errorf(api.CodeUsage, "that is no time at all")
	}
	*d = durationFlag(v)
	return nil
}

// exactly wants so many arguments; names are those in the command's Use.
func exactly(names ...string) cobra.PositionalArgs {
	return between(len(names), names...)
}

// between wants at least so many of the arguments.
func between(least int, names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		hint := "usage: " + cmd.UseLine()
		if len(args) < least {
			return api.Errorf(api.CodeUsage, "%s is missing", strings.Join(names[len(args):least], " and ")).WithHint(hint)
		}
		if len(args) > len(names) {
			return api.Errorf(api.CodeUsage, "too many arguments").WithHint(hint + " (put quotes around what has spaces)")
		}
		return nil
	}
}

// dial connects to the daemon of the profile.
func (a *app) dial(ctx context.Context) (*api.Client, error) {
	if a.dirErr != nil {
		return nil, a.dirErr
	}
	return api.Dial(ctx, a.dir)
}

// call makes one call on a connection of its own.
func (a *app) call(ctx context.Context, method string, params, result any) error {
	c, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Call(ctx, method, params, result)
}

// completeTime bounds what pressing the tab key may take.
const completeTime = 500 * time.Millisecond

// completeWho offers petnames for the first argument.
func (a *app) completeWho(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 || a.prepare() != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completeTime)
	defer cancel()
	var r contactList
	if a.call(ctx, "contacts", nil, &r) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, c := range r.Contacts {
		if n := c.Petname; n != "" && clean(n) == n {
			names = append(names, n)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
