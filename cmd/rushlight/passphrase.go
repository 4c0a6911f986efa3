package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/zalando/go-keyring"
	"golang.org/x/term"

	"rushlight/node/api"
	"rushlight/storage/keyfile"
)

// A passphrase comes from the first of these that is there: --passphrase-file,
// $RUSHLIGHT_PASSPHRASE_FILE, the system's keyring, the terminal.

const keyringService = "rushlight"

// keyringTime bounds how long the keyring may take: it may ask a person.
const keyringTime = 2 * time.Minute

var errNoPassphrase = api.Errorf(api.CodeNoPassphrase, "there is no way to get the passphrase").
	WithHint("give --passphrase-file FILE, or start it in a terminal")

// passphrase gets the passphrase of the profile, or on the first run a new
// one. commit keeps a new one where it belongs; it is to be called before the
// key file is made.
func (a *app) passphrase(ctx context.Context, first bool) (pass []byte, commit func() error, err error) {
	nothing := func() error { return nil }
	file := a.passphraseFile
	if file == "" {
		file = os.Getenv("RUSHLIGHT_PASSPHRASE_FILE")
	}
	if file != "" {
		pass, err = a.fromFile(file)
		return pass, nothing, err
	}
	if !first {
		if pass := fromKeyring(ctx, a.dir); pass != nil {
			return pass, nothing, nil
		}
	}
	fd, ok := terminal(a.in)
	if ok {
		pass, err = a.ask(ctx, fd, first)
		if err != nil || len(pass) > 0 {
			return pass, nothing, err
		}
	}
	if first && haveKeyring() {
		text := rand.Text()
		return []byte(text), func() error { return toKeyring(ctx, a.dir, text) }, nil
	}
	if ok {
		return nil, nil, api.Errorf(api.CodeNoPassphrase, "the passphrase is empty")
	}
	return nil, nil, errNoPassphrase
}

// fromFile reads a passphrase file: one line end at its end is left out.
func (a *app) fromFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, api.Errorf(api.CodeNoPassphrase, "the passphrase file can't be read: %v", bareFile(err))
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, keyfile.MaxPassphrase+3))
	if err != nil {
		return nil, api.Errorf(api.CodeNoPassphrase, "the passphrase file can't be read: %v", bareFile(err))
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	switch {
	case len(b) == 0:
		return nil, api.Errorf(api.CodeNoPassphrase, "the passphrase file is empty")
	case len(b) > keyfile.MaxPassphrase:
		return nil, errLongPassphrase
	}
	if fi, err := f.Stat(); err == nil && runtime.GOOS != "windows" && fi.Mode().IsRegular() && fi.Mode().Perm()&0o044 != 0 {
		fmt.Fprintf(a.err, "rushlight: others can read the passphrase file; better: chmod 600 %s\n", quote(name))
	}
	return b, nil
}

var errLongPassphrase = api.Errorf(api.CodeUsage, "the passphrase is longer than %d bytes", keyfile.MaxPassphrase)

// bareFile takes the path out of a file error.
func bareFile(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// terminal gives the descriptor of a stream on which there is a person.
func terminal(stream any) (int, bool) {
	f, ok := stream.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	return int(f.Fd()), true
}

// ask asks for a passphrase, twice if it is new. A new one may be empty.
func (a *app) ask(ctx context.Context, fd int, first bool) ([]byte, error) {
	if !first {
		defer a.leaving(ctx, fd)()
		return a.readPassphrase(fd, "Passphrase: ")
	}
	fmt.Fprintln(a.err, "This makes a new profile. Choose a passphrase to protect it on this disk.")
	if haveKeyring() {
		fmt.Fprintln(a.err, "Leave it empty to have a random one kept in the system's keyring.")
	}
	return a.askTwice(ctx, fd)
}

// askTwice asks for a new passphrase, which may be empty.
func (a *app) askTwice(ctx context.Context, fd int) ([]byte, error) {
	defer a.leaving(ctx, fd)()
	b, err := a.readPassphrase(fd, "New passphrase: ")
	if err != nil || len(b) == 0 {
		return b, err
	}
	again, err := a.readPassphrase(fd, "The same again: ")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(b, again) {
		return nil, api.Errorf(api.CodeUsage, "the two are not the same")
	}
	return b, nil
}

// leaving ends the process with ctx: reading from a terminal can't be stopped
// in any other way.
func (a *app) leaving(ctx context.Context, fd int) (stop func() bool) {
	state, err := term.GetState(fd)
	if err != nil {
		return func() bool { return false }
	}
	return context.AfterFunc(ctx, func() {
		_ = term.Restore(fd, state)
		fmt.Fprintln(a.err)
		os.Exit(1)
	})
}

func (a *app) readPassphrase(fd int, prompt string) ([]byte, error) {
	fmt.Fprint(a.err, prompt)
	b, err := term.ReadPassword(fd)
	fmt.Fprintln(a.err)
	switch {
	case err != nil:
		return nil, api.Errorf(api.CodeNoPassphrase, "no passphrase was given")
	case len(b) > keyfile.MaxPassphrase:
		return nil, errLongPassphrase
	}
	return b, nil
}

// haveKeyring tells whether there is a keyring to speak of. On Linux, asking
// for one that isn't there would start a bus.
func haveKeyring() bool {
	switch runtime.GOOS {
	case "windows", "darwin":
		return true
	}
	if os.Getenv("DBUS_SESSION_BUS_ADDRESS") != "" {
		return true
	}
	run := os.Getenv("XDG_RUNTIME_DIR")
	if run == "" {
		return false
	}
	_, err := os.Stat(filepath.Join(run, "bus"))
	return err == nil
}

// keyringID names the profile in the keyring, wherever its directory moves.
func keyringID(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(keyDir(dir), "id"))
	return strings.TrimSpace(string(b)), err
}

// fromKeyring returns nil if there is no keyring or no passphrase in it.
func fromKeyring(ctx context.Context, dir string) []byte {
	id, err := keyringID(dir)
	if err != nil || id == "" || !haveKeyring() {
		return nil
	}
	var pass string
	err = inTime(ctx, func() (err error) {
		pass, err = keyring.Get(keyringService, id)
		return err
	})
	if err != nil || pass == "" {
		return nil
	}
	return []byte(pass)
}

// toKeyring keeps the passphrase of a new profile.
func toKeyring(ctx context.Context, dir, pass string) error {
	id := rand.Text()
	if err := os.WriteFile(filepath.Join(keyDir(dir), "id"), []byte(id+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing the profile: %w", bareFile(err))
	}
	if err := inTime(ctx, func() error { return keyring.Set(keyringService, id, pass) }); err != nil {
		return api.Errorf(api.CodeNoPassphrase, "the system's keyring can't be used").WithHint(errNoPassphrase.Hint)
	}
	return nil
}

// inTime gives up waiting for f after a while; f itself can't be stopped.
func inTime(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, keyringTime)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
