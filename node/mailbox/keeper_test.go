package mailbox

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"go.uber.org/goleak"

	"rushlight/node/host"
	"rushlight/protocol/envelope"
	wire "rushlight/protocol/mailbox"
	"rushlight/protocol/stamp"
	"rushlight/protocol/suite"
	"rushlight/storage/shelf"
)

// The one goroutine left out is a library's, started once for the process.
func TestMain(m *testing.M) {
	if listen := os.Getenv(childEnv); listen != "" {
		if err := runChild(listen); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/libp2p/go-flow-metrics.(*sweeper).run"),
		goleak.IgnoreAnyFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}

// relay is a running keeper with its shelf and host.
type relay struct {
	t      testing.TB
	dir    string
	seed   [32]byte
	cfg    Config
	so     shelf.Options
	listen string

	host   *host.Host
	shelf  *shelf.Shelf
	keeper *Keeper
	stop   func()
}

func newRelay(t testing.TB, change ...func(*relay)) *relay {
	t.Helper()
	r := &relay{t: t, dir: t.TempDir(), listen: "/ip4/127.0.0.1/tcp/0"}
	suite.Random(r.seed[:])
	r.so = shelf.Options{MemTableSize: 4 << 20, MinFree: 1, Ballast: -1}
	for _, c := range change {
		c(r)
	}
	r.start()
	t.Cleanup(func() { r.end() })
	return r
}

func (r *relay) start() {
	r.t.Helper()
	h, err := host.New(host.Config{Key: r.seed, Listen: []string{r.listen}, Profile: host.Relay})
	if err != nil {
		r.t.Fatal(err)
	}
	k := NewKeeper(r.cfg)
	o := r.so
	o.Dir, o.Root, o.Key, o.Stored = r.dir, r.seed, ed25519.NewKeyFromSeed(r.seed[:]), k.Stored
	s, err := shelf.Open(o)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := k.Bind(h, s); err != nil {
		r.t.Fatal(err)
	}
	kctx, kstop := context.WithCancel(context.Background())
	sctx, sstop := context.WithCancel(context.Background())
	var kw, sw sync.WaitGroup
	kw.Go(func() {
		if err := k.Run(kctx); err != nil {
			r.t.Error(err)
		}
	})
	sw.Go(func() {
		if err := s.Run(sctx); err != nil {
			r.t.Error(err)
		}
	})
	r.host, r.shelf, r.keeper = h, s, k
	r.stop = func() {
		kstop()
		kw.Wait()
		sstop()
		sw.Wait()
		if err := errors.Join(s.Close(), h.Close()); err != nil {
			r.t.Error(err)
		}
	}
	<-k.Ready()
}

func (r *relay) end() {
	if r.stop != nil {
		r.stop()
		r.stop = nil
	}
}

func (r *relay) public() ed25519.PublicKey {
	return ed25519.NewKeyFromSeed(r.seed[:]).Public().(ed25519.PublicKey)
}

// client is a host that is connected to the relay.
func (r *relay) client() *host.Host {
	r.t.Helper()
	var seed [32]byte
	suite.Random(seed[:])
	h, err := host.New(host.Config{Key: seed, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := h.Close(); err != nil {
			r.t.Error(err)
		}
	})
	r.connect(h)
	return h
}

func (r *relay) connect(h *host.Host) {
	r.t.Helper()
	// A connection to what the relay was before it started again may not know yet.
	if err := h.Libp2p().Network().ClosePeer(r.host.ID()); err != nil {
		r.t.Fatal(err)
	}
	err := h.Connect(context.Background(), peer.AddrInfo{ID: r.host.ID(), Addrs: r.host.Libp2p().Network().ListenAddresses()})
	if err != nil {
		r.t.Fatal(err)
	}
}

// person is an owner with a mailbox and a stream to it.
type person struct {
	key ed25519.PrivateKey
	h   *host.Host
	box *Mailbox
	log [16]byte
}

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (r *relay) person(h *host.Host) *person {
	r.t.Helper()
	p := &person{key: newKey(r.t), h: h}
	p.open(r)
	st, err := p.box.Create(r.ctx(), &wire.Create{Lane: true})
	if err != nil {
		r.t.Fatal(err)
	}
	p.log = st.Log
	return p
}

func (p *person) open(r *relay) wire.State {
	r.t.Helper()
	box, hello, st, err := OpenMailbox(r.ctx(), p.h, r.host.ID(), p.key)
	if err != nil {
		r.t.Fatal(err)
	}
	if d := time.Since(time.Unix(int64(hello.Unix), 0)); d > time.Minute || d < -time.Minute {
		r.t.Errorf("the relay's clock is %v off", d)
	}
	r.t.Cleanup(box.Close)
	p.box = box
	return st
}

func (r *relay) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	r.t.Cleanup(cancel)
	return ctx
}

func (p *person) stamps(r *relay, c envelope.Class, n int) []stamp.Stamp {
	r.t.Helper()
	_, out, err := p.box.Stamps(r.ctx(), c, n)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

func (r *relay) deposits(h *host.Host) *Deposits {
	r.t.Helper()
	d, err := OpenDeposits(r.ctx(), h, r.host.ID())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(d.Close)
	return d
}

func env(c envelope.Class) []byte {
	b := make([]byte, c.Size())
	suite.Random(b)
	return b
}

func (p *person) fetch(r *relay, after uint64, wait uint16) (out []wire.Env, end wire.End) {
	r.t.Helper()
	end, err := p.box.Fetch(r.ctx(), wire.Fetch{After: after, MaxBytes: math.MaxUint32, Wait: wait}, func(e *wire.Env) error {
		out = append(out, *e)
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return out, end
}

func wantErr(t *testing.T, err error, c wire.Code) {
	t.Helper()
	if e := new(wire.Err); !errors.As(err, &e) || e.Code != c {
		t.Errorf("%v, want code %d", err, c)
	}
}

func testLog(t testing.TB) *slog.Logger {
	if !testing.Verbose() {
		return nil
	}
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// The whole way of a message: mailbox, stamps, deposit, receipt, fetch, trim;
// over TCP and over QUIC, and again after a restart of the relay.
func TestMail(t *testing.T) {
	for _, listen := range []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"} {
		t.Run(listen[15:18], func(t *testing.T) {
			r := newRelay(t, func(r *relay) { r.listen, r.cfg.Logger = listen, testLog(t) })
			bob := r.person(r.client())
			ann := r.client()
			d := r.deposits(ann)
			var sent [][]byte
			for _, c := range []envelope.Class{envelope.S, envelope.M, envelope.L} {
				st := bob.stamps(r, c, 1)[0]
				e := env(c)
				sent = append(sent, e)
				for i := range 2 {
					got, err := d.Deposit(r.ctx(), &wire.Deposit{TTL: 30, Receipt: true, Stamp: st, Envelope: e})
					if err != nil || got.Dup != (i == 1) || got.Receipt == nil {
						t.Fatalf("%+v, %v", got, err)
					}
				}
				_, err := d.Deposit(r.ctx(), &wire.Deposit{TTL: 30, Stamp: st, Envelope: env(c)})
				wantErr(t, err, wire.CodeSpent)
			}
			check := func() {
				t.Helper()
				got, end := bob.fetch(r, 0, 0)
				if len(got) != 3 || end.Next != 3 || end.More || end.Batch == 0 {
					t.Fatalf("%d envelopes, %+v", len(got), end)
				}
				for i := range got {
					if !bytes.Equal(got[i].Envelope, sent[i]) {
						t.Errorf("envelope %d isn't what was sent", i)
					}
				}
				tags, err := bob.box.Tags(r.ctx(), 1, 10)
				if err != nil || len(tags.Tags) != 2 || tags.Tags[0].Tag != envelope.TagOf(sent[1]) {
					t.Errorf("%+v, %v", tags, err)
				}
			}
			check()
			r.end()
			r.start()
			r.connect(bob.h)
			if st := bob.open(r); !st.Found || st.Log != bob.log || st.Next != 4 {
				t.Fatalf("%+v after a restart", st)
			}
			check()
			got, err := bob.box.Trim(r.ctx(), wire.Range[uint64]{From: 1, To: 2})
			if err != nil || got.Count != 2 || got.Live != 65536 {
				t.Errorf("%+v, %v", got, err)
			}
			if got, _ := bob.fetch(r, 0, 0); len(got) != 1 || got[0].Seq != 3 {
				t.Errorf("%d left", len(got))
			}
			if err := bob.box.Delete(r.ctx(), []byte("moved")); err != nil {
				t.Fatal(err)
			}
			_, _, err = bob.box.Stamps(r.ctx(), envelope.S, 1)
			wantErr(t, err, wire.CodeUnknown)
		})
	}
}

// A fetch that waits hears of mail at once, ends in time, and survives what
// comes while it is put away.
func TestFetchWaits(t *testing.T) {
	r := newRelay(t)
	bob := r.person(r.client())
	d := r.deposits(r.client())
	start := time.Now()
	if got, _ := bob.fetch(r, 0, 1); len(got) != 0 || time.Since(start) < 500*time.Millisecond {
		t.Errorf("%d envelopes after %v", len(got), time.Since(start))
	}
	sts := bob.stamps(r, envelope.S, 200)
	var sent sync.WaitGroup
	sent.Go(func() {
		for _, st := range sts {
			if _, err := d.Deposit(context.Background(), &wire.Deposit{TTL: 30, Stamp: st, Envelope: env(envelope.S)}); err != nil {
				t.Error(err)
			}
		}
	})
	n, after := 0, uint64(0)
	for n < len(sts) {
		got, end := bob.fetch(r, after, 20)
		if len(got) == 0 {
			t.Fatalf("nothing came after %d of %d", n, len(sts))
		}
		n, after = n+len(got), end.Next
	}
	sent.Wait()
	if after != uint64(len(sts)) || n != len(sts) {
		t.Errorf("%d envelopes up to %d", n, after)
	}
}

// Row 28, at the relay: a parked fetch costs no goroutine, and what a
// connection leaves behind is gone with it.
func TestParkedFetchesCostNoGoroutine(t *testing.T) {
	const clients, each = 20, 6
	r := newRelay(t)
	hosts := make([]*host.Host, clients)
	for i := range hosts {
		hosts[i] = r.client()
	}
	key := newKey(t)
	p := &person{key: key, h: hosts[0]}
	p.open(r)
	if _, err := p.box.Create(r.ctx(), &wire.Create{}); err != nil {
		t.Fatal(err)
	}
	// Everything but the waiting is done in advance.
	var boxes []*Mailbox
	for _, h := range hosts {
		for range each {
			q := &person{key: key, h: h}
			q.open(r)
			boxes = append(boxes, q.box)
		}
	}
	serving := func() int {
		buf := make([]byte, 8<<20)
		return bytes.Count(buf[:runtime.Stack(buf, true)], []byte("(*ownerStream).serve("))
	}
	wait(t, "all streams are served", func() bool { return serving() == clients*each+1 })
	var fetches sync.WaitGroup
	woken := make(chan int, len(boxes))
	for _, b := range boxes {
		fetches.Go(func() {
			n := 0
			_, err := b.Fetch(context.Background(), wire.Fetch{MaxBytes: 1 << 20, Wait: 60}, func(*wire.Env) error { n++; return nil })
			if err != nil {
				n = -1
			}
			woken <- n
		})
	}
	wait(t, "all are parked", func() bool { return r.keeper.stats.parked.Load() == clients*each })
	wait(t, "none has a goroutine", func() bool { return serving() == 1 })
	// A connection that ends takes its waits with it.
	if err := hosts[clients-1].Disconnect(r.host.ID()); err != nil {
		t.Fatal(err)
	}
	wait(t, "the waits of a connection that ended are gone", func() bool { return r.keeper.stats.parked.Load() == (clients-1)*each })
	d := r.deposits(hosts[0])
	if _, err := d.Deposit(r.ctx(), &wire.Deposit{TTL: 1, Stamp: p.stamps(r, envelope.S, 1)[0], Envelope: env(envelope.S)}); err != nil {
		t.Fatal(err)
	}
	fetches.Wait()
	close(woken)
	got := map[int]int{}
	for n := range woken {
		got[n]++
	}
	if got[1] != (clients-1)*each || got[-1] != each {
		t.Errorf("woken with %v", got)
	}
}

// wait is for what another goroutine does soon.
func wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(90 * time.Second); !done(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

func TestRequests(t *testing.T) {
	r := newRelay(t, func(r *relay) { r.cfg.LaneEffort = 2 })
	bob := r.person(r.client())
	d := r.deposits(r.client())
	pub := [32]byte(bob.key.Public().(ed25519.PublicKey))
	lane := wire.LaneAddr(pub, [16]byte{})
	make := func(effort uint32) *wire.Request {
		q := &wire.Request{Receipt: true, Lane: lane, Day: r.shelf.Today(), Effort: effort, Envelope: env(envelope.M)}
		var err error
		q.Proof, err = Work(r.ctx(), wire.RequestChallenge([32]byte(r.public()), lane, q.Day, wire.Object(q.Envelope)), max(1, effort))
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	q := make(2)
	if got, err := d.Request(r.ctx(), q); err != nil || got.Dup {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, err := d.Request(r.ctx(), q); err != nil || !got.Dup {
		t.Errorf("%+v, %v", got, err)
	}
	_, err := d.Request(r.ctx(), make(1))
	wantErr(t, err, wire.CodeEffort)
	bad := make(2)
	bad.Effort = 1 << 30
	_, err = d.Request(r.ctx(), bad)
	wantErr(t, err, wire.CodeRefused)
	late := make(2)
	late.Day -= 2
	_, err = d.Request(r.ctx(), late)
	wantErr(t, err, wire.CodeTime)
	got, _ := bob.fetch(r, 0, 0)
	if len(got) != 1 || !got[0].Lane || !bytes.Equal(got[0].Envelope, q.Envelope) {
		t.Errorf("%d requests", len(got))
	}
}

func TestUnsend(t *testing.T) {
	r := newRelay(t)
	bob := r.person(r.client())
	d := r.deposits(r.client())
	cure := envelope.NewCure()
	e := env(envelope.S)
	h := envelope.CureHash(cure)
	copy(e[16:], h[:])
	st := bob.stamps(r, envelope.S, 1)[0]
	if _, err := d.Deposit(r.ctx(), &wire.Deposit{TTL: 3, Stamp: st, Envelope: e}); err != nil {
		t.Fatal(err)
	}
	wantErr(t, d.Unsend(r.ctx(), &wire.Unsend{Stamp: st, Object: wire.Object(e)}), wire.CodeUnknown)
	if err := d.Unsend(r.ctx(), &wire.Unsend{Stamp: st, Object: wire.Object(e), Cure: cure}); err != nil {
		t.Fatal(err)
	}
	if got, _ := bob.fetch(r, 0, 0); len(got) != 0 {
		t.Error("still there")
	}
	// Searches for what others take back keep no owner waiting.
	for range cap(r.keeper.unsends) {
		r.keeper.unsends <- struct{}{}
	}
	wantErr(t, d.Unsend(r.ctx(), &wire.Unsend{Stamp: st, Object: wire.Object(e), Cure: cure}), wire.CodeBusy)
	if got, _ := bob.fetch(r, 0, 0); len(got) != 0 {
		t.Error("still there")
	}
}

// Each kind of hosting takes its own proof and no other.
func TestHosting(t *testing.T) {
	listed := newKey(t)
	tokenKey := [32]byte{7}
	token, forged := NewToken(tokenKey), NewToken([32]byte{8})
	for _, c := range []struct {
		name    string
		hosting wire.Hosting
		key     ed25519.PrivateKey
		proof   func(r *relay, owner [32]byte) []byte
		ok      bool
	}{
		{"open", wire.HostOpen, nil, nil, true},
		{"work", wire.HostWork, nil, workProof, true},
		{"no work", wire.HostWork, nil, nil, false},
		{"work of another", wire.HostWork, nil, func(r *relay, o [32]byte) []byte { o[0]++; return workProof(r, o) }, false},
		{"token", wire.HostToken, nil, func(*relay, [32]byte) []byte { return token[:] }, true},
		{"forged token", wire.HostToken, nil, func(*relay, [32]byte) []byte { return forged[:] }, false},
		{"no token", wire.HostToken, nil, nil, false},
		{"listed", wire.HostList, listed, nil, true},
		{"not listed", wire.HostList, nil, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRelay(t, func(r *relay) {
				r.cfg.Hosting, r.cfg.HostEffort, r.cfg.TokenKey = c.hosting, 2, tokenKey
				r.cfg.Allow = func(o [32]byte) bool { return o == [32]byte(listed.Public().(ed25519.PublicKey)) }
			})
			p := &person{key: c.key, h: r.client()}
			if p.key == nil {
				p.key = newKey(t)
			}
			p.open(r)
			create := new(wire.Create)
			if c.proof != nil {
				create.Proof = c.proof(r, [32]byte(p.key.Public().(ed25519.PublicKey)))
			}
			st, err := p.box.Create(r.ctx(), create)
			if c.ok {
				if err != nil || !st.Found {
					t.Fatalf("%+v, %v", st, err)
				}
				return
			}
			wantErr(t, err, wire.CodeRefused)
		})
	}
}

func workProof(r *relay, owner [32]byte) []byte {
	day := r.shelf.Today()
	p, err := Work(context.Background(), wire.HostChallenge([32]byte(r.public()), owner, day), 2)
	if err != nil {
		r.t.Fatal(err)
	}
	return HostProof(day, p)
}

// Only who has the key gets at a mailbox.
func TestStrangersStayOut(t *testing.T) {
	r := newRelay(t)
	bob := r.person(r.client())
	h := r.client()
	_, _, st, err := OpenMailbox(r.ctx(), h, r.host.ID(), newKey(t))
	if err != nil || st.Found {
		t.Errorf("%+v, %v", st, err)
	}
	// A proof that was made for another connection.
	s, err := openStream(r.ctx(), h, r.host.ID(), wire.ProtocolOwner)
	if err != nil {
		t.Fatal(err)
	}
	in := host.NewFrameReader(s, 64, wire.OwnerAnswerLimit, nil)
	_, body, err := in.Next()
	if err != nil {
		t.Fatal(err)
	}
	hello, err := wire.ParseHello(body)
	if err != nil {
		t.Fatal(err)
	}
	auth := wire.SignAuth(bob.key, [32]byte(r.public()), hello.Nonce, []byte(bob.h.ID()))
	if _, err := s.Write(auth.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := in.Next(); err == nil {
		t.Error("a proof for another channel opens a mailbox")
	}
}

// What breaks the rules ends the stream, and only that.
func TestHostileFrames(t *testing.T) {
	r := newRelay(t)
	bob := r.person(r.client())
	h := r.client()
	for name, c := range map[string]struct {
		proto string
		bytes []byte
	}{
		"unknown type":      {wire.ProtocolDeposit, []byte{0x77, 0, 0, 0}},
		"a huge frame":      {wire.ProtocolDeposit, []byte{wire.TypeDeposit, 0xff, 0xff, 0xff}},
		"a short deposit":   {wire.ProtocolDeposit, []byte{wire.TypeDeposit, 0, 0, 1, 5}},
		"an owner's frame":  {wire.ProtocolDeposit, (&wire.Fetch{}).Append(nil)},
		"fetch before auth": {wire.ProtocolOwner, (&wire.Fetch{}).Append(nil)},
		"a deposit":         {wire.ProtocolOwner, []byte{wire.TypeDeposit, 0, 0, 1, 5}},
		"no proof":          {wire.ProtocolOwner, (&wire.Auth{}).Append(nil)},
	} {
		s, err := openStream(r.ctx(), h, r.host.ID(), protocolOf(c.proto))
		if err != nil {
			t.Fatal(name, err)
		}
		if _, err := s.Write(c.bytes); err != nil {
			t.Fatal(name, err)
		}
		buf := make([]byte, 1<<10)
		if err := s.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = s.Read(buf)
		}
		if late := net.Error(nil); errors.As(err, &late) && late.Timeout() {
			t.Errorf("%s doesn't end the stream", name)
		}
		_ = s.Reset()
	}
	if got, _ := bob.fetch(r, 0, 0); len(got) != 0 {
		t.Error("mail from nowhere")
	}
}

// Rows 8 and 9: a contact who floods with all its stamps fills one mailbox,
// and a stranger at line rate none; the mail of others goes on meanwhile.
func TestFloodOfOneIsNotFeltByAnother(t *testing.T) {
	r := newRelay(t, func(r *relay) { r.so.Quota = 300 * 2048 })
	victim, other := r.person(r.client()), r.person(r.client())
	flood := victim.stamps(r, envelope.S, 1000)
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	counts := map[wire.Code]int{}
	var mu sync.Mutex
	contact := r.client()
	for range 4 {
		d := r.deposits(contact)
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				_, err := d.Deposit(ctx, &wire.Deposit{TTL: 30, Stamp: flood[i%len(flood)], Envelope: env(envelope.S)})
				e := new(wire.Err)
				errors.As(err, &e)
				mu.Lock()
				counts[e.Code]++
				mu.Unlock()
			}
		})
		stranger := r.client()
		ds := r.deposits(stranger)
		wg.Go(func() {
			for ctx.Err() == nil {
				_, _ = ds.Deposit(ctx, &wire.Deposit{TTL: 30, Stamp: stamp.Stamp(env(envelope.S)[:stamp.Size]), Envelope: env(envelope.S)})
				_, _ = ds.Request(ctx, &wire.Request{Lane: [32]byte{1}, Day: r.shelf.Today(), Effort: 1 << 20, Envelope: env(envelope.S)})
			}
		})
	}
	d := r.deposits(r.client())
	for i, st := range other.stamps(r, envelope.S, 250) {
		if _, err := d.Deposit(r.ctx(), &wire.Deposit{TTL: 30, Receipt: true, Stamp: st, Envelope: env(envelope.S)}); err != nil {
			t.Fatalf("deposit %d of another: %v", i, err)
		}
	}
	wait(t, "the flood has filled its mailbox", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return counts[wire.CodeFull] > 0
	})
	stop()
	wg.Wait()
	got, _ := other.fetch(r, 0, 0)
	if len(got) != 250 {
		t.Errorf("%d of 250 are there", len(got))
	}
	st := victim.open(r)
	if st.Live != 300*2048 || st.Overflow == 0 || st.First != 1 {
		t.Errorf("the flooded mailbox: %+v", st)
	}
}

// Drain ends waits and refuses mail, and says when to come back.
func TestDrain(t *testing.T) {
	r := newRelay(t)
	bob := r.person(r.client())
	d := r.deposits(r.client())
	st := bob.stamps(r, envelope.S, 1)[0]
	ended := make(chan error, 1)
	go func() {
		_, err := bob.box.Fetch(context.Background(), wire.Fetch{MaxBytes: 1, Wait: 600}, func(*wire.Env) error { return nil })
		ended <- err
	}()
	wait(t, "the fetch is parked", func() bool { return r.keeper.stats.parked.Load() == 1 })
	r.keeper.Drain()
	wantErr(t, <-ended, wire.CodeBusy)
	_, err := d.Deposit(r.ctx(), &wire.Deposit{TTL: 1, Stamp: st, Envelope: env(envelope.S)})
	wantErr(t, err, wire.CodeBusy)
	r.end()
	r.start()
	h := r.client()
	if _, err := r.deposits(h).Deposit(r.ctx(), &wire.Deposit{TTL: 1, Stamp: st, Envelope: env(envelope.S)}); err != nil {
		t.Error("the stamp is good after the restart", err)
	}
}

// A peer can't take more streams than its part.
func TestStreamsOfOnePeer(t *testing.T) {
	r := newRelay(t)
	h := r.client()
	var errs []error
	for range ownerStreams + 3 {
		_, _, _, err := OpenMailbox(r.ctx(), h, r.host.ID(), newKey(t))
		errs = append(errs, err)
	}
	for i, err := range errs {
		if (err != nil) != (i >= ownerStreams) {
			t.Errorf("stream %d: %v", i, err)
		}
	}
	if _, _, _, err := OpenMailbox(r.ctx(), r.client(), r.host.ID(), newKey(t)); err != nil {
		t.Error("another peer has its own part", err)
	}
}

func protocolOf(s string) protocol.ID { return protocol.ID(s) }
