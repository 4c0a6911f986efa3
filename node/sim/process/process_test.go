//go:build linux

// Package process runs the real binary: two daemons in two processes, over
// real sockets, killed at random moments and measured.
package process_test

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"rushlight/node/api"
	"rushlight/node/media"
	"rushlight/storage/keyfile"
)

// program is the program under test, built once.
var program string

func TestMain(m *testing.M) {
	keyfile.RunChildIfAsked()
	media.RunChildIfAsked()
	_ = os.Setenv("CI", "1") // the daemons notify nobody
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "rushlight-process-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		if served, code := serveChild(); served {
			return code
		}
		program = filepath.Join(dir, "rushlight")
		build := exec.Command("go", "build", "-o", program, "rushlight/cmd/rushlight")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building: %v\n%s", err, out)
			return 1
		}
		// Tests that run beside each other mostly wait.
		flag.Parse()
		if err := flag.Set("test.parallel", "6"); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return m.Run()
	}())
}

// daemon is one running program.
type daemon struct {
	t       testing.TB
	dir     string
	flags   []string // how it listens
	space   string   // network namespace it runs in, empty for this one
	env     []string // what its environment has more
	cmd     *exec.Cmd
	exited  chan struct{}
	account string
	client  *api.Client
	toReady time.Duration
}

func newDaemon(t testing.TB, name string) *daemon {
	t.Helper()
	port := freePort(t)
	return startDaemon(t, &daemon{
		flags: []string{
			"--no-lan",
			"--listen", fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", port),
			"--listen", fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", port),
		},
	}, name)
}

func startDaemon(t testing.TB, d *daemon, name string) *daemon {
	t.Helper()
	d.t, d.dir = t, filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.pass(), []byte("correct horse battery staple\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.start("--name", name)
	t.Cleanup(d.kill)
	return d
}

func (d *daemon) pass() string { return filepath.Join(d.dir, "..", "passphrase") }

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// start runs the daemon until it is ready.
func (d *daemon) start(more ...string) {
	d.t.Helper()
	args := slices.Concat([]string{"up", "--dir", d.dir, "--json", "--no-open", "--passphrase-file", d.pass()}, d.flags, more)
	d.cmd = exec.Command(program, args...)
	if d.space != "" {
		d.cmd = exec.Command("ip", append([]string{"netns", "exec", d.space, program}, args...)...)
	}
	d.cmd.Env = append(os.Environ(), d.env...)
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	logs, err := os.OpenFile(filepath.Join(d.dir, "..", filepath.Base(d.dir)+".log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer logs.Close()
	d.cmd.Stderr = logs
	began := time.Now()
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	r := bufio.NewReader(out)
	line, err := r.ReadBytes('\n')
	if err != nil {
		text, _ := os.ReadFile(logs.Name())
		d.t.Fatalf("the daemon did not get ready: %v\n%s", err, text)
	}
	d.toReady = time.Since(began)
	d.exited = make(chan struct{})
	cmd, exited := d.cmd, d.exited
	go func() {
		_, _ = io.Copy(io.Discard, r)
		_ = cmd.Wait()
		close(exited)
	}()
	var ready struct{ Ready bool }
	if err := json.Unmarshal(line, &ready); err != nil || !ready.Ready {
		d.t.Fatalf("the first line is %q", line)
	}
	if d.client, err = api.Dial(context.Background(), d.dir); err != nil {
		d.t.Fatal(err)
	}
	if d.account == "" {
		var self api.Self
		d.call("id", nil, &self)
		d.account = self.Account
	}
}

// kill ends the daemon the hard way.
func (d *daemon) kill() {
	if d.cmd == nil {
		return
	}
	_ = d.cmd.Process.Signal(syscall.SIGKILL)
	<-d.exited
	d.client.Close()
	d.cmd = nil
}

func (d *daemon) try(method string, params, result any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	return d.client.Call(ctx, method, params, result)
}

func (d *daemon) call(method string, params, result any) {
	d.t.Helper()
	if err := d.try(method, params, result); err != nil {
		d.t.Fatalf("%s: %v", method, err)
	}
}

// befriend makes b accept an invite of a.
func befriend(t testing.TB, a, b *daemon) {
	t.Helper()
	var inv api.Invite
	a.call("invite", nil, &inv)
	var added struct{ Contact api.Contact }
	b.call("add", map[string]any{"link": inv.Link}, &added)
	if added.Contact.State != api.ContactApproved {
		t.Fatalf("contact is %+v", added.Contact)
	}
}

type obj = map[string]any

// send is one call of the method send.
func (d *daemon) send(to *daemon, text, key string) (id string, err error) {
	var res struct{ ID string }
	err = d.try("send", obj{"recipient": to.account, "message": text, "idempotencyKey": key}, &res)
	return res.ID, err
}

// drained waits until nothing is left to deliver.
func (d *daemon) drained() {
	d.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		var s api.Status
		d.call("status", nil, &s)
		if s.Outbox == 0 {
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("%d messages are still in the outbox", s.Outbox)
		}
		<-time.After(20 * time.Millisecond)
	}
}
