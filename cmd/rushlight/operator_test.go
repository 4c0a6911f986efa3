package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"
)

// relayFile writes a configuration and returns its path.
func relayFile(t *testing.T, dir, name string, lines ...string) string {
	t.Helper()
	path := filepath.Join(dir, name+".toml")
	lines = append(lines, fmt.Sprintf("dir = %q", filepath.Join(dir, name)), `listen = ["/ip4/127.0.0.1/tcp/0"]`, "dht = false")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// freePort is an address on loopback that nobody listens at.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestRelayHosting gets a mailbox at relays that ask for a token, for a place on
// a list, and for work, each of which first refuses.
func TestRelayHosting(t *testing.T) {
	if testing.Short() {
		t.Skip("starts daemons")
	}
	dir := t.TempDir()
	pass := filepath.Join(dir, "pass")
	if err := os.WriteFile(pass, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ann := &person{t: t, dir: filepath.Join(dir, "ann"), pass: pass}
	ann.up()
	add := func(addrs []string, more ...string) {
		t.Helper()
		ann.run(slices.Concat([]string{"relays", "add"}, addrs, more)...)
	}
	type mailbox struct{ Peer, Key, State, Why string }
	at := func(addrs []string) (m mailbox) {
		t.Helper()
		var out struct{ Mailboxes []mailbox }
		if err := json.Unmarshal([]byte(ann.run("relays", "list", "--json")), &out); err != nil {
			t.Fatal(err)
		}
		for _, m = range out.Mailboxes {
			if strings.HasSuffix(addrs[0], m.Peer) {
				return m
			}
		}
		t.Fatal("the relay isn't in the list")
		return m
	}
	ok := func(addrs []string) func() bool { return func() bool { return at(addrs).State == "ok" } }

	tokens := relayFile(t, dir, "tokens", `hosting = "token"`, `status = ""`)
	addrs, _ := runRelay(t, "--config", tokens)
	add(addrs)
	ann.until("refused", func() bool { return strings.Contains(at(addrs).Why, "token") })
	made, err := exec.Command("rushlight", "relay", "token", "--config", tokens).Output()
	if err != nil {
		t.Fatal(err)
	}
	add(addrs, "--token", strings.TrimSpace(string(made)))
	ann.until("there", ok(addrs))

	list := relayFile(t, dir, "list", `hosting = "list"`, `status = ""`)
	addrs, stop := runRelay(t, "--config", list)
	add(addrs)
	ann.until("refused", func() bool { return strings.Contains(at(addrs).Why, "refused") })
	key := at(addrs).Key
	if !strings.Contains(ann.run("relays", "list"), "its key: "+key) {
		t.Error("the list doesn't show the key of the mailbox")
	}
	stop(syscall.SIGTERM)
	addrs, _ = runRelay(t, "--config", relayFile(t, dir, "list", `hosting = "list"`, `status = ""`, fmt.Sprintf("mailboxes = [%q]", key)))
	add(addrs)
	ann.until("there", ok(addrs))

	addrs, _ = runRelay(t, "--config", relayFile(t, dir, "work", `hosting = "work"`, "host_effort = 4", `status = ""`))
	add(addrs)
	ann.until("there", ok(addrs))
}

// TestRelayOperator looks after a relay: its status, metrics, a notice, a stop
// and starts.
func TestRelayOperator(t *testing.T) {
	if testing.Short() {
		t.Skip("starts relays")
	}
	dir := t.TempDir()
	status := freePort(t)
	config := relayFile(t, dir, "relay", fmt.Sprintf("status = %q", status), "disk_cap_mib = 512")
	addrs, stop := runRelay(t, "--config", config)
	out, err := exec.Command("rushlight", "relay", "status", "--config", config).CombinedOutput()
	if err != nil {
		t.Fatal(err, string(out))
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	for _, line := range lines {
		if utf8.RuneCountInString(line) > 80 {
			t.Errorf("too long for a terminal: %q", line)
		}
	}
	if len(lines) > 24 || !strings.Contains(string(out), "serving") {
		t.Errorf("%s", out)
	}

	resp, err := http.Get("http://" + status + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := io.ReadAll(resp.Body)
	if cerr := resp.Body.Close(); err != nil || cerr != nil {
		t.Fatal(err, cerr)
	}
	for _, want := range []string{"rushlight_relay_room 1\n", "rushlight_relay_disk_cap_bytes 5.36870912e+08\n", "# TYPE rushlight_relay_damaged_total counter\n"} {
		if !strings.Contains(string(metrics), want) {
			t.Errorf("the metrics lack %q", want)
		}
	}

	const object = "00112233445566778899aabbccddeeff"
	out, err = exec.Command("rushlight", "relay", "erase", object, "--config", config).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "a relay runs in this directory") {
		t.Errorf("erasing under a relay that runs: %v %s", err, out)
	}
	stop(syscall.SIGTERM)
	if out, err = exec.Command("rushlight", "relay", "erase", object, "--config", config).CombinedOutput(); err != nil || string(out) != "0 deleted\n" {
		t.Errorf("%v %s", err, out)
	}
	peer := addrs[0][strings.LastIndex(addrs[0], "/")+1:]
	for _, how := range []os.Signal{os.Kill, syscall.SIGTERM} {
		addrs, stop = runRelay(t, "--config", config)
		if !strings.HasSuffix(addrs[0], peer) {
			t.Error("another address after a restart")
		}
		stop(how)
	}
}
