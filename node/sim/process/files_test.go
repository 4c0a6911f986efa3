//go:build linux

package process_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"rushlight/node/api"
	"rushlight/protocol/suite"
)

// received is how many bytes have come to a namespace over its wire, whoever
// has died there meanwhile.
func received(t testing.TB, space string) int64 {
	t.Helper()
	out, err := exec.Command("ip", "netns", "exec", space, "cat", "/sys/class/net/wire0/statistics/rx_bytes").Output()
	if err != nil {
		t.Skip("this machine doesn't count what a namespace receives: ", err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// fileOf makes a file to be sent.
func fileOf(t testing.TB, size int) (path string, content []byte) {
	t.Helper()
	content = make([]byte, size)
	suite.Random(content)
	path = filepath.Join(t.TempDir(), "file.bin")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, content
}

// have is how much of the newest file of a conversation is there.
func (d *daemon) have(with *daemon) (id string, n int64) {
	d.t.Helper()
	var res struct{ Messages []api.Message }
	d.call("read", obj{"who": with.account, "peek": true}, &res)
	for _, m := range res.Messages {
		if len(m.Files) > 0 {
			id, n = m.ID, m.Files[0].Have
		}
	}
	return id, n
}

// TestFileSurvives sends a file while the recipient is killed, the sender is
// killed, and both get new addresses: it comes whole, and little more goes over
// the wire than the file. It needs root and Debian's iproute2.
func TestFileSurvives(t *testing.T) {
	t.Parallel()
	const size = 24 << 20
	names := newLAN(t, "rl-filea", "rl-fileb")
	slow := exec.Command("ip", "netns", "exec", names[0], "tc", "qdisc", "add", "dev", "wire0", "root", "tbf", "rate", "32mbit", "burst", "256kb", "latency", "50ms")
	if out, err := slow.CombinedOutput(); err != nil {
		t.Skipf("this machine can't make a wire slow: %s", out)
	}
	a := startDaemon(t, &daemon{space: names[0]}, "ann")
	b := startDaemon(t, &daemon{space: names[1]}, "bob")
	befriend(t, a, b)
	path, content := fileOf(t, size)
	before := received(t, names[1])
	a.call("send", obj{"recipient": b.account, "message": "a file", "attachments": []string{path}}, nil)
	var id string
	until := func(part int64) {
		t.Helper()
		b.until("more of the file is there", func() (so bool) {
			var n int64
			id, n = b.have(a)
			return n >= part*size/8
		})
	}
	for i, happens := range []func(){
		func() { b.kill(); b.start() },
		func() { a.kill(); a.start() },
		func() { move(t, names, 2) },
		func() { a.kill(); b.kill(); move(t, names, 3); b.start(); a.start() },
	} {
		until(int64(i) + 2)
		_, was := b.have(a)
		if was == size && i < 2 {
			t.Skip("it was there too soon: this machine is too slow to see a part of it")
		}
		happens()
		// What was there is known again.
		until(min(was*8/size, 8))
	}
	var res struct{ Files []api.Saved }
	b.until("the file is saved", func() bool {
		return b.try("save", obj{"id": id, "path": t.TempDir(), "timeout": "30s"}, &res) == nil && len(res.Files) == 1
	})
	got, err := os.ReadFile(res.Files[0].Path)
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes were saved: %v", len(got), err)
	}
	came := received(t, names[1]) - before
	t.Logf("%.1f MiB came over the wire for a file of %.1f MiB", float64(came)/(1<<20), float64(size)/(1<<20))
	if came < size {
		t.Error("less came than the file: nothing was counted")
	}
	if came > size*3/2 {
		t.Error("much was sent again")
	}
}
