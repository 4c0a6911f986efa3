package compare

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	nserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rushlight/node/host"
	"rushlight/node/mailbox"
	"rushlight/protocol/envelope"
	wire "rushlight/protocol/mailbox"
	"rushlight/protocol/suite"
	"rushlight/storage/shelf"
)

const (
	recipients = 64
	window     = 256 // messages under way at a time
	childEnv   = "RUSHLIGHT_COMPARE_SERVER"
)

func TestMain(m *testing.M) {
	if kind := os.Getenv(childEnv); kind != "" {
		if err := serve(kind, os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// serve is a server in a process of its own, until its input ends. It prints
// where it is.
func serve(kind, dir string) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		stop()
	}()
	if kind == "nats" {
		s, err := nserver.NewServer(&nserver.Options{
			Host: "127.0.0.1", Port: nserver.RANDOM_PORT, JetStream: true, StoreDir: dir, SyncAlways: true, NoLog: true, NoSigs: true,
		})
		if err != nil {
			return err
		}
		s.Start()
		if !s.ReadyForConnections(10 * time.Second) {
			return fmt.Errorf("nats doesn't start")
		}
		fmt.Println(s.ClientURL())
		<-ctx.Done()
		s.Shutdown()
		return nil
	}
	r, err := mailbox.OpenRelay(ctx, mailbox.RelayConfig{
		Dir: dir, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Shelf: shelf.Options{MinFree: 1, Ballast: -1, Quota: 1 << 40},
	})
	if err != nil {
		return err
	}
	go func() {
		<-r.Ready()
		_ = json.NewEncoder(os.Stdout).Encode(r.Addrs()[0])
	}()
	if err := r.Run(ctx); err != nil {
		return err
	}
	return r.Close()
}

// server is a running process that is measured.
type server struct {
	pid  int
	addr string
}

func start(b *testing.B, kind string) server {
	b.Helper()
	cmd := exec.Command(os.Args[0], b.TempDir())
	cmd.Env = append(os.Environ(), childEnv+"="+kind)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
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
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	buf := make([]byte, 512)
	n, err := out.Read(buf)
	if err != nil {
		b.Fatal(err)
	}
	return server{cmd.Process.Pid, strings.Trim(strings.TrimSpace(string(buf[:n])), `"`)}
}

// cpu is the processor time that a process has used, with what the system did
// for it.
func (s server) cpu(b *testing.B) time.Duration {
	b.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid))
	if err != nil {
		b.Skipf("needs /proc: %v", err)
	}
	f := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	user, err := strconv.Atoi(f[11])
	if err != nil {
		b.Fatal(err)
	}
	system, err := strconv.Atoi(f[12])
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// measure sends n messages with send, which calls done when one is
// acknowledged.
func measure(b *testing.B, s server, n int, send func(i int, body []byte, done func(error))) {
	b.Helper()
	slots := make(chan struct{}, window)
	var failed sync.Map
	body := make([]byte, envelope.S.Size())
	suite.Random(body)
	before := s.cpu(b)
	b.ResetTimer()
	for i := range n {
		slots <- struct{}{}
		mine := bytes.Clone(body)
		copy(mine[32:], strconv.Itoa(i))
		send(i, mine, func(err error) {
			if err != nil {
				failed.Store(i, err)
			}
			<-slots
		})
	}
	for range window {
		slots <- struct{}{}
	}
	b.StopTimer()
	used := s.cpu(b) - before
	failed.Range(func(_, err any) bool { b.Fatal(err); return false })
	b.ReportMetric(float64(n)/used.Seconds(), "msgs/cpu-s")
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "msgs/s")
}

func BenchmarkRelay(b *testing.B) {
	s := start(b, "relay")
	ctx := b.Context()
	to, err := peer.AddrInfoFromString(s.addr)
	if err != nil {
		b.Fatal(err)
	}
	h, err := host.New(host.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	if err := h.Connect(ctx, *to); err != nil {
		b.Fatal(err)
	}
	each := b.N/recipients + 1
	deposits := make([]wire.Deposit, 0, each*recipients)
	for range recipients {
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			b.Fatal(err)
		}
		box, _, _, err := mailbox.OpenMailbox(ctx, h, to.ID, key)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := box.Create(ctx, new(wire.Create)); err != nil {
			b.Fatal(err)
		}
		for left := each; left > 0; left -= wire.MaxMint {
			_, sts, err := box.Stamps(ctx, envelope.S, min(left, wire.MaxMint))
			if err != nil {
				b.Fatal(err)
			}
			for _, st := range sts {
				deposits = append(deposits, wire.Deposit{TTL: 30, Receipt: true, Stamp: st})
			}
		}
		box.Close()
	}
	d, err := mailbox.OpenDeposits(ctx, h, to.ID)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	measure(b, s, b.N, func(i int, body []byte, done func(error)) {
		m := deposits[i%recipients*each+i/recipients]
		m.Envelope = body
		d.Start(&m, func(_ wire.Stored, err error) { done(err) })
	})
}

func BenchmarkNATS(b *testing.B) {
	s := start(b, "nats")
	nc, err := nats.Connect(s.addr)
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(2*window))
	if err != nil {
		b.Fatal(err)
	}
	stream, err := js.CreateStream(b.Context(), jetstream.StreamConfig{
		Name: "MAIL", Subjects: []string{"mail.*"}, Storage: jetstream.FileStorage, MaxAge: 30 * 24 * time.Hour,
	})
	if err != nil {
		b.Fatal(err)
	}
	for i := range recipients {
		_, err := stream.CreateConsumer(b.Context(), jetstream.ConsumerConfig{
			Durable: fmt.Sprint("r", i), FilterSubject: fmt.Sprint("mail.", i), AckPolicy: jetstream.AckExplicitPolicy,
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	measure(b, s, b.N, func(i int, body []byte, done func(error)) {
		f, err := js.PublishAsync(fmt.Sprint("mail.", i%recipients), body)
		if err != nil {
			done(err)
			return
		}
		go func() {
			select {
			case <-f.Ok():
				done(nil)
			case err := <-f.Err():
				done(err)
			}
		}()
	})
}
