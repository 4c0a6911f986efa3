package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"rushlight/node/api"
	"rushlight/node/media"
	"rushlight/storage/keyfile"
)

func TestMain(m *testing.M) {
	keyfile.RunChildIfAsked() // the child is this binary too
	media.RunChildIfAsked()
	// Scripts wait most of the time: more of them at once than processors.
	_ = flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0)))
	testscript.Main(m, map[string]func(){
		"rushlight": func() {
			hashing = keyfile.TestParams
			main()
		},
	})
}

// TestScripts runs the program where no daemon is needed.
func TestScripts(t *testing.T) { runScripts(t, "testdata") }

// TestEndToEnd runs daemons, and people who use them.
func TestEndToEnd(t *testing.T) { runScripts(t, filepath.Join("testdata", "e2e")) }

func runScripts(t *testing.T, dir string) {
	t.Helper()
	docs, err := filepath.Abs("docs")
	if err != nil {
		t.Fatal(err)
	}
	bots := t.TempDir()
	if strings.HasSuffix(dir, "e2e") {
		build := exec.CommandContext(t.Context(), "go", "build", "-o", bots, "./docs/bots/echo")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("GORACE", "atexit_sleep_ms=0") // else every process sleeps a second
			e.Setenv("DOCS", docs)
			e.Setenv("ECHO", filepath.Join(bots, "echo"))
			e.Setenv("CI", "1") // whoever runs the tests isn't notified of what their daemons hear
			e.Setenv("XDG_DATA_HOME", filepath.Join(e.WorkDir, "data"))
			return os.WriteFile(filepath.Join(e.WorkDir, "pass"), []byte("correct horse\n"), 0o600)
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "root":
				return os.Getuid() == 0, nil
			case "unixmodes":
				return runtime.GOOS != "windows", nil
			}
			return false, errors.New("unknown condition")
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"photo":   photo,
			"width":   width,
			"ready":   awaitReady,
			"stopped": awaitStopped,
			"capture": capture,
			"repeat":  repeat,
			"write":   write,
			"damage":  damage,
			"peek":    peek,
			"rpcfake": rpcFake,
			"newer":   newer,
			"empty":   awaitText(false),
			"shows":   awaitText(true),
			"echoed":  awaitEcho,
			"locks":   awaitLock,
			"watched": awaitWatch,
			"written": awaitFile,
			"asleep":  asleep,
			"certain": awaitCertain,
		},
	})
}

// exits CODE PROGRAM ARG… runs a program that must exit with the code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code program [arg...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

const patience = 90 * time.Second

// poll calls done until it is true.
func poll(ts *testscript.TestScript, what string, done func(ctx context.Context) bool) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.Fatalf("waited too long until %s", what)
		}
	}
}

// ready DIR waits until the daemon of the profile answers.
func awaitReady(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	poll(ts, "the daemon is ready", func(ctx context.Context) bool {
		c, err := api.Dial(ctx, dir)
		if err != nil {
			return false
		}
		defer c.Close()
		var s api.Status
		return c.Call(ctx, "status", nil, &s) == nil && s.Ready
	})
}

// stopped DIR waits until there is no daemon.
func awaitStopped(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	poll(ts, "the daemon has stopped", func(ctx context.Context) bool {
		_, err := os.Stat(filepath.Join(dir, api.SocketName))
		return errors.Is(err, os.ErrNotExist)
	})
}

// capture VAR REGEXP [FILE] sets a variable to the first group of what the
// expression finds in stdout.
func capture(ts *testscript.TestScript, _ bool, args []string) {
	file := "stdout"
	if len(args) == 3 {
		file = args[2]
	}
	m := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile(file))
	if m == nil {
		ts.Fatalf("no match for %s", args[1])
	}
	ts.Setenv(args[0], m[1])
}

// repeat N TEXT FILE writes a file.
func repeat(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), bytes.Repeat([]byte(args[1]), n), 0o600))
}

// write FILE TEXT writes a file that others can't read.
func write(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(args[1]+"\n"), 0o600))
}

// damage FILE HOW copies a file to "damaged", and flips a bit in the middle of
// it, cuts its end off or adds to it.
func damage(ts *testscript.TestScript, _ bool, args []string) {
	b := []byte(ts.ReadFile(args[0]))
	switch args[1] {
	case "flip":
		b[len(b)/2] ^= 1
	case "cut":
		b = b[:len(b)-100]
	case "grow":
		b = append(b, 0)
	}
	ts.Check(os.WriteFile(ts.MkAbs("damaged"), b, 0o600))
}

// peek DIR WHO N waits until the conversation has N messages, unread or not.
func peek(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	poll(ts, "the messages have arrived", func(ctx context.Context) bool {
		c, err := api.Dial(ctx, dir)
		if err != nil {
			return false
		}
		defer c.Close()
		var r struct{ Messages []json.RawMessage }
		return c.Call(ctx, "read", map[string]any{"who": args[1], "peek": true}, &r) == nil && len(r.Messages) >= n
	})
}

// shows DIR WHO TEXT waits until what read prints of the conversation holds a
// text; empty waits until it doesn't.
func awaitText(there bool) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		dir := ts.MkAbs(args[0])
		poll(ts, "the messages are as they should be", func(ctx context.Context) bool {
			c, err := api.Dial(ctx, dir)
			if err != nil {
				return false
			}
			defer c.Close()
			var r json.RawMessage
			return c.Call(ctx, "read", map[string]any{"who": args[1], "peek": true}, &r) == nil && bytes.Contains(r, []byte(args[2])) == there
		})
	}
}

// echoed DIR WHO TEXT waits until the contact has said a text.
func awaitEcho(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	poll(ts, "the contact has said it", func(ctx context.Context) bool {
		c, err := api.Dial(ctx, dir)
		if err != nil {
			return false
		}
		defer c.Close()
		var r struct{ Messages []api.Message }
		return c.Call(ctx, "read", map[string]any{"who": args[1], "peek": true}, &r) == nil &&
			slices.ContainsFunc(r.Messages, func(m api.Message) bool { return !m.Mine && m.Text == args[2] })
	})
}

// locks DIR waits until the profile is locked.
func awaitLock(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	poll(ts, "the profile is locked", func(ctx context.Context) bool {
		c, err := api.Dial(ctx, dir)
		if err != nil {
			return false
		}
		defer c.Close()
		var s api.Status
		return c.Call(ctx, "status", nil, &s) == nil && s.Locked
	})
}

// watched DIR waits until somebody is connected to the daemon of the profile,
// where the system tells.
func awaitWatch(ts *testscript.TestScript, _ bool, args []string) {
	const connected = " 03 " // in the column of states
	socket := filepath.Join(ts.MkAbs(args[0]), api.SocketName)
	poll(ts, "the daemon is watched", func(context.Context) bool {
		b, err := os.ReadFile("/proc/net/unix")
		for line := range strings.Lines(string(b)) {
			if strings.Contains(line, connected) && strings.HasSuffix(strings.TrimSpace(line), " "+socket) {
				return true
			}
		}
		return err != nil
	})
}

// certain DIR waits until the profile's clock is in doubt no more.
func awaitCertain(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	poll(ts, "the time is certain", func(ctx context.Context) bool {
		c, err := api.Dial(ctx, dir)
		if err != nil {
			return false
		}
		defer c.Close()
		var s api.Status
		return c.Call(ctx, "status", nil, &s) == nil && !s.Clock.Doubt
	})
}

// rpcFake DIR leaves a socket behind on which nobody listens.
func rpcFake(ts *testscript.TestScript, _ bool, args []string) {
	ln, err := net.Listen("unix", filepath.Join(ts.MkAbs(args[0]), api.SocketName))
	ts.Check(err)
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ts.Check(ln.Close())
}
