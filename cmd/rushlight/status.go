package main

import (
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rushlight/node/api"
)

func statusCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show how the daemon is doing",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s api.Status
			if err := a.call(cmd.Context(), "status", nil, &s); err != nil {
				return err
			}
			return a.print(s, func(w io.Writer) { printStatus(w, s) })
		},
	}
}

func printStatus(w io.Writer, s api.Status) {
	if s.Locked {
		fmt.Fprintln(w, "locked; unlock it with: rushlight unlock")
		return
	}
	reach := s.Reachability
	if s.Why != "" {
		reach += ": " + s.Why
	}
	rows := []row{{"ready", yesNo(s.Ready)}, {"network", s.Text}, {"reachability", reach}, {"transports", listOr(s.Transports, "none")}}
	for i, addr := range s.Addrs {
		name := "addresses"
		if i > 0 {
			name = ""
		}
		rows = append(rows, row{name, addr})
	}
	dht := "off"
	if s.DHT.Enabled {
		dht = count(s.DHT.Peers, "peer")
	}
	relays := []string{}
	for _, r := range s.Relays {
		relays = append(relays, r.Peer+" ("+relayState(r)+")")
	}
	printRows(w, append(
		rows,
		row{"peers", fmt.Sprint(s.Peers)},
		row{"dht", dht},
		row{"relays", listOr(relays, "none")},
		row{"outbox", count(s.Outbox, "message")},
		row{"contacts", fmt.Sprint(s.Contacts)},
		row{"unread", fmt.Sprint(s.Unread)},
		row{"connections", connectionsText(s.Connections)},
		row{"traffic", fmt.Sprintf("%s in, %s out", byteText(s.Bytes.In), byteText(s.Bytes.Out))},
		row{"cpu", fmt.Sprintf("%.1f s", s.CPU)},
		row{"last day", fmt.Sprintf("%s in, %s out, %.1f s cpu in %.1f h", byteText(s.Day.In), byteText(s.Day.Out), s.Day.CPU, s.Day.Hours)},
		row{"idle traffic", idleText(s.Idle)},
		row{"disk", byteText(s.Disk)},
		row{"erasure", "level " + s.Erasure.Level + ": " + s.Erasure.Why},
		row{"clock", clockText(s.Clock)},
		row{"uptime", api.FormatDuration((time.Duration(s.Uptime) * time.Second))},
		row{"version", s.Version},
	))
}

func listOr(list []string, none string) string {
	if len(list) == 0 {
		return none
	}
	return strings.Join(list, ", ")
}

// idleText says what being reachable costs.
func idleText(i api.IdleStatus) string {
	if i.Cap == 0 {
		return "about " + byteText(i.Used) + " a day, no limit"
	}
	out := fmt.Sprintf("about %s of %s a day", byteText(i.Used), byteText(i.Cap))
	switch i.State {
	case "sparing":
		out += "; little is left: one relay, fewer questions"
	case "spent":
		out += "; used up for now: messages go as always, contacts may find you later than usual"
	}
	return out
}

func relayState(r api.Relay) string {
	if r.Transport == "" {
		return r.State
	}
	return fmt.Sprintf("%s, by %s, answered in %d ms", r.State, r.Transport, r.Took)
}

// connectionsText counts connections by how they are made.
func connectionsText(list []api.Connection) string {
	count := map[string]int{}
	for _, c := range list {
		count[c.Transport]++
	}
	var out []string
	for _, t := range slices.Sorted(maps.Keys(count)) {
		out = append(out, fmt.Sprintf("%d by %s", count[t], t))
	}
	return listOr(out, "none")
}

func idCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "id",
		Short: "Show who you are",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s api.Self
			if err := a.call(cmd.Context(), "id", nil, &s); err != nil {
				return err
			}
			return a.print(s, func(w io.Writer) {
				rows := []row{
					{"account", s.Account},
					{"device", s.Device},
					{"fingerprint", s.Fingerprint},
					{"uuid", s.UUID},
					{"peer", s.Peer},
				}
				if s.Name != "" {
					rows = append(rows, row{"name", clean(s.Name)})
				}
				printRows(w, rows)
			})
		},
	}
}

func versionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version of this program",
		Args:  exactly(),
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version string `json:"version"`
				Go      string `json:"go"`
				OS      string `json:"os"`
				Arch    string `json:"arch"`
			}{versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH}
			return a.print(v, func(w io.Writer) {
				fmt.Fprintf(w, "rushlight %s (%s, %s/%s)\n", v.Version, v.Go, v.OS, v.Arch)
			})
		},
	}
}
