// Command rushlight is the whole program: the daemon, and every command that
// talks to it. Commands hold no state of their own; what they print and how
// they exit is described in their help and doesn't change.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"rushlight/node/api"
	"rushlight/node/media"
	"rushlight/storage/keyfile"
)

// version is set by the build of a release.
var version string

func main() {
	keyfile.RunChildIfAsked()
	media.RunChildIfAsked()
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// app is one run of the program.
type app struct {
	in       io.Reader
	out, err io.Writer

	dir            string
	json           bool
	passphraseFile string
	logLevel       string

	dirErr  error // why dir is empty
	running bool  // the command line made sense: what fails now is not its fault
}

// run executes one command line and returns the exit code.
func run(args []string, in io.Reader, out, errOut io.Writer) int {
	a := &app{in: in, out: out, err: errOut}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	if !a.running {
		// A mistake may come before the flag that says how to report it.
		a.json = a.json || slices.Contains(beforeDashes(args), "--json")
		err = usageError(cmd, err)
	}
	return a.fail(err)
}

func beforeDashes(args []string) []string {
	if i := slices.Index(args, "--"); i >= 0 {
		return args[:i]
	}
	return args
}

// usageError turns what cobra found wrong with the line of a command into an Error.
func usageError(cmd *cobra.Command, err error) error {
	if _, ok := errors.AsType[*api.Error](err); ok {
		return err
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	hint := "see: " + cmd.CommandPath() + " --help"
	if !cmd.HasParent() {
		hint = "see: rushlight help"
	}
	return api.Errorf(api.CodeUsage, "%s", text).WithHint(hint)
}

// failure is an error with what a program may want to know besides.
type failure struct {
	err   error
	extra map[string]any // further keys beside "error" under --json
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// fail reports err as the interface says and returns the exit code.
func (a *app) fail(err error) int {
	e := api.AsError(err)
	if e.Code == api.CodeNoDaemon && e.Hint == "" {
		hint := "start it with: " + a.upCommand()
		if a.hasOnlyRelay() {
			hint = "a relay keeps its files here; see: rushlight relay --help"
		}
		e = e.WithHint(hint)
	}
	if a.json {
		v := map[string]any{}
		if f, ok := errors.AsType[*failure](err); ok {
			for key, value := range f.extra {
				v[key] = value
			}
		}
		v["error"] = e
		if a.printJSON(v) == nil {
			return api.ExitCode(e.Code)
		}
	}
	fmt.Fprintf(a.err, "rushlight: %s\n", clean(e.Message))
	if e.Hint != "" {
		fmt.Fprintf(a.err, "  %s\n", clean(e.Hint))
	}
	return api.ExitCode(e.Code)
}

// hasOnlyRelay reports whether the directory is a relay's and no profile.
func (a *app) hasOnlyRelay() bool {
	_, err := os.Stat(filepath.Join(a.dir, relayDir))
	return err == nil && !keyfile.Exists(keyDir(a.dir))
}

// upCommand is the command that starts this profile's daemon.
func (a *app) upCommand() string {
	if d, err := defaultDir(); err == nil && d == a.dir {
		return "rushlight up"
	}
	return "rushlight up --dir " + quote(a.dir)
}

// quote writes s for a shell.
func quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:=@%,\\") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

const rootHelp = `Rushlight is a messenger without servers: messages go from device to device,
encrypted end to end, and nobody can switch it off.

The daemon ("rushlight up") owns a profile; all other commands talk to it.

WHO is the name you gave a contact, an account id, or the first 8 or more
characters of one. D is a time such as 30s, 5m, 12h, 7d or 2w.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no daemon is running,
4 timed out, 5 refused.`

const rootExample = `  rushlight up                      start; the first time this makes your identity
  rushlight invite                  make a link, and give it to one person
  rushlight add rushlight:… --as bob
  rushlight send bob "Hello"
  rushlight read bob`

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:           "rushlight",
		Short:         "A messenger without servers",
		Long:          rootHelp,
		Example:       rootExample,
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if err := a.prepare(); err != nil {
				return err
			}
			a.running = true
			return nil
		},
	}
	f := root.PersistentFlags()
	f.StringVar(&a.dir, "dir", "", "profile directory (default $RUSHLIGHT_DIR, else the system's place for data)")
	f.BoolVar(&a.json, "json", false, "print one JSON value and nothing else")
	f.StringVar(&a.passphraseFile, "passphrase-file", "", "file with the passphrase (default $RUSHLIGHT_PASSPHRASE_FILE, the system's keyring, or ask)")
	f.StringVar(&a.logLevel, "log-level", "warn", "debug, info, warn or error")
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	upFlags := addUpFlags(root)
	root.RunE = func(cmd *cobra.Command, _ []string) error { return a.up(cmd.Context(), *upFlags) }
	root.AddCommand(
		upCommand(a), relayCommand(a), statusCommand(a), relaysCommand(a), idCommand(a),
		inviteCommand(a), addCommand(a), contactsCommand(a), renameCommand(a), removeCommand(a), verifyCommand(a),
		requestsCommand(a),
		editCommand(a, "approve", "Make a contact of somebody who asked", "Approved."),
		editCommand(a, "decline", "Forget somebody who asked", "Declined."),
		editCommand(a, "block", "Take nothing more from a contact; they are not told", "Blocked."),
		editCommand(a, "unblock", "Undo block", "Unblocked."),
		sendCommand(a), previewCommand(a), settingsCommand(a), readCommand(a), saveCommand(a), transfersCommand(a), watchCommand(a), deleteCommand(a), clockCommand(a),
		editMessageCommand(a), unsendCommand(a), reactCommand(a), timerCommand(a), conversationsCommand(a), conversationCommand(a), searchCommand(a),
		lockCommand(a), unlockCommand(a), passphraseCommand(a), wipeCommand(a),
		backupCommand(a), restoreCommand(a),
		pageCommand(a), tokenCommand(a), checkCommand(a), rpcCommand(a), versionCommand(a), manCommand(),
	)
	return root
}

// prepare checks the global flags.
func (a *app) prepare() error {
	if a.dir == "" {
		a.dir, a.dirErr = defaultDir()
	}
	if a.dirErr == nil {
		a.dir, a.dirErr = filepath.Abs(a.dir)
	}
	_, err := a.level()
	return err
}

// defaultDir is the profile directory when no flag names one.
func defaultDir() (string, error) {
	if d := os.Getenv("RUSHLIGHT_DIR"); d != "" {
		return filepath.Abs(d)
	}
	var base string
	switch runtime.GOOS {
	case "windows":
		base = os.Getenv("LocalAppData")
	case "darwin":
		if home, err := os.UserHomeDir(); err == nil {
			base = filepath.Join(home, "Library", "Application Support")
		}
	default:
		base = os.Getenv("XDG_DATA_HOME")
		if home, err := os.UserHomeDir(); err == nil && !filepath.IsAbs(base) {
			base = filepath.Join(home, ".local", "share")
		}
	}
	if base == "" {
		return "", api.Errorf(api.CodeUsage, "it isn't known where this profile is").WithHint("say where with --dir DIR, or set RUSHLIGHT_DIR")
	}
	return filepath.Join(base, "rushlight"), nil
}

// versionText is the release, or what the build knows of itself.
func versionText() string {
	if version != "" {
		return version
	}
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" && b.Main.Version != "(devel)" {
		return b.Main.Version
	}
	return "devel"
}
