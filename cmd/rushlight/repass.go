package main

import (
	"context"
	"crypto/rand"
	"errors"
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
	var duress, toRing bool
	cmd := &cobra.Command{
		Use:   "passphrase",
		Short: "Change the passphrase",
		Long: `Change the passphrase. The daemon may go on running. Copies of the disk that were
made before still open with the old passphrase.

With --duress it sets another passphrase that you can give to somebody who forces
you to: it destroys this profile at once and opens an empty one in its place.
Nothing shows whether such a passphrase was set; an empty one takes it away.

With --keyring the new passphrase is a random one that the system's keyring keeps:
nobody is asked for it any more while you are logged in.`,
		Example: `  rushlight passphrase
  rushlight passphrase --new-passphrase-file ~/.new
  rushlight passphrase --recovery-file ~/code    when the old one is forgotten
  rushlight passphrase --duress
  rushlight passphrase --keyring`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if duress && recovery != "" {
				return api.Errorf(api.CodeUsage, "a duress passphrase is set with the passphrase, not the recovery code")
			}
			if toRing && (duress || file != "") {
				return api.Errorf(api.CodeUsage, "the keyring keeps a random passphrase, and none for duress")
			}
			if err := a.repass(cmd.Context(), newPassphrase{file, recovery, duress, toRing}); err != nil {
				return explain(err)
			}
			return a.print(map[string]bool{"changed": true}, func(w io.Writer) { fmt.Fprintln(w, "Changed.") })
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "new-passphrase-file", "", "file with the new passphrase (default: ask)")
	f.StringVar(&recovery, "recovery-file", "", "file with the recovery code, in place of the old passphrase")
	f.BoolVar(&duress, "duress", false, "set the passphrase that destroys the profile")
	f.BoolVar(&toRing, "keyring", false, "let the system's keyring keep a random passphrase")
	return cmd
}

// newPassphrase is what is to be changed.
type newPassphrase struct {
	file     string // that has it; else it is asked for
	recovery string // file with the recovery code, in place of the old one
	duress   bool
	keyring  bool // a random one
}

// repass changes a passphrase: it needs the key file only.
func (a *app) repass(ctx context.Context, to newPassphrase) error {
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

	if to.recovery != "" {
		return a.resetPassphrase(ctx, to)
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
	if to.duress {
		pass, err := a.newPassphrase(ctx, to)
		if err != nil {
			return err
		}
		defer clear(pass)
		return keyfile.SetDuress(keyDir(a.dir), old, pass)
	}
	return a.change(ctx, to, func(pass []byte) error {
		return keyfile.ChangePassphrase(keyDir(a.dir), old, pass, keyfile.Params{})
	})
}

// change gets the new passphrase and changes to it, and keeps it in the system's
// keyring or takes the old one out of there.
func (a *app) change(ctx context.Context, to newPassphrase, change func(pass []byte) error) error {
	if to.keyring {
		return a.changeToKeyring(ctx, change)
	}
	pass, err := a.newPassphrase(ctx, to)
	if err != nil {
		return err
	}
	defer clear(pass)
	if err := change(pass); err != nil {
		return err
	}
	forgetKeyring(a.dir)
	return nil
}

// changeToKeyring changes to a random passphrase, which is in the keyring, and
// read back from it, before it counts. Cut off in between the old one opens the
// profile, given in a file.
func (a *app) changeToKeyring(ctx context.Context, change func(pass []byte) error) error {
	if !haveKeyring() {
		return api.Errorf(api.CodeNoPassphrase, "there is no system's keyring here")
	}
	old, _ := keyringID(a.dir)
	pass := rand.Text()
	err := toKeyring(ctx, a.dir, pass)
	if err == nil && string(fromKeyring(ctx, a.dir)) != pass {
		err = api.Errorf(api.CodeNoPassphrase, "the system's keyring didn't keep the passphrase")
	}
	if err == nil {
		err = change([]byte(pass))
	}
	if err != nil {
		forgetKeyring(a.dir)
		if old != "" {
			err = errors.Join(err, os.WriteFile(filepath.Join(keyDir(a.dir), "id"), []byte(old+"\n"), 0o600))
		}
		return err
	}
	if old != "" {
		_ = keyring.Delete(keyringService, old) // of no more use
	}
	return nil
}

func (a *app) resetPassphrase(ctx context.Context, to newPassphrase) error {
	code, err := a.recoveryCode(ctx, to.recovery)
	if err != nil {
		return err
	}
	defer clear(code[:])
	root, err := keyfile.OpenWithRecovery(keyDir(a.dir), code[:])
	clear(root[:])
	if err != nil {
		return err
	}
	return a.change(ctx, to, func(pass []byte) error {
		return keyfile.ResetPassphrase(keyDir(a.dir), code[:], pass, keyfile.Params{})
	})
}

// newPassphrase reads the new passphrase from a file, or asks for it twice.
// Only one for duress may be empty.
func (a *app) newPassphrase(ctx context.Context, to newPassphrase) ([]byte, error) {
	if to.file != "" {
		return a.fromFile(to.file)
	}
	fd, ok := terminal(a.in)
	if !ok {
		return nil, api.Errorf(api.CodeNoPassphrase, "there is no way to get the new passphrase").
			WithHint("give --new-passphrase-file FILE, or start it in a terminal")
	}
	pass, err := a.askTwice(ctx, fd)
	if err == nil && len(pass) == 0 && !to.duress {
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
