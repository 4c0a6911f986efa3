package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"rushlight/node/api"
	"rushlight/node/backup"
	"rushlight/protocol/identity"
	"rushlight/storage"
	"rushlight/storage/keyfile"
)

func backupCommand(a *app) *cobra.Command {
	expiring := false
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write an encrypted backup",
		Long: `Write an encrypted backup of this profile: who you are, your contacts and your
messages. Its passphrase is that of the profile as it is now. Messages with a
timer are left out. Whoever restores it is a new device: it can't read what was
on its way to the old one.`,
		Args: exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := a.backup(cmd.Context(), args[0], expiring)
			if err != nil {
				return explain(err)
			}
			return a.print(r, func(w io.Writer) {
				fmt.Fprintf(w, "Saved %s and %s, %s.\n", count(int(r.Contacts), "contact"), count(int(r.Messages), "message"), byteText(r.Bytes))
			})
		},
	}
	cmd.Flags().BoolVar(&expiring, "with-expiring", false, "messages with a timer, too: the backup outlives them")
	return cmd
}

func restoreCommand(a *app) *cobra.Command {
	recovery := ""
	cmd := &cobra.Command{
		Use:   "restore FILE --recovery-file CODE",
		Short: "Make a new profile of a backup",
		Long: `Make a new profile of a backup. It needs the passphrase that the backup was
written with, which is the new profile's too, and the recovery code. The profile
is a new device of the account; the old ones are revoked. Contacts, names and
messages are there at once; before a contact can be written to, it has to give
you a new invite, which you add here. Don't restore one backup twice.`,
		Args: exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := a.restore(cmd.Context(), args[0], recovery)
			if err != nil {
				return explain(err)
			}
			return a.print(r, func(w io.Writer) {
				fmt.Fprintf(w, "Restored %s and %s.\nStart it with: %s\n", count(int(r.Contacts), "contact"), count(int(r.Messages), "message"), a.upCommand())
			})
		},
	}
	cmd.Flags().StringVar(&recovery, "recovery-file", "", "file with the recovery code (default: ask)")
	return cmd
}

func (a *app) backup(ctx context.Context, file string, expiring bool) (r api.Backup, err error) {
	if a.dirErr != nil {
		return r, a.dirErr
	}
	path, err := filepath.Abs(file)
	if err != nil {
		return r, fmt.Errorf("finding the backup's place: %w", err)
	}
	if _, err := os.Lstat(path); err == nil {
		return r, errThere
	}
	if !keyfile.Exists(keyDir(a.dir)) {
		return r, api.Errorf(api.CodeUsage, "there is no profile here")
	}
	harden()
	pass, _, err := a.passphrase(ctx, false)
	if err != nil {
		return r, err
	}
	defer clear(pass)
	root, err := keyfile.Open(keyDir(a.dir), pass)
	clear(root[:])
	if err != nil {
		return r, err
	}
	defer a.growing(path + partial)()
	params := map[string]any{"path": path, "passphrase": string(pass), "expiring": expiring}
	err = a.call(ctx, "backup", params, &r)
	if !errors.Is(err, &api.Error{Code: api.CodeNoDaemon}) {
		return r, err
	}
	unlock, err := lockProfile(a.dir)
	if err != nil {
		return r, err
	}
	defer unlock()
	d, err := a.unlock(pass, settings{
		listen: []string{"/ip4/127.0.0.1/tcp/0"}, noLAN: true, logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return r, err
	}
	r, err = writeBackup(d, path, pass, expiring)
	return r, errors.Join(err, d.Close())
}

var errThere = api.Errorf(api.CodeUsage, "there is a file of that name already").WithHint("nothing is overwritten; choose another name")

// partial ends the name of a backup that isn't whole yet.
const partial = ".partial"

// writeBackup writes a backup, which appears under its name when it is whole
// and on the disk.
func writeBackup(d daemon, path string, pass []byte, expiring bool) (r api.Backup, err error) {
	if _, err := os.Lstat(path); err == nil {
		return r, errThere
	}
	slot, key, err := keyfile.NewSlot(pass, hashing)
	if err != nil {
		return r, err
	}
	defer clear(key[:])
	f, err := os.OpenFile(path+partial, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return r, fmt.Errorf("making the backup: %w", bareFile(err))
	}
	sum, err := d.Backup(f, slot, key, expiring)
	if err == nil {
		err = f.Sync()
	}
	size, serr := f.Seek(0, io.SeekCurrent)
	if err = errors.Join(err, serr, f.Close()); err == nil {
		err = os.Rename(path+partial, path)
	}
	if err != nil {
		_ = os.Remove(path + partial)
		return r, fmt.Errorf("writing the backup: %w", err)
	}
	return api.Backup{Contacts: sum.Contacts, Messages: sum.Messages, Bytes: size}, nil
}

// growing tells once a second how far a file has grown, when it takes longer
// than that.
func (a *app) growing(path string) (stop func()) {
	return a.everySecond(func() {
		if st, err := os.Stat(path); err == nil {
			fmt.Fprintf(a.err, "%s written …\n", byteText(st.Size()))
		}
	})
}

func (a *app) everySecond(say func()) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				say()
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

func (a *app) restore(ctx context.Context, file, recovery string) (r api.Backup, err error) {
	if a.dirErr != nil {
		return r, a.dirErr
	}
	harden()
	f, err := os.Open(file)
	if err != nil {
		return r, api.Errorf(api.CodeUsage, "the backup can't be read: %v", bareFile(err))
	}
	defer func() { _ = f.Close() }()
	slot, err := backup.Slot(f)
	if err != nil {
		return r, err
	}
	pass, _, err := a.passphrase(ctx, false)
	if err != nil {
		return r, err
	}
	defer clear(pass)
	key, err := keyfile.OpenSlot(slot, pass)
	if errors.Is(err, keyfile.ErrCorrupt) {
		return r, backup.ErrDamaged
	}
	if err != nil {
		return r, err
	}
	defer clear(key[:])
	size := int64(0)
	if st, err := f.Stat(); err == nil {
		size = st.Size()
	}
	said := int64(-1)
	defer a.everySecond(func() {
		if at, err := f.Seek(0, io.SeekCurrent); err == nil && size > 0 && at != said {
			fmt.Fprintf(a.err, "%d %% …\n", at*100/size)
			said = at
		}
	})()
	if _, err := backup.Verify(f, slot, key); err != nil {
		return r, err
	}
	code, err := a.recoveryCode(ctx, recovery)
	if err != nil {
		return r, err
	}
	defer clear(code[:])
	again := func() error {
		_, err := f.Seek(int64(backup.HeaderSize), io.SeekStart)
		return err
	}
	if err := again(); err != nil {
		return r, fmt.Errorf("reading the backup: %w", bareFile(err))
	}
	if err := backup.CheckCode(f, slot, key, code); err != nil {
		return r, err
	}
	if err := again(); err != nil {
		return r, fmt.Errorf("reading the backup: %w", bareFile(err))
	}
	sum, err := restoreInto(a.dir, pass, code, func(s *storage.Store) (backup.Summary, error) {
		return backup.Restore(f, slot, key, s, code, time.Now())
	})
	return api.Backup{Contacts: sum.Contacts, Messages: sum.Messages, Bytes: size}, err
}

// restoreInto makes a profile and fills it. If that fails it leaves nothing
// behind.
func restoreInto(dir string, pass []byte, code identity.RecoveryCode, fill func(*storage.Store) (backup.Summary, error)) (sum backup.Summary, err error) {
	unlock, err := lockProfile(dir)
	if err != nil {
		return sum, err
	}
	defer unlock()
	if isUnfinished(dir) {
		if err := forget(dir); err != nil {
			return sum, err
		}
	}
	if keyfile.Exists(keyDir(dir)) || hasStore(dir) {
		return sum, api.Errorf(api.CodeUsage, "there is a profile here already").WithHint("restore into another directory: --dir DIR")
	}
	if err := os.MkdirAll(keyDir(dir), 0o700); err != nil {
		return sum, fmt.Errorf("making the profile directory: %w", bareFile(err))
	}
	if err := os.WriteFile(unfinished(dir), nil, 0o600); err != nil {
		return sum, fmt.Errorf("making the profile: %w", bareFile(err))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, forget(dir))
		} else {
			err = finish(dir)
		}
	}()
	root, err := keyfile.Create(keyDir(dir), pass, code[:], hashing)
	if err != nil {
		return sum, err
	}
	s, err := storage.Open(storage.Options{Dir: storeDir(dir), Root: root})
	clear(root[:])
	if err != nil {
		return sum, err
	}
	sum, err = fill(s)
	return sum, errors.Join(err, s.Close())
}

// recoveryCode reads a recovery code from a file, or asks for it.
func (a *app) recoveryCode(ctx context.Context, file string) (code identity.RecoveryCode, err error) {
	var b []byte
	if file != "" {
		b, err = a.fromFile(file)
	} else if fd, ok := terminal(a.in); ok {
		defer a.leaving(ctx, fd)()
		b, err = a.readPassphrase(fd, "Recovery code: ")
	} else {
		err = api.Errorf(api.CodeNoPassphrase, "there is no way to get the recovery code").
			WithHint("give --recovery-file FILE, or start it in a terminal")
	}
	if err != nil {
		return code, err
	}
	defer clear(b)
	if code, err = identity.ParseRecoveryCode(string(b)); err != nil {
		return code, api.Errorf(api.CodeUsage, "that is not a recovery code").WithHint("look for a mistyped letter")
	}
	return code, nil
}
