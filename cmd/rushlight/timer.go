package main

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rushlight/node/api"
)

// timerFlag is a flag that takes how long a message lives, or "off".
type timerFlag struct {
	set   bool
	value api.Timer
	check func(api.Timer) error
}

func (t *timerFlag) String() string {
	switch {
	case !t.set:
		return ""
	case t.value == 0:
		return "off"
	}
	return api.FormatDuration(time.Duration(t.value))
}

func (t *timerFlag) Type() string { return "D" }

func (t *timerFlag) Set(s string) error {
	v, err := api.ParseTimer(s)
	if err != nil || v == 0 && s != "off" {
		// What is no time is refused as one out of range is: with the range.
		return cmp.Or(t.check(-1), err)
	}
	t.value, t.set = v, true
	return t.check(v)
}

// timerFlags are --expires and --burn.
type timerFlags struct{ expires, burn timerFlag }

func (t *timerFlags) add(f *pflag.FlagSet) {
	t.expires.check, t.burn.check = api.CheckExpiry, api.CheckBurn
	f.Var(&t.expires, "expires", "destroy it so long after it was sent: 5s to 366d, or off")
	f.Var(&t.burn, "burn", "destroy it so long after it was seen: 1s to 7d, or off")
}

// into sets the parameters of a call.
func (t *timerFlags) into(params map[string]any) {
	if t.expires.set {
		params["expires"] = t.expires.value
	}
	if t.burn.set {
		params["burn"] = t.burn.value
	}
}

// lifeText says how long a message has left, "" if it stays.
func lifeText(m api.Message, now time.Time) string {
	end := m.Expires
	if m.BurnsAt != 0 && (end == 0 || m.BurnsAt < end) {
		return "burns in " + leftText(m.BurnsAt, now)
	}
	switch {
	case m.Burn != 0 && end != 0:
		return fmt.Sprintf("burns %s after it is seen, at the latest in %s", api.FormatDuration(time.Duration(m.Burn)), leftText(end, now))
	case m.Burn != 0:
		return fmt.Sprintf("burns %s after it is seen", api.FormatDuration(time.Duration(m.Burn)))
	case end != 0:
		return "expires in " + leftText(end, now)
	}
	return ""
}

// leftText is the time until an instant, in its two largest units.
func leftText(t api.Time, now time.Time) string {
	d := max(t.Std().Sub(now), 0)
	switch {
	case d >= 24*time.Hour:
		d = d.Truncate(time.Hour)
	case d >= time.Hour:
		d = d.Truncate(time.Minute)
	default:
		d = (d + time.Second - 1).Truncate(time.Second)
	}
	return api.FormatDuration(d)
}

func deleteCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "delete ID",
		Short: "Erase a message here; others keep theirs",
		Args:  exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var r struct {
				Deleted bool `json:"deleted"`
			}
			if err := a.call(cmd.Context(), "delete", map[string]any{"id": args[0]}, &r); err != nil {
				return err
			}
			return a.print(r, func(w io.Writer) { fmt.Fprintln(w, "Erased.") })
		},
	}
}

func clockCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "clock",
		Short: "Say whether this device's time is right",
		Long: `What has expired is hidden at once and destroyed when the time is certain. After
the clock has jumped by more than a day, or the device was off for as long, that
waits until a contact's message or you confirm the time.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s api.Status
			if err := a.call(cmd.Context(), "status", nil, &s); err != nil {
				return err
			}
			return a.print(s.Clock, func(w io.Writer) { fmt.Fprintln(w, clockText(s.Clock)) })
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "confirm",
		Short: "Destroy what has expired by this device's time",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var r struct {
				Confirmed bool `json:"confirmed"`
			}
			if err := a.call(cmd.Context(), "confirmClock", nil, &r); err != nil {
				return err
			}
			return a.print(r, func(w io.Writer) { fmt.Fprintln(w, "Confirmed.") })
		},
	})
	return cmd
}

func clockText(c api.Clock) string {
	if c.Doubt {
		return "in doubt: " + c.Hint
	}
	return "right, as far as it can be known"
}
