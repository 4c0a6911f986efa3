package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
	"github.com/spf13/cobra"
	"github.com/zalando/go-keyring"

	"rushlight/node/api"
	"rushlight/storage"
	"rushlight/storage/keyfile"
)

func passphraseCommand(a *app) *cobra.Command {
	var file, recovery string
	var duress bool
	cmd := &cobra.Command{
		Use:   "passphrase",
		Short: "Change the passphrase",
		Long: `Change the passphrase. The daemon may go on running. Copies of the disk that were
made before still open with the old passphrase.

With --duress it sets another passphrase that you can give to somebody who forces
you to: it destroys this profile at once and opens an empty one in its place.
Nothing shows whether such a passphrase was set; an empty one takes it away.`,
		Example: `  rushlight passphrase
  rushlight passphrase --new-passphrase-file ~/.new
  rushlight passphrase --recovery-file ~/code    when the old one is forgotten
  rushlight passphrase --duress`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if duress && recovery != "" {
				return api.Errorf(api.CodeUsage, "a duress passphrase is set with the passphrase, not the recovery code")
			}
			if err := a.repass(cmd.Context(), file, recovery, duress); err != nil {
				return explain(err)
			}
			return a.print(map[string]bool{"changed": true}, func(w io.Writer) { fmt.Fprintln(w, "Changed.") })
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "new-passphrase-file", "", "file with the new passphrase (default: ask)")
	f.StringVar(&recovery, "recovery-file", "", "file with the recovery code, in place of the old passphrase")
	f.BoolVar(&duress, "duress", false, "set the passphrase that destroys the profile")
	return cmd
}

// repass changes a passphrase: it needs the key file only.
func (a *app) repass(ctx context.Context, file, recovery string, duress bool) error {
	if a.dirErr != nil {
		return a.dirErr
	}
	if !keyfile.Exists(keyDir(a.dir)) {
		return api.Errorf(api.CodeUsage, "there is no profile here")
	}
	harden()
	one := flock.New(filepath.Join(keyDir(a.dir), "lock"), flock.SetPermissions(0o600))
	if ok, err := one.TryLock(); err != nil || !ok {
		return api.Errorf(api.CodeBusy, "the passphrase is being changed already")
	}
	defer func() { _ = one.Close() }()

	if recovery != "" {
		return a.resetPassphrase(ctx, file, recovery)
	}
	old, _, err := a.passphrase(ctx, false)
	if err != nil {
		return err
	}
	defer clear(old)
	// What is asked for next mustn't tell a decoy from the profile.
	root, decoy, err := keyfile.Unlock(keyDir(a.dir), old, func() error { return storage.Wipe(storeDir(a.dir)) })
	clear(root[:])
	if err != nil {
		return err
	}
	if decoy {
		// It is made by the next start, as if the first one had been cut off.
		return os.WriteFile(unfinished(a.dir), nil, 0o600)
	}
	pass, err := a.newPassphrase(ctx, file, duress)
	if err != nil {
		return err
	}
	defer clear(pass)
	if duress {
		return keyfile.SetDuress(keyDir(a.dir), old, pass)
	}
	if err := keyfile.ChangePassphrase(keyDir(a.dir), old, pass, keyfile.Params{}); err != nil {
		return err
	}
	forgetKeyring(a.dir)
	return nil
}

func (a *app) resetPassphrase(ctx context.Context, file, recovery string) error {
	code, err := a.recoveryCode(ctx, recovery)
	if err != nil {
		return err
	}
	defer clear(code[:])
	root, err := keyfile.OpenWithRecovery(keyDir(a.dir), code[:])
	clear(root[:])
	if err != nil {
		return err
	}
	pass, err := a.newPassphrase(ctx, file, false)
	if err != nil {
		return err
	}
	defer clear(pass)
	if err := keyfile.ResetPassphrase(keyDir(a.dir), code[:], pass, keyfile.Params{}); err != nil {
		return err
	}
	forgetKeyring(a.dir)
	return nil
}

// newPassphrase reads the new passphrase from a file, or asks for it twice.
// Only one for duress may be empty.
func (a *app) newPassphrase(ctx context.Context, file string, duress bool) ([]byte, error) {
	if file != "" {
		return a.fromFile(file)
	}
	fd, ok := terminal(a.in)
	if !ok {
		return nil, api.Errorf(api.CodeNoPassphrase, "there is no way to get the new passphrase").
			WithHint("give --new-passphrase-file FILE, or start it in a terminal")
	}
	pass, err := a.askTwice(ctx, fd)
	if err == nil && len(pass) == 0 && !duress {
		err = api.Errorf(api.CodeNoPassphrase, "the passphrase is empty")
	}
	return pass, err
}

// forgetKeyring removes a passphrase that is of no more use from the system's
// keyring. If that fails, it stays one.
func forgetKeyring(dir string) {
	id, err := keyringID(dir)
	if err != nil || id == "" {
		return
	}
	if haveKeyring() {
		_ = keyring.Delete(keyringService, id)
	}
	_ = os.Remove(filepath.Join(keyDir(dir), "id"))
}
