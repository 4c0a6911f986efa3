package mailbox

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"

	"rushlight/node/host"
	"rushlight/protocol/envelope"
	wire "rushlight/protocol/mailbox"
	"rushlight/protocol/stamp"
	"rushlight/protocol/suite"
	"rushlight/storage/shelf"
)

// The relay of a benchmark is a process of its own, so that its processor time
// can be told from that of its clients: this test binary, started again.
const childEnv = "RUSHLIGHT_MAILBOX_TEST_RELAY"

// coreEnv is the processor that the relay runs on alone; see README.md.
const coreEnv = "RUSHLIGHT_RELAY_CORE"

// childReport is what the relay says about itself when it is asked.
type childReport struct {
	ID         string
	Addrs      []string
	CPU        time.Duration
	Heap       uint64 // heap and stacks in use
	Goroutines int
	Parked     int64
	Commits    int64
}

// runChild is the relay: a line on standard input asks for a report, the end
// of it for an end.
func runChild(listen string) error {
	if err := ShareProcessors(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "relay")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var seed [32]byte
	suite.Random(seed[:])
	h, err := host.New(host.Config{Key: seed, Listen: []string{listen}, Profile: host.Relay})
	if err != nil {
		return err
	}
	k := NewKeeper(Config{})
	k.creates.SetLimit(rate.Inf)
	s, err := shelf.Open(shelf.Options{
		Dir: dir, Root: seed, Key: ed25519.NewKeyFromSeed(seed[:]), Stored: k.Stored, MinFree: 1, Ballast: -1, Quota: 1 << 40,
	})
	if err != nil {
		return err
	}
	if err := k.Bind(h, s); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { _ = k.Run(ctx) })
	wg.Go(func() { _ = s.Run(ctx) })
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		r := childReport{ID: h.ID().String(), CPU: cpuTime(), Parked: k.stats.parked.Load(), Commits: s.Stats().Commits}
		for _, a := range h.Libp2p().Network().ListenAddresses() {
			r.Addrs = append(r.Addrs, a.String())
		}
		if in.Text() == "memory" {
			for range 3 {
				s.Rest() // as the shelf does every 20 seconds
			}
			if _, err := s.State(0); err != nil {
				return err
			}
			r.Heap, r.Goroutines = memory()
		}
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return err
		}
	}
	stop()
	wg.Wait()
	_ = s.Close()
	return h.Close()
}

// relayProcess is a running child.
type relayProcess struct {
	b   testing.TB
	in  io.WriteCloser
	out *json.Decoder
	to  peer.AddrInfo
}

func startRelay(b testing.TB, listen string) *relayProcess {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	if core := os.Getenv(coreEnv); core != "" {
		cmd = exec.Command("taskset", "-c", core, os.Args[0])
	}
	cmd.Env = append(os.Environ(), childEnv+"="+listen)
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
	r := &relayProcess{b: b, in: in, out: json.NewDecoder(out)}
	b.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	})
	first := r.report("")
	for _, a := range first.Addrs {
		one, err := peer.AddrInfoFromString(a + "/p2p/" + first.ID)
		if err != nil {
			b.Fatal(err)
		}
		r.to.ID, r.to.Addrs = one.ID, append(r.to.Addrs, one.Addrs...)
	}
	return r
}

func (r *relayProcess) report(ask string) (out childReport) {
	r.b.Helper()
	if _, err := fmt.Fprintln(r.in, ask); err != nil {
		r.b.Fatal(err)
	}
	if err := r.out.Decode(&out); err != nil {
		r.b.Fatal(err)
	}
	return out
}

func (r *relayProcess) client() *host.Host {
	r.b.Helper()
	var seed [32]byte
	suite.Random(seed[:])
	h, err := host.New(host.Config{Key: seed, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		r.b.Fatal(err)
	}
	r.b.Cleanup(func() { _ = h.Close() })
	if err := h.Connect(context.Background(), r.to); err != nil {
		r.b.Fatal(err)
	}
	return h
}

func (r *relayProcess) mailbox(h *host.Host) *Mailbox {
	r.b.Helper()
	box, _, _, err := OpenMailbox(context.Background(), h, r.to.ID, newKey(r.b))
	if err != nil {
		r.b.Fatal(err)
	}
	if _, err := box.Create(context.Background(), &wire.Create{}); err != nil {
		r.b.Fatal(err)
	}
	return box
}

// stamps returns n stamps of some new mailboxes, in turn.
func (r *relayProcess) stamps(h *host.Host, boxes, n int) []stamp.Stamp {
	r.b.Helper()
	each := (n + boxes - 1) / boxes
	all := make([][]stamp.Stamp, boxes)
	for i := range all {
		box := r.mailbox(h)
		for len(all[i]) < each {
			_, got, err := box.Stamps(context.Background(), envelope.S, min(each-len(all[i]), wire.MaxMint))
			if err != nil {
				r.b.Fatal(err)
			}
			all[i] = append(all[i], got...)
		}
		box.Close()
	}
	out := make([]stamp.Stamp, n)
	for i := range out {
		out[i] = all[i%boxes][i/boxes]
	}
	return out
}

// load deposits an envelope of 2 KiB for each stamp over some streams, with a
// number under way on each, and at most rate a second; 0 is as fast as it
// goes. It returns how long each took.
func (r *relayProcess) load(streams, window int, stamps []stamp.Stamp, rate float64) (took []time.Duration) {
	r.b.Helper()
	took = make([]time.Duration, len(stamps))
	var ds []*Deposits
	var h *host.Host
	for i := range streams {
		if i%4 == 0 {
			h = r.client()
		}
		d, err := OpenDeposits(context.Background(), h, r.to.ID)
		if err != nil {
			r.b.Fatal(err)
		}
		r.b.Cleanup(d.Close)
		ds = append(ds, d)
	}
	var wg sync.WaitGroup
	var failed atomic.Int64
	begin := time.Now()
	for n, d := range ds {
		wg.Go(func() {
			slots := make(chan struct{}, window)
			turn := time.NewTimer(0) // of the next deposit, at a rate
			defer turn.Stop()
			e := env(envelope.S)
			for i := n; i < len(stamps); i += streams {
				if rate > 0 {
					turn.Reset(time.Until(begin.Add(time.Duration(float64(i) / rate * float64(time.Second)))))
					<-turn.C
				}
				slots <- struct{}{}
				e[40], e[41], e[42] = byte(i), byte(i>>8), byte(i>>16)
				sent := time.Now()
				d.Start(&wire.Deposit{TTL: 30, Receipt: true, Stamp: stamps[i], Envelope: e}, func(_ wire.Stored, err error) {
					if err != nil {
						failed.Add(1)
					}
					took[i] = time.Since(sent)
					<-slots
				})
			}
			for range window {
				slots <- struct{}{}
			}
		})
	}
	wg.Wait()
	if failed.Load() > 0 {
		r.b.Fatalf("%d deposits failed", failed.Load())
	}
	return took
}

// BenchmarkDeposit stores envelopes of 2 KiB over libp2p, with receipts, in a
// relay process of its own: deposits for a second of the relay's processor
// time, and how long an answer takes at half of the speed that was reached.
// "of-raw" is the part of what the shelf alone, without a network, reaches for
// a second of processor time in the same run, and "p99-ms-sync" is how long the
// disk takes, right after, to write and sync 128 KiB, which no answer can be
// faster than. README.md has the last results.
func BenchmarkDeposit(b *testing.B) {
	for _, listen := range []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"} {
		b.Run(listen[15:18], func(b *testing.B) {
			r := startRelay(b, listen)
			h := r.client()
			warm, stamps := r.stamps(h, 16, 2000), r.stamps(h, 256, b.N)
			r.load(16, 64, warm, 0)
			before := r.report("")
			b.ResetTimer()
			begin := time.Now()
			r.load(16, 64, stamps, 0)
			b.StopTimer()
			speed := float64(b.N) / time.Since(begin).Seconds()
			after := r.report("")
			perCPU := float64(b.N) / (after.CPU - before.CPU).Seconds()
			b.ReportMetric(speed, "deposits/s")
			b.ReportMetric(perCPU, "deposits/cpu-s")
			b.ReportMetric(float64(b.N)/float64(after.Commits-before.Commits), "deposits/commit")
			half := r.stamps(h, 256, b.N)
			settleDisk()
			collect := calm()
			took := r.load(16, 64, half, speed/2)
			collect()
			slices.Sort(took)
			b.ReportMetric(took[len(took)/2].Seconds()*1000, "p50-ms-at-half")
			b.ReportMetric(took[len(took)*99/100].Seconds()*1000, "p99-ms-at-half")
			b.ReportMetric(syncTime(b).Seconds()*1000, "p99-ms-sync")
			b.ReportMetric(perCPU/rawShelf(b, b.N), "of-raw")
		})
	}
}

// calm keeps this process from collecting garbage until what it returns is
// called: all clients are this one process, which people's are not, and they
// would wait for its collector together.
func calm() (end func()) {
	runtime.GC()
	was := debug.SetGCPercent(-1)
	return func() { debug.SetGCPercent(was) }
}

// syncTime is how long the slowest but one in a hundred of small synced writes
// takes here and now.
func syncTime(b *testing.B) time.Duration {
	b.Helper()
	f, err := os.Create(b.TempDir() + "/sync")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	took := make([]time.Duration, 300)
	buf := make([]byte, 128<<10)
	pause := time.NewTicker(2 * time.Millisecond)
	defer pause.Stop()
	for i := range took {
		begin := time.Now()
		if _, err := f.Write(buf); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		took[i] = time.Since(begin)
		<-pause.C
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// rawShelf is how many of the same deposits the shelf alone stores for a
// second of processor time.
func rawShelf(b *testing.B, n int) float64 {
	b.Helper()
	key := newKey(b)
	s, err := shelf.Open(shelf.Options{Dir: b.TempDir(), Key: key, MinFree: 1, Ballast: -1, Quota: 1 << 40})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Run(ctx) })
	defer func() {
		stop()
		wg.Wait()
		_ = s.Close()
	}()
	const boxes, window = 256, 1024
	var stamps []stamp.Stamp
	for i := range boxes {
		h, err := s.Create([32]byte{byte(i), 1}, &wire.Create{}, [16]byte{}, true)
		if err != nil {
			b.Fatal(err)
		}
		_, got, err := s.Mint(h, envelope.S, n/boxes+1)
		if err != nil {
			b.Fatal(err)
		}
		stamps = append(stamps, got...)
	}
	slots := make(chan struct{}, window)
	e := env(envelope.S)
	begin := cpuTime()
	for i := range n {
		slots <- struct{}{}
		with := append([]byte(nil), e...)
		with[40], with[41], with[42] = byte(i), byte(i>>8), byte(i>>16)
		t, _ := s.OpenStamp(&stamps[i%boxes*(n/boxes+1)+i/boxes])
		d := &shelf.Deposit{Ticket: t, Envelope: with, Object: wire.Object(with), TTL: 30, Receipt: true, Done: func(d *shelf.Deposit, err error) {
			if err != nil || d.Answer.Refused != nil {
				b.Error(err, d.Answer.Refused)
			}
			<-slots
		}}
		if err := s.Put(d); err != nil {
			b.Fatal(err)
		}
	}
	for range window {
		slots <- struct{}{}
	}
	return float64(n) / (cpuTime() - begin).Seconds()
}

// BenchmarkFetch empties a mailbox of 32 MiB over libp2p; MB/cpu-s is for a
// second of the relay's processor time. The last result, for envelopes of 2 and
// of 64 KiB: 248 and 349 MB/s, 257 and 371 MB a second of processor time.
func BenchmarkFetch(b *testing.B) {
	for _, c := range []envelope.Class{envelope.S, envelope.L} {
		b.Run(fmt.Sprint(c.Size()), func(b *testing.B) {
			r := startRelay(b, "/ip4/127.0.0.1/tcp/0")
			h := r.client()
			box := r.mailbox(h)
			n := (32 << 20) / c.Size()
			d, err := OpenDeposits(context.Background(), h, r.to.ID)
			if err != nil {
				b.Fatal(err)
			}
			defer d.Close()
			var wg sync.WaitGroup
			for left := n; left > 0; left -= wire.MaxMint {
				_, sts, err := box.Stamps(context.Background(), c, min(left, wire.MaxMint))
				if err != nil {
					b.Fatal(err)
				}
				for _, st := range sts {
					wg.Add(1)
					d.Start(&wire.Deposit{TTL: 30, Stamp: st, Envelope: env(c)}, func(_ wire.Stored, err error) {
						if err != nil {
							b.Error(err)
						}
						wg.Done()
					})
				}
			}
			wg.Wait()
			b.SetBytes(int64(n * c.Size()))
			before := r.report("")
			for b.Loop() {
				got := 0
				_, err := box.Fetch(context.Background(), wire.Fetch{MaxBytes: math.MaxUint32}, func(*wire.Env) error { got++; return nil })
				if err != nil || got != n {
					b.Fatal(got, err)
				}
			}
			used := r.report("").CPU - before.CPU
			b.ReportMetric(float64(b.N*n*c.Size())/1e6/used.Seconds(), "MB/cpu-s")
		})
	}
}

// BenchmarkMemory is what a client that waits for mail costs the relay in heap
// and stacks, and what a mailbox costs that nobody asks for. The last result,
// TCP and QUIC: 41 and 58 KiB a client, 60 B a mailbox.
func BenchmarkMemory(b *testing.B) {
	for _, listen := range []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"} {
		b.Run(listen[15:18], func(b *testing.B) {
			const clients, idle = 100, 2000
			for b.Loop() {
				r := startRelay(b, listen)
				h := r.client()
				r.mailbox(h).Close()
				empty := r.report("memory")
				for range idle {
					r.mailbox(h).Close()
				}
				boxes := r.report("memory")
				b.ReportMetric((float64(boxes.Heap)-float64(empty.Heap))/idle, "B/mailbox")
				var wg sync.WaitGroup
				ctx, stop := context.WithCancel(context.Background())
				for range clients {
					box := r.mailbox(r.client())
					wg.Go(func() {
						_, _ = box.Fetch(ctx, wire.Fetch{MaxBytes: 1, Wait: 600}, func(*wire.Env) error { return nil })
					})
				}
				look := time.NewTicker(10 * time.Millisecond)
				for r.report("").Parked < clients {
					<-look.C
				}
				look.Stop()
				full := r.report("memory")
				b.ReportMetric((float64(full.Heap)-float64(boxes.Heap))/clients/1024, "KiB/client")
				b.ReportMetric(float64(full.Goroutines-boxes.Goroutines)/clients, "goroutines/client")
				stop()
				wg.Wait()
			}
		})
	}
}
