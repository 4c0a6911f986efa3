package files

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"rushlight/protocol/file"
	"rushlight/protocol/message"
)

// The other process of a measurement is this test binary, told so by the
// environment.
const (
	otherProcess = "RUSHLIGHT_FILES_SENDER" // its directory
	sizeOfFile   = "RUSHLIGHT_FILES_MIB"
)

const (
	bareProtocol = "/test/bare"
	sameProtocol = "/test/same"
)

// sizeMiB is how large a file is measured: 1024 for the figures.
func sizeMiB(otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(sizeOfFile)); err == nil {
		return n
	}
	return otherwise
}

// endless is a file of n bytes that costs nothing to read.
type endless struct{ n, at int64 }

func (e *endless) Read(b []byte) (int, error) {
	if e.at == e.n {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), e.n-e.at))
	for i := 0; i < n; i += 512 {
		b[i] = byte((e.at + int64(i)) >> 9)
	}
	e.at += int64(n)
	return n, nil
}

// TestSenderProcess is the other process. It says what it has, and serves it
// until its input ends.
func TestSenderProcess(t *testing.T) {
	dir := os.Getenv(otherProcess)
	if dir == "" {
		t.Skip("this is the other process of a measurement")
	}
	n := &node{t: t, e: newMemory(), dir: filepath.Join(dir, "files")}
	n.start()
	began := time.Now()
	in, err := n.cfg.Dir.Import(t.Context(), &endless{n: int64(sizeMiB(0)) << 20})
	if err != nil {
		t.Fatal(err)
	}
	sealing := time.Since(began)
	n.e.put(message.ID{1}, true, message.File{Name: "f", Size: in.Size, SHA256: in.SHA256, Key: in.Key, Root: in.Root})
	n.eventually(func() bool { _, s := n.Have(message.ID{1}, 0); return s == Done }, "it is noted")
	h := n.h.Libp2p()
	h.SetStreamHandler(bareProtocol, func(s network.Stream) {
		buf := make([]byte, file.Slot)
		for left := int64(in.Size); left > 0; left -= int64(len(buf)) {
			if _, err := s.Write(buf); err != nil {
				return
			}
		}
		_ = s.Close()
	})
	h.SetStreamHandler(sameProtocol, func(s network.Stream) {
		b, err := n.cfg.Dir.Open(in.Key, in.Size, in.Root)
		if err != nil {
			return
		}
		buf := make([]byte, file.Slot)
		for i := range b.Layout().Chunks() {
			p, err := b.ReadPart(buf, i, 0)
			if err != nil {
				return
			}
			if _, err := s.Write(p); err != nil {
				return
			}
		}
		_ = s.Close()
		_ = b.Close()
	})
	fmt.Printf("\nSENDER %s %s %x %x %x %d %d\n", h.ID(), h.Addrs()[0], in.Key, in.Root, in.SHA256, in.Size, sealing)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// sender is the other process, and its file.
type sender struct {
	info    peer.AddrInfo
	of      message.File
	sealing time.Duration // what it took to take the file in, once
	pid     int
	stop    func()
}

func newSender(t testing.TB, mib int) *sender {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestSenderProcess$", "-test.timeout", "30m")
	cmd.Env = append(os.Environ(), otherProcess+"="+t.TempDir(), sizeOfFile+"="+strconv.Itoa(mib))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &sender{pid: cmd.Process.Pid, stop: func() { _ = in.Close(); _ = cmd.Wait() }}
	t.Cleanup(s.stop)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) != 8 || f[0] != "SENDER" {
			continue
		}
		info, err := peer.AddrInfoFromString(f[2] + "/p2p/" + f[1])
		if err != nil {
			t.Fatal(err)
		}
		s.info = *info
		for i, into := range [][]byte{s.of.Key[:], s.of.Root[:], s.of.SHA256[:]} {
			if _, err := hex.Decode(into, []byte(f[3+i])); err != nil {
				t.Fatal(err)
			}
		}
		s.of.Name = "f"
		s.of.Size, _ = strconv.ParseUint(f[6], 10, 64)
		ns, _ := strconv.ParseInt(f[7], 10, 64)
		s.sealing = time.Duration(ns)
		go func() { _, _ = io.Copy(io.Discard, out) }()
		return s
	}
	t.Fatal("the other process did not begin")
	return nil
}

// bare reads the same number of bytes from a stream.
func (n *node) bare(s *sender) time.Duration {
	n.t.Helper()
	began := time.Now()
	st, err := n.h.Libp2p().NewStream(n.t.Context(), s.info.ID, bareProtocol)
	if err != nil {
		n.t.Fatal(err)
	}
	buf := make([]byte, file.Slot)
	for {
		if _, err := io.ReadFull(st, buf); err != nil {
			return time.Since(began)
		}
	}
}

// same reads the sealed chunks from a stream, hashes, opens, hashes and writes
// them, one after another, with nothing else.
func (n *node) same(s *sender) time.Duration {
	n.t.Helper()
	began := time.Now()
	st, err := n.h.Libp2p().NewStream(n.t.Context(), s.info.ID, sameProtocol)
	if err != nil {
		n.t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(n.t.TempDir(), "same"))
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = os.Remove(out.Name()) }()
	defer func() { _ = out.Close() }()
	l, _ := file.NewLayout(s.of.Size)
	sum := sha256.New()
	buf := make([]byte, file.Slot)
	for i := range l.Chunks() {
		p := buf[:l.Sealed(i)]
		if _, err := io.ReadFull(st, p); err != nil {
			n.t.Fatal(err)
		}
		if file.NameOf(p) == (file.Name{}) {
			n.t.Fatal("no name")
		}
		if _, err := out.Write(p); err != nil {
			n.t.Fatal(err)
		}
		plain, err := l.Open(p[:0], s.of.Key, i, p)
		if err != nil {
			n.t.Fatal(err)
		}
		sum.Write(plain)
	}
	if err := out.Sync(); err != nil {
		n.t.Fatal(err)
	}
	if [32]byte(sum.Sum(nil)) != s.of.SHA256 {
		n.t.Fatal("another file")
	}
	return time.Since(began)
}

// ours fetches the file.
func (n *node) ours(s *sender, id message.ID) time.Duration {
	n.t.Helper()
	began := time.Now()
	n.e.put(id, false, s.of)
	if err := n.waitFor(id); err != nil {
		n.t.Fatal(err)
	}
	d := time.Since(began)
	n.e.end(id)
	n.eventually(func() bool { _, s := n.Have(id, 0); return s == "" }, "it is gone")
	return d
}

func (n *node) waitFor(id message.ID) error {
	n.eventually(func() bool { _, s := n.Have(id, 0); return s != "" }, "it is known")
	return n.Fetch(n.t.Context(), id, 0)
}

// spent is what something takes of time, and of the processors in both
// processes.
type spent struct{ wall, cpu time.Duration }

func (s *spent) add(pid int, fn func() time.Duration) {
	before := cpuOf(pid) + cpuOf(os.Getpid())
	s.wall += fn()
	s.cpu += cpuOf(pid) + cpuOf(os.Getpid()) - before
}

// cpuOf is what a process has used of the processors, on Linux.
func cpuOf(pid int) time.Duration {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// BenchmarkTransfer measures a transfer between two processes over loopback, in
// turn with a bare stream, with one that has the same work, and with what else
// brings files from one process to another here. README.md has the command and
// its last result.
func BenchmarkTransfer(b *testing.B) {
	s := newSender(b, sizeMiB(64))
	n := newNode(b)
	if err := n.h.Connect(b.Context(), s.info); err != nil {
		b.Fatal(err)
	}
	n.mu.Lock()
	n.there = []peer.ID{s.info.ID}
	n.mu.Unlock()
	others := newRace(b, int64(s.of.Size))
	b.SetBytes(int64(s.of.Size))
	var bare, same, ours spent
	round := byte(0)
	for b.Loop() {
		round++
		b.StopTimer()
		bare.add(s.pid, func() time.Duration { return n.bare(s) })
		same.add(s.pid, func() time.Duration { return n.same(s) })
		others.round(b)
		b.StartTimer()
		ours.add(s.pid, func() time.Duration { return n.ours(s, message.ID{2, round}) })
	}
	all := map[string]spent{"bare": bare, "same-work": same}
	behind := ours.wall.Seconds() > same.wall.Seconds()/0.7 || ours.wall.Seconds() > bare.wall.Seconds()/0.4
	for _, x := range others.all {
		all[x.name] = others.took(x)
		behind = behind || ours.wall > all[x.name].wall
	}
	rate := func(name string, d time.Duration) {
		b.ReportMetric(float64(s.of.Size)/1e6*float64(b.N)/d.Seconds(), "MB/s-"+name)
	}
	for name, x := range all {
		rate(name, x.wall)
		b.ReportMetric(x.wall.Seconds()/ours.wall.Seconds(), "x-"+name)
		if ours.cpu > 0 {
			b.ReportMetric(x.cpu.Seconds()/ours.cpu.Seconds(), "cpu-x-"+name)
		}
	}
	rate("with-sealing", ours.wall+time.Duration(b.N)*s.sealing)
	if behind && s.of.Size >= 1<<30 {
		b.Log("below 70 % of the same work or 40 % of a bare stream, or behind another program")
	}
}
