package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rushlight/node/api"
	"rushlight/node/door"
	"rushlight/storage"
	"rushlight/storage/keyfile"
	"rushlight/storage/keyfile/wheel"
)

func wipeCommand(a *app) *cobra.Command {
	yes := false
	cmd := &cobra.Command{
		Use:   "wipe --yes",
		Short: "Destroy this profile: its keys at once, then everything else",
		Long: `Destroy this profile: its keys at once, then everything else. Nobody can read it
again then, with whatever passphrase or recovery code. Backups aren't touched,
nor what others have received. It doesn't ask for the passphrase, and works while
the profile is locked.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.dirErr != nil {
				return a.dirErr
			}
			if !yes {
				if err := a.confirmWipe(); err != nil {
					return err
				}
			}
			if err := a.wipe(cmd.Context()); err != nil {
				return err
			}
			return a.print(map[string]bool{"wiped": true}, func(w io.Writer) { fmt.Fprintln(w, "Wiped.") })
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return cmd
}

// confirmWipe asks a person. Programs say --yes.
func (a *app) confirmWipe() error {
	unsure := api.Errorf(api.CodeUsage, "wiping destroys everything and can't be undone").WithHint("say yes: rushlight wipe --yes")
	if _, ok := terminal(a.in); !ok || a.json {
		return unsure
	}
	fmt.Fprint(a.err, "This destroys your identity and every message in this profile, for good.\nType wipe to do it: ")
	line, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "wipe" {
		return unsure
	}
	return nil
}

func (a *app) wipe(ctx context.Context) error {
	err := a.call(ctx, "wipe", map[string]bool{"yes": true}, nil)
	if err == nil {
		return a.awaitGone(ctx)
	}
	if !errors.Is(err, &api.Error{Code: api.CodeNoDaemon}) {
		return err
	}
	if !keyfile.Exists(keyDir(a.dir)) && !hasStore(a.dir) {
		return api.Errorf(api.CodeUsage, "there is no profile here to wipe")
	}
	unlock, err := lockProfile(a.dir)
	if err != nil {
		return explain(err)
	}
	defer unlock()
	return explain(errors.Join(wipeKeys(a.dir), wipeFiles(a.dir)))
}

// awaitGone waits until the daemon has removed its files.
func (a *app) awaitGone(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, changeTime)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		unlock, err := lockProfile(a.dir)
		if err == nil {
			unlock()
			return nil
		}
		if !errors.Is(err, errRunning) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return api.Errorf(api.CodeTimeout, "the keys are destroyed, but the daemon hasn't stopped")
		}
	}
}

// wipeKeys destroys the keys of a profile that isn't open. Each is tried, also
// when another fails.
func wipeKeys(dir string) error {
	err := wheel.Wipe(wheelDir(dir))
	return errors.Join(err, wipeSlots(dir))
}

// wipeSlots destroys what the root is wrapped in.
func wipeSlots(dir string) error {
	err := keyfile.Destroy(keyDir(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// wipeFiles removes what is left of a profile without keys.
func wipeFiles(dir string) error {
	forgetKeyring(dir)
	return errors.Join(door.Forget(dir), os.RemoveAll(filepath.Join(dir, preferencesFile)), storage.Wipe(storeDir(dir)), os.RemoveAll(keyDir(dir)))
}
