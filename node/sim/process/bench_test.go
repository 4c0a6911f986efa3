//go:build linux

package process_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"rushlight/node/api"
	"rushlight/node/delivery"
	"rushlight/node/delivery/parcel"
	"rushlight/node/engine"
	"rushlight/node/host"
	"rushlight/protocol/identity"
	"rushlight/storage"
	"rushlight/storage/keyfile"
)

// BenchmarkLatency sends one text after the other and measures until the proof
// is back that the recipient's store has it on disk; what the sender then saves
// about that is outside. The recipient is a daemon of its own process. The
// ratio is against one round trip of a libp2p stream plus two synced commits of
// a single record, measured in turn with the messages.
func BenchmarkLatency(b *testing.B) {
	y := newDaemon(b, "bob")
	x := newSender(b, y)
	trip, commit := newEcho(b), newCommitter(b)
	n := max(b.N, 200)
	var ours, base []time.Duration
	for i := range n {
		began := time.Now()
		if _, err := x.Send(context.Background(), engine.Send{To: x.to, Text: "ping"}); err != nil {
			b.Fatal(err)
		}
		took := (<-x.acked).Sub(began)
		if i >= 20 {
			ours = append(ours, took)
			base = append(base, trip()+commit()+commit())
		}
		for x.Queued() > 0 { // until what is outside has been saved
			<-time.After(100 * time.Microsecond)
		}
	}
	slices.Sort(ours)
	slices.Sort(base)
	p50, floor := ours[len(ours)/2], base[len(base)/2]
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(p50.Microseconds()), "p50-µs")
	b.ReportMetric(float64(floor.Microseconds()), "floor-µs")
	b.ReportMetric(float64(p50)/float64(floor), "p50/floor")
}

// sender is the sending half of a daemon in this process, with a hook where
// acknowledgements arrive.
type sender struct {
	*engine.Engine
	to    identity.AccountID
	acked chan time.Time
	stop  func()
}

// Acked notes when a proof has arrived, before anything is saved about it.
func (s *sender) Acked(ctx context.Context, a identity.AccountID, d identity.DeviceID, acks []parcel.Ack) error {
	now := time.Now()
	for range acks {
		select {
		case s.acked <- now:
		default:
		}
	}
	return s.Engine.Acked(ctx, a, d, acks)
}

// newSender makes a sender that is a contact of a daemon.
func newSender(b *testing.B, y *daemon) *sender {
	store, err := storage.Open(storage.Options{Dir: filepath.Join(b.TempDir(), "store"), Root: [32]byte{1}})
	if err != nil {
		b.Fatal(err)
	}
	if err := engine.Create(store, identity.NewRecoveryCode(), "ann", time.Now()); err != nil {
		b.Fatal(err)
	}
	e, err := engine.Open(store, engine.Options{})
	if err != nil {
		b.Fatal(err)
	}
	x := &sender{Engine: e, acked: make(chan time.Time, 1)}
	h, err := host.New(host.Config{Key: e.HostKey(), Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}})
	if err != nil {
		b.Fatal(err)
	}
	m := delivery.New(h, x, delivery.Config{})
	e.SetCourier(m)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = e.Run(ctx) })
	wg.Go(func() { _ = m.Run(ctx) })
	x.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		_ = h.Close()
		_ = store.Close()
	})
	b.Cleanup(x.stop)
	var made api.Invite
	y.call("invite", nil, &made)
	inv, err := identity.ParseInvite(made.Link)
	if err != nil {
		b.Fatal(err)
	}
	if err := e.Join(ctx, inv, made.Link, "", "", false); err != nil {
		b.Fatal(err)
	}
	reply, err := m.FetchInvite(ctx, inv.Hints, inv.ID, inv.Secret)
	if err != nil {
		b.Fatal(err)
	}
	if err := e.Offered(ctx, inv, reply); err != nil {
		b.Fatal(err)
	}
	<-x.acked
	x.to = inv.Account
	return x
}

// newEcho returns a function that measures one round trip, of an envelope out
// and an acknowledgement back, on one libp2p stream over loopback QUIC to
// another process.
func newEcho(b *testing.B) func() time.Duration {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "RUSHLIGHT_ECHO=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = stdin.Close(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	to, err := peer.AddrInfoFromString(strings.TrimSpace(line))
	if err != nil {
		b.Fatal(err)
	}
	h, err := host.New(host.Config{Key: [32]byte{1}, Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = h.Close() })
	ctx := context.Background()
	if err := h.Connect(ctx, *to); err != nil {
		b.Fatal(err)
	}
	s, err := h.Libp2p().NewStream(ctx, to.ID, "/echo")
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 2048)
	return func() time.Duration {
		began := time.Now()
		if _, err := s.Write(buf); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(s, buf[:24]); err != nil {
			b.Fatal(err)
		}
		return time.Since(began)
	}
}

// serveEcho answers [newEcho] until its standard input ends.
func serveEcho() (code int) {
	h, err := host.New(host.Config{Key: [32]byte{2}, Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer h.Close()
	h.Libp2p().SetStreamHandler("/echo", func(s network.Stream) {
		buf := make([]byte, 2048)
		for {
			if _, err := io.ReadFull(s, buf); err != nil {
				return
			}
			if _, err := s.Write(buf[:24]); err != nil {
				return
			}
		}
	})
	fmt.Println(h.Addrs()[0])
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// newCommitter returns a function that measures one synced commit of one
// record.
func newCommitter(b *testing.B) func() time.Duration {
	s, err := storage.Open(storage.Options{Dir: filepath.Join(b.TempDir(), "store"), Root: [32]byte{1}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	n := 0
	return func() time.Duration {
		n++
		key := storage.Key(fmt.Sprintf("\x41%016d", n))
		began := time.Now()
		if err := s.Update(func(tx *storage.Tx) error { return tx.Put(key, make([]byte, 300)) }); err != nil {
			b.Fatal(err)
		}
		return time.Since(began)
	}
}

// BenchmarkThroughput sends 100-byte texts as fast as both sides take them,
// until each is delivered: the sender in this process, the recipient a daemon
// in its own. It compares with what Badger's group commit alone reaches when
// two processes write records of the same sizes into databases with the same
// options. Run it with -benchtime=20000x.
func BenchmarkThroughput(b *testing.B) {
	y := newDaemon(b, "bob")
	x := newSender(b, y)
	n := max(b.N, 2000)
	self, other := cpuTime(b, syscall.RUSAGE_SELF), y.cpuTime()
	ours := pipelined(b, n, func(text string) error {
		_, err := x.Send(context.Background(), engine.Send{To: x.to, Text: text})
		return err
	}, func() {
		for x.Queued() > 0 {
			<-time.After(time.Millisecond)
		}
	})
	sent, received := cpuTime(b, syscall.RUSAGE_SELF)-self, y.cpuTime()-other
	x.stop()
	y.kill()
	children := cpuTime(b, syscall.RUSAGE_CHILDREN)
	floor := badgerAlone(b, n)
	alone := cpuTime(b, syscall.RUSAGE_CHILDREN) - children
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ours, "msg/s")
	b.ReportMetric(floor, "badger-msg/s")
	b.ReportMetric(ours/floor, "ratio")
	b.ReportMetric(perMessage(sent, n), "send-cpu-µs")
	b.ReportMetric(perMessage(received, n), "receive-cpu-µs")
	b.ReportMetric(perMessage(alone, n), "badger-cpu-µs")
}

// BenchmarkThroughputRPC is the same between two daemons, with a third process
// that sends over the unix socket and shares their processors.
func BenchmarkThroughputRPC(b *testing.B) {
	x, y := newDaemon(b, "ann"), newDaemon(b, "bob")
	befriend(b, x, y)
	b.ReportMetric(pipelined(b, max(b.N, 2000), func(text string) error {
		_, err := x.send(y, text, "")
		return err
	}, x.drained), "msg/s")
	b.ReportMetric(0, "ns/op")
}

// pipelined sends n texts with many under way at once, waits until all are
// delivered, and returns how many a second that was.
func pipelined(b *testing.B, n int, send func(text string) error, drain func()) float64 {
	text := strings.Repeat("x", 100)
	began := time.Now()
	var wg sync.WaitGroup
	slots := make(chan struct{}, pipeline)
	for range n {
		slots <- struct{}{}
		wg.Go(func() {
			if err := send(text); err != nil {
				b.Error(err)
			}
			<-slots
		})
	}
	wg.Wait()
	drain()
	return float64(n) / time.Since(began).Seconds()
}

// pipeline is how many messages are under way at once.
const pipeline = 512

// BenchmarkStart measures from the start of the process to ready, the
// passphrase hash alone, and the resident memory once idle.
func BenchmarkStart(b *testing.B) {
	d := newDaemon(b, "ann")
	var ready, hash []time.Duration
	for range max(b.N, 5) {
		d.kill()
		began := time.Now()
		if _, err := keyfile.Open(filepath.Join(d.dir, "keys"), []byte("correct horse battery staple")); err != nil {
			b.Fatal(err)
		}
		hash = append(hash, time.Since(began))
		d.start()
		ready = append(ready, d.toReady)
	}
	slices.Sort(ready)
	slices.Sort(hash)
	whole, hashing := ready[len(ready)/2], hash[len(hash)/2]
	<-time.After(65 * time.Second) // two rounds of giving memory back
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(hashing.Milliseconds()), "hash-ms")
	b.ReportMetric(float64((whole - hashing).Milliseconds()), "rest-ms")
	b.ReportMetric(residentMB(b, d.cmd.Process.Pid), "RSS-MB")
}

// residentMB reads the resident memory of a process.
func residentMB(b *testing.B, pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Skip("needs /proc: ", err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			kb, err := strconv.Atoi(f[1])
			if err != nil {
				b.Fatal(err)
			}
			return float64(kb) / 1024
		}
	}
	b.Fatal("no VmRSS")
	return 0
}
