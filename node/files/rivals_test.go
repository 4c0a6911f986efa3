package files

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// rival is another program that brings a file from one process to another.
type rival struct {
	name    string
	send    []string // with the code and the file
	receive []string // with the code
}

// introduced is what a rival's sender says once its receiver may begin.
const introduced = "Wormhole code is"

// rivals are those that this machine has, all introduced by one server of its
// own. What is missing is said.
func rivals(b *testing.B) (out []rival) {
	b.Helper()
	const debian = "magic-wormhole, wormhole-william and python3-magic-wormhole-mailbox-server"
	server, err := exec.LookPath("twist3")
	if err == nil {
		err = exec.Command(server, "wormhole-mailbox", "--version").Run()
	}
	if err != nil {
		b.Log("compared with no other program: needs Debian's", debian)
		return nil
	}
	at, err := mailboxServer(b, server)
	if err != nil {
		b.Log("compared with no other program: their server doesn't start:", err)
		return nil
	}
	if path, err := exec.LookPath("wormhole"); err == nil {
		// They find each other directly: the relay is one that isn't there.
		args := []string{path, "--relay-url", at, "--transit-helper", "tcp:127.0.0.1:1"}
		out = append(out, rival{
			"wormhole", append(args[:5:5], "send", "--hide-progress", "--code"), append(args[:5:5], "receive", "--hide-progress", "--accept-file"),
		})
	} else {
		b.Log("not compared with magic-wormhole: needs Debian's magic-wormhole")
	}
	if path, err := exec.LookPath("wormhole-william"); err != nil {
		b.Log("not compared with wormhole-william: needs Debian's wormhole-william")
	} else if args, err := elsewhere(b, path); err != nil {
		b.Log("not compared with wormhole-william, which sends nothing where its relay can't be called: standing in for that:", err)
	} else {
		args = append(args, "--relay-url", at)
		n := len(args)
		out = append(out, rival{
			"william", append(args[:n:n], "send", "--hide-progress", "--code"), append(args[:n:n], "receive", "--hide-progress"),
		})
	}
	return out
}

var startsOn = regexp.MustCompile(`starting on (\d+)`)

// mailboxServer starts the server by which the rivals find each other.
func mailboxServer(b *testing.B, path string) (url string, err error) {
	b.Helper()
	cmd := exec.Command(path, "--log-format=text", "wormhole-mailbox", "--port=tcp:0:interface=127.0.0.1", "--channel-db=:memory:")
	cmd.Dir = b.TempDir()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if m := startsOn.FindStringSubmatch(lines.Text()); m != nil {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return "ws://127.0.0.1:" + m[1] + "/v1", nil
		}
	}
	return "", errors.New("it says no address")
}

// elsewhere is how to run wormhole-william so that its relay, which has a fixed
// name and which it wants to call before anything is sent, is somebody here who
// says nothing.
func elsewhere(b *testing.B, path string) ([]string, error) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.77:4001")
	if err != nil {
		return nil, err
	}
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			defer func() { _ = c.Close() }() //nolint:gocritic // they are few, and kept until the end
		}
	}()
	hosts := filepath.Join(b.TempDir(), "hosts")
	if err := os.WriteFile(hosts, []byte("127.0.0.1 localhost\n127.0.0.77 transit.magic-wormhole.io\n"), 0o600); err != nil {
		return nil, err
	}
	flag := "-m"
	if os.Getuid() != 0 {
		flag = "-rm"
	}
	args := []string{"unshare", flag, "sh", "-c", `mount --bind "$0" /etc/hosts && exec "$@"`, hosts}
	if out, err := exec.Command(args[0], append(args[1:], "true")...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return append(args, path), nil
}

// brings measures from the moment at which the receiver is begun until it has
// ended, and what both use of the processors.
func (r rival) brings(b *testing.B, path string, code string) spent {
	b.Helper()
	to := b.TempDir()
	st, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	send := exec.Command(r.send[0], append(r.send[1:len(r.send):len(r.send)], code, path)...)
	heard, says := io.Pipe()
	send.Stdout, send.Stderr = says, says
	if err := send.Start(); err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- send.Wait(); _ = says.Close() }()
	lines, said := bufio.NewScanner(heard), ""
	for lines.Scan() && !strings.Contains(lines.Text(), introduced) {
		said += lines.Text() + "\n"
	}
	if !strings.Contains(lines.Text(), introduced) {
		b.Fatalf("%s doesn't send: %s", r.name, said)
	}
	go func() { _, _ = io.Copy(io.Discard, heard) }()
	receive := exec.Command(r.receive[0], append(r.receive[1:len(r.receive):len(r.receive)], code)...)
	receive.Dir, receive.Stdin = to, strings.NewReader("y\n")
	began := time.Now()
	out, err := receive.CombinedOutput()
	took := time.Since(began)
	if err != nil {
		_ = send.Process.Kill()
		b.Fatalf("%s doesn't receive: %v: %s", r.name, err, out)
	}
	if err := <-ended; err != nil {
		b.Fatalf("%s: %v", r.name, err)
	}
	got := filepath.Join(to, filepath.Base(path))
	if have, err := os.Stat(got); err != nil || have.Size() != st.Size() {
		b.Fatalf("%s brought something else: %v", r.name, err)
	}
	_ = os.Remove(got)
	used := spent{wall: took}
	for _, p := range []*os.ProcessState{send.ProcessState, receive.ProcessState} {
		used.cpu += p.UserTime() + p.SystemTime()
	}
	return used
}

// rivalFile makes a file of so many bytes for them to send.
func rivalFile(b *testing.B, n int64) string {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "f"))
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(f, &endless{n: n}); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	return f.Name()
}

// race is the time that rivals take for a file. What they take for one byte,
// with starting and being introduced, is not counted.
type race struct {
	all          []rival
	large, small string
	least        map[string]spent // for one byte
	sum          map[string]spent
	rounds, runs int
}

func newRace(b *testing.B, size int64) *race {
	b.Helper()
	r := &race{all: rivals(b), least: map[string]spent{}, sum: map[string]spent{}}
	if len(r.all) > 0 {
		r.large, r.small = rivalFile(b, size), rivalFile(b, 1)
		r.tiny(b)
	}
	return r
}

func (r *race) bring(b *testing.B, x rival, path string) spent {
	b.Helper()
	r.runs++
	return x.brings(b, path, fmt.Sprintf("%d-one-two", r.runs))
}

// tiny measures what one byte takes.
func (r *race) tiny(b *testing.B) {
	b.Helper()
	for _, x := range r.all {
		if d, had := r.bring(b, x, r.small), r.least[x.name]; had.wall == 0 || d.wall < had.wall {
			r.least[x.name] = d
		}
	}
}

// round has each of them bring the file once.
func (r *race) round(b *testing.B) {
	b.Helper()
	r.tiny(b)
	r.rounds++
	for _, x := range r.all {
		d, before := r.bring(b, x, r.large), r.sum[x.name]
		r.sum[x.name] = spent{before.wall + d.wall, before.cpu + d.cpu}
	}
}

// took is what all rounds took for the file alone.
func (r *race) took(x rival) spent {
	sum, one := r.sum[x.name], r.least[x.name]
	for range r.rounds {
		sum.wall -= one.wall
		sum.cpu -= one.cpu
	}
	return spent{max(1, sum.wall), max(1, sum.cpu)}
}
