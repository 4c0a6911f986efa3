package shelf

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"math"
	"sync"
	"testing"
	"time"

	"rushlight/protocol/envelope"
	"rushlight/protocol/mailbox"
	"rushlight/protocol/pow"
	"rushlight/protocol/stamp"
	"rushlight/protocol/suite"
)

// fakeClock is a day that tests turn by hand. Badger drops by the real clock,
// so never here.
type fakeClock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *fakeClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *fakeClock) dropAt(uint16) time.Time { return time.Now().AddDate(1, 0, 0) }

func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

const day = 24 * time.Hour

var testKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32))

func testOptions(dir string) Options {
	return Options{
		Dir: dir, Root: [32]byte{1}, Key: testKey, MemTableSize: 4 << 20, MinFree: 1, Ballast: -1,
		tick: time.Hour, time: &fakeClock{t: time.Unix(20000*secondsOfDay+7200, 0)},
	}
}

// running is an open shelf whose writer runs.
type running struct {
	*Shelf
	stop context.CancelFunc
	done chan error
}

func start(t testing.TB, o Options) *running {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{s, stop, make(chan error, 1)}
	go func() { r.done <- s.Run(ctx) }()
	t.Cleanup(func() { r.end(t) })
	return r
}

func (r *running) end(t testing.TB) {
	t.Helper()
	if r.Shelf == nil {
		return
	}
	r.stop()
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	r.Shelf = nil
}

// turn lets some days pass.
func (r *running) turn(t testing.TB, days int) {
	t.Helper()
	for range days {
		r.o.time.(*fakeClock).advance(day)
		if err := r.Shelf.turn(); err != nil {
			t.Fatal(err)
		}
	}
}

func owner(n byte) [32]byte { return [32]byte{n, 0xee} }

func newMailbox(t testing.TB, s *Shelf, n byte) uint64 {
	t.Helper()
	h, err := s.Create(owner(n), &mailbox.Create{Lane: true, LaneNonce: [16]byte{n}}, [16]byte{}, true)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func mint(t testing.TB, s *Shelf, h uint64, c envelope.Class, n int) []stamp.Stamp {
	t.Helper()
	_, out, err := s.Mint(h, c, n)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func env(c envelope.Class) []byte {
	b := make([]byte, c.Size())
	suite.Random(b)
	return b
}

// put deposits and waits.
func put(t testing.TB, s *Shelf, st stamp.Stamp, e []byte) Answer {
	t.Helper()
	a, err := tryPut(s, st, e, 30)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func tryPut(s *Shelf, st stamp.Stamp, e []byte, ttl uint8) (Answer, error) {
	ticket, refused := s.OpenStamp(&st)
	if refused != nil {
		return Answer{Refused: refused}, nil //nolint:nilerr // a refusal is an answer
	}
	ended := make(chan error, 1)
	d := &Deposit{Ticket: ticket, Envelope: e, Object: mailbox.Object(e), TTL: ttl, Receipt: true, Done: func(_ *Deposit, err error) { ended <- err }}
	if err := s.Put(d); err != nil {
		return Answer{}, err
	}
	err := <-ended
	return d.Answer, err
}

func code(a Answer) mailbox.Code {
	if a.Refused == nil {
		return 0
	}
	return a.Refused.Code
}

func wantCode(t *testing.T, a Answer, c mailbox.Code) {
	t.Helper()
	if code(a) != c {
		t.Errorf("code %d, want %d", code(a), c)
	}
}

// fetch returns all of a mailbox after a number.
func fetch(t testing.TB, s *Shelf, h, after uint64) (out []*mailbox.Env, end mailbox.End) {
	t.Helper()
	end, err := s.Fetch(h, after, math.MaxInt, func(e *mailbox.Env) error { out = append(out, e); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return out, end
}

func state(t testing.TB, s *Shelf, h uint64) mailbox.State {
	t.Helper()
	st, err := s.State(h)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestDepositAndFetch(t *testing.T) {
	o := testOptions(t.TempDir())
	s := start(t, o)
	a, b := newMailbox(t, s.Shelf, 1), newMailbox(t, s.Shelf, 2)
	var sent [][]byte
	for _, c := range []envelope.Class{envelope.S, envelope.M, envelope.L, envelope.S} {
		e := env(c)
		got := put(t, s.Shelf, mint(t, s.Shelf, a, c, 1)[0], e)
		wantCode(t, got, 0)
		if !got.Receipt.Verify(testKey.Public().(ed25519.PublicKey), mailbox.Object(e), envelope.TagOf(e)) {
			t.Error("the receipt doesn't hold")
		}
		sent = append(sent, e)
	}
	check := func(s *Shelf) {
		t.Helper()
		got, end := fetch(t, s, a, 0)
		if len(got) != len(sent) || end.Next != 4 || end.More {
			t.Fatalf("%d envelopes, %+v", len(got), end)
		}
		for i, e := range got {
			if e.Seq != uint64(i+1) || e.Day != 20000 || e.Lane || !bytes.Equal(e.Envelope, sent[i]) {
				t.Errorf("envelope %d isn't what was sent", i)
			}
		}
		if got, _ := fetch(t, s, b, 0); len(got) != 0 {
			t.Error("another mailbox has mail")
		}
		st := state(t, s, a)
		if !st.Found || st.Next != 5 || st.First != 1 || st.Live != 2*2048+16384+65536 || st.Serial != 4 {
			t.Errorf("%+v", st)
		}
		tags, err := s.Tags(a, 1, 2)
		if err != nil || len(tags.Tags) != 2 || !tags.More || tags.Next != 3 || tags.Tags[0].Tag != envelope.TagOf(sent[1]) {
			t.Errorf("%+v, %v", tags, err)
		}
	}
	check(s.Shelf)
	if got := s.Stats(); got.Mailboxes != 2 || got.Envelopes != 4 || got.Deposits != 4 {
		t.Errorf("%+v", got)
	}
	log := state(t, s.Shelf, a).Log
	s.end(t)
	s = start(t, o)
	check(s.Shelf)
	if state(t, s.Shelf, a).Log != log {
		t.Error("another log after a restart")
	}
	if got := s.Stats(); got.Mailboxes != 2 || got.Envelopes != 4 || got.Live != 2*2048+16384+65536 {
		t.Errorf("%+v after a restart", got)
	}
	// Pages of a fetch: at least one, and then up to the sum.
	n := 0
	end, err := s.Fetch(a, 1, 1, func(*mailbox.Env) error { n++; return nil })
	if err != nil || n != 1 || !end.More || end.Next != 2 {
		t.Errorf("%d envelopes, %+v, %v", n, end, err)
	}
}

// Row 8 of the fault list, at the relay: a stamp is good once; a retry with the
// same envelope is answered alike and stores nothing, also after a restart,
// also when the envelope was trimmed.
func TestStampIsGoodOnce(t *testing.T) {
	o := testOptions(t.TempDir())
	s := start(t, o)
	h := newMailbox(t, s.Shelf, 1)
	st, e := mint(t, s.Shelf, h, envelope.S, 1)[0], env(envelope.S)
	first := put(t, s.Shelf, st, e)
	again := func() {
		t.Helper()
		a := put(t, s.Shelf, st, e)
		wantCode(t, a, 0)
		if !a.Dup || a.ExpDay != first.ExpDay || a.Receipt == nil || !a.Receipt.Verify(testKey.Public().(ed25519.PublicKey), mailbox.Object(e), envelope.TagOf(e)) {
			t.Errorf("%+v", a)
		}
		wantCode(t, put(t, s.Shelf, st, env(envelope.S)), mailbox.CodeSpent)
	}
	again()
	s.end(t)
	s = start(t, o)
	again()
	if got, err := s.Trim(h, []mailbox.Range[uint64]{{From: 1, To: 1}}); err != nil || got.Count != 1 || got.Live != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	again()
	if got, _ := fetch(t, s.Shelf, h, 0); len(got) != 0 {
		t.Error("a retry brought a trimmed envelope back")
	}
	s.turn(t, 3)
	wantCode(t, put(t, s.Shelf, st, e), mailbox.CodeSpent)
	// Both at once, in one commit.
	st, e = mint(t, s.Shelf, h, envelope.S, 1)[0], env(envelope.S)
	var wg sync.WaitGroup
	var mu sync.Mutex
	codes := map[mailbox.Code]int{}
	dups := 0
	for i := range 20 {
		wg.Go(func() {
			with := e
			if i%2 == 1 {
				with = env(envelope.S)
			}
			a, err := tryPut(s.Shelf, st, with, 30)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			codes[code(a)]++
			if a.Dup {
				dups++
			}
		})
	}
	wg.Wait()
	if got, _ := fetch(t, s.Shelf, h, 0); len(got) != 1 || codes[0]-dups != 1 || codes[0]+codes[mailbox.CodeSpent] != 20 {
		t.Errorf("%d stored, codes %v, %d dups", len(got), codes, dups)
	}
}

func TestRefused(t *testing.T) {
	s := start(t, testOptions(t.TempDir()))
	h := newMailbox(t, s.Shelf, 1)
	st := mint(t, s.Shelf, h, envelope.S, 3)
	wantCode(t, put(t, s.Shelf, st[0], env(envelope.M)), mailbox.CodeClass)
	bad := st[0]
	bad[20] ^= 1
	wantCode(t, put(t, s.Shelf, bad, env(envelope.S)), mailbox.CodeExpired)
	wantCode(t, put(t, s.Shelf, st[0], env(envelope.S)), 0) // none of these spent it
	first, more, err := s.Mint(h, envelope.S, 100)
	if err != nil {
		t.Fatal(err)
	}
	n, err := s.Revoke(h, []mailbox.Range[uint32]{{From: 0, To: 1}, {From: first + 10, To: first + 1000}})
	if err != nil || n != 1+90 {
		t.Errorf("%d revoked, %v", n, err)
	}
	wantCode(t, put(t, s.Shelf, st[1], env(envelope.S)), mailbox.CodeSpent)
	wantCode(t, put(t, s.Shelf, more[9], env(envelope.S)), 0)
	wantCode(t, put(t, s.Shelf, more[10], env(envelope.S)), mailbox.CodeSpent)
	if _, err := s.Revoke(h, []mailbox.Range[uint32]{{From: 0, To: math.MaxUint32}}); !isCode(err, mailbox.CodeTooBig) {
		t.Error(err)
	}
	// A stamp that was made after it was taken back counts again.
	if n, err := s.Revoke(h, []mailbox.Range[uint32]{{From: first + 100, To: first + 200}}); n != 0 || err != nil {
		t.Error(n, err)
	}
	wantCode(t, put(t, s.Shelf, mint(t, s.Shelf, h, envelope.S, 1)[0], env(envelope.S)), 0)
	for {
		if _, _, err = s.Mint(h, envelope.S, mailbox.MaxMint); err != nil {
			break
		}
	}
	if !isCode(err, mailbox.CodeTooBig) || state(t, s.Shelf, h).Serial > stamp.MaxOutstanding {
		t.Error(err)
	}
	// 119 days later none of them is good, and there is room for new ones.
	s.turn(t, 60)
	if _, found, err := s.Login(owner(1)); !found || err != nil {
		t.Fatal(found, err)
	}
	s.turn(t, 60)
	wantCode(t, put(t, s.Shelf, more[0], env(envelope.S)), mailbox.CodeExpired)
	mint(t, s.Shelf, h, envelope.S, 1)
}

func isCode(err error, c mailbox.Code) bool {
	e := new(mailbox.Err)
	return errors.As(err, &e) && e.Code == c
}

// Row 10: a full mailbox says so to both sides, spends no stamp, loses nothing
// that is there, and is nobody else's concern.
func TestFullMailbox(t *testing.T) {
	o := testOptions(t.TempDir())
	o.Quota = 5 * 2048
	s := start(t, o)
	h, other := newMailbox(t, s.Shelf, 1), newMailbox(t, s.Shelf, 2)
	sts := mint(t, s.Shelf, h, envelope.S, 8)
	for i := range 5 {
		wantCode(t, put(t, s.Shelf, sts[i], env(envelope.S)), 0)
	}
	for range 3 {
		wantCode(t, put(t, s.Shelf, sts[5], env(envelope.S)), mailbox.CodeFull)
	}
	wantCode(t, put(t, s.Shelf, mint(t, s.Shelf, other, envelope.S, 1)[0], env(envelope.S)), 0)
	if st := state(t, s.Shelf, h); st.Overflow != 3 || st.Live != 5*2048 || st.First != 1 {
		t.Errorf("%+v", st)
	}
	s.end(t)
	s = start(t, o)
	if st := state(t, s.Shelf, h); st.Overflow != 3 {
		t.Errorf("overflow %d after a restart", st.Overflow)
	}
	if _, err := s.Trim(h, []mailbox.Range[uint64]{{From: 2, To: 3}}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, put(t, s.Shelf, sts[5], env(envelope.S)), 0)
	got, _ := fetch(t, s.Shelf, h, 0)
	if len(got) != 4 || got[3].Seq != 6 {
		t.Errorf("%d left", len(got))
	}
	// What has expired takes no room.
	s.turn(t, 31)
	if st := state(t, s.Shelf, h); st.Live != 0 || st.First != 7 || st.Next != 7 {
		t.Errorf("%+v after a month", st)
	}
}

func request(t testing.TB, s *Shelf, h uint64, e []byte, effort uint32) Answer {
	t.Helper()
	ended := make(chan error, 1)
	d := &Deposit{Envelope: e, Object: mailbox.Object(e), Done: func(_ *Deposit, err error) { ended <- err }}
	lane := s.boxAddr(h)
	if err := s.PutRequest(d, Request{Lane: lane, Effort: effort}); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	return d.Answer
}

func (s *Shelf) boxAddr(h uint64) (addr [32]byte) {
	if err := s.do(0, func(g *group) error { addr = g.box(h).addr(); return nil }); err != nil {
		panic(err)
	}
	return addr
}

// Row 9: strangers displace each other by work, and never what came with a
// stamp; what is displaced is counted.
func TestRequestLane(t *testing.T) {
	o := testOptions(t.TempDir())
	o.Lane, o.Quota = 4, 2*2048
	s := start(t, o)
	h := newMailbox(t, s.Shelf, 1)
	sts := mint(t, s.Shelf, h, envelope.S, 3)
	wantCode(t, put(t, s.Shelf, sts[0], env(envelope.S)), 0)
	reqs := [][]byte{env(envelope.M), env(envelope.M), env(envelope.S), env(envelope.S), env(envelope.M)}
	for i, effort := range []uint32{70, 64, 64, 90} {
		wantCode(t, request(t, s.Shelf, h, reqs[i], effort), 0)
	}
	low := request(t, s.Shelf, h, reqs[4], 64)
	wantCode(t, low, mailbox.CodeEffort)
	if v, ok := low.Refused.Effort(); !ok || v != 65 {
		t.Errorf("suggested effort %d", v)
	}
	wantCode(t, request(t, s.Shelf, h, reqs[4], 65), 0)
	if a := request(t, s.Shelf, h, reqs[0], 64); !a.Dup {
		t.Error("a retry is no duplicate")
	}
	st := state(t, s.Shelf, h)
	if st.Lane != 4 || st.Lost != 1 || st.Overflow != 0 || st.Live != 2048 {
		t.Errorf("%+v", st)
	}
	// The lane takes nothing of the quota.
	wantCode(t, put(t, s.Shelf, sts[1], env(envelope.S)), 0)
	wantCode(t, put(t, s.Shelf, sts[2], env(envelope.S)), mailbox.CodeFull)
	got, _ := fetch(t, s.Shelf, h, 0)
	lane := 0
	for _, e := range got {
		if e.Lane {
			lane++
		}
		if bytes.Equal(e.Envelope, reqs[2]) {
			t.Error("the newest with the least work is still there")
		}
	}
	if len(got) != 6 || lane != 4 {
		t.Errorf("%d envelopes, %d of strangers", len(got), lane)
	}
	// Work that was used is not good again, also when its envelope is gone.
	if _, err := s.Trim(h, []mailbox.Range[uint64]{{From: 0, To: math.MaxUint64}}); err != nil {
		t.Fatal(err)
	}
	if a := request(t, s.Shelf, h, reqs[0], 70); !a.Dup {
		t.Error("the same work twice")
	}
	if got, _ := fetch(t, s.Shelf, h, 0); len(got) != 0 {
		t.Error("a request came back")
	}
	if st := state(t, s.Shelf, h); st.Lane != 0 {
		t.Errorf("%d requests", st.Lane)
	}
	// A lane that was turned off, or given another address, has gone.
	old := s.boxAddr(h)
	if _, err := s.Create(owner(1), &mailbox.Create{}, [16]byte{}, false); err != nil {
		t.Fatal(err)
	}
	d := &Deposit{Envelope: reqs[1], Done: func(*Deposit, error) {}}
	ended := make(chan error, 1)
	d.Done = func(_ *Deposit, err error) { ended <- err }
	if err := s.PutRequest(d, Request{Lane: old, Effort: 1000}); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil || code(d.Answer) != mailbox.CodeUnknown {
		t.Error(err, code(d.Answer))
	}
}

func TestCheckWork(t *testing.T) {
	s := start(t, testOptions(t.TempDir()))
	e := env(envelope.S)
	q := mailbox.Request{Lane: [32]byte{5}, Day: 20001, Effort: 2, Envelope: e}
	challenge := mailbox.RequestChallenge(s.Relay(), q.Lane, q.Day, mailbox.Object(e))
	solver := pow.NewSolver()
	for n, ok := uint64(0), false; !ok; n++ {
		q.Proof, ok = solver.Solve(challenge, n, q.Effort)
	}
	if err := s.CheckWork(&q, mailbox.Object(e), 1); err != nil {
		t.Fatal(err)
	}
	if err := s.CheckWork(&q, mailbox.Object(env(envelope.S)), 1); err == nil || err.Code != mailbox.CodeRefused {
		t.Error("work for one envelope passes for another", err)
	}
	if err := s.CheckWork(&q, mailbox.Object(e), 3); err == nil || err.Code != mailbox.CodeEffort {
		t.Error(err)
	}
	q.Day = 20003
	if err := s.CheckWork(&q, mailbox.Object(e), 1); err == nil || err.Code != mailbox.CodeTime {
		t.Error(err)
	}
}

func TestUnsend(t *testing.T) {
	s := start(t, testOptions(t.TempDir()))
	h := newMailbox(t, s.Shelf, 1)
	var cure [16]byte
	suite.Random(cure[:])
	e := env(envelope.S)
	hash := envelope.CureHash(cure)
	copy(e[16:], hash[:])
	put(t, s.Shelf, mint(t, s.Shelf, h, envelope.S, 1)[0], env(envelope.S))
	put(t, s.Shelf, mint(t, s.Shelf, h, envelope.S, 1)[0], e)
	if err := s.Unsend(h, mailbox.Object(e), [16]byte{}); !isCode(err, mailbox.CodeUnknown) {
		t.Error("deleted without its cure", err)
	}
	if err := s.Unsend(h, [16]byte{}, cure); !isCode(err, mailbox.CodeUnknown) {
		t.Error("deleted by another id", err)
	}
	if err := s.Unsend(h, mailbox.Object(e), cure); err != nil {
		t.Fatal(err)
	}
	if got, _ := fetch(t, s.Shelf, h, 0); len(got) != 1 || got[0].Seq != 1 {
		t.Errorf("%d left", len(got))
	}
	if st := state(t, s.Shelf, h); st.Live != 2048 {
		t.Errorf("%+v", st)
	}
	if n, err := s.Erase(mailbox.Object(mustFetch(t, s.Shelf, h))); n != 1 || err != nil {
		t.Error(n, err)
	}
}

func mustFetch(t *testing.T, s *Shelf, h uint64) []byte {
	t.Helper()
	got, _ := fetch(t, s, h, 0)
	return got[0].Envelope
}

func TestHosting(t *testing.T) {
	s := start(t, testOptions(t.TempDir()))
	c := &mailbox.Create{}
	if _, err := s.Create(owner(1), c, [16]byte{}, false); !isCode(err, mailbox.CodeRefused) {
		t.Error(err)
	}
	token := [16]byte{9}
	h, err := s.Create(owner(1), c, token, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(owner(2), c, token, true); !isCode(err, mailbox.CodeRefused) {
		t.Error("a token made two mailboxes", err)
	}
	if again, err := s.Create(owner(1), &mailbox.Create{Quota: 4096}, [16]byte{}, false); err != nil || again != h {
		t.Error("one that is there needs no proof", err)
	}
	if st := state(t, s.Shelf, h); st.Quota != 4096 {
		t.Errorf("%+v", st)
	}
	if _, err := s.Create(owner(1), &mailbox.Create{Quota: 1 << 40}, [16]byte{}, false); !isCode(err, mailbox.CodeTooBig) {
		t.Error(err)
	}
	if _, found, err := s.Login(owner(7)); found || err != nil {
		t.Error(found, err)
	}
}

func TestCloseAndLease(t *testing.T) {
	o := testOptions(t.TempDir())
	s := start(t, o)
	h := newMailbox(t, s.Shelf, 1)
	sts := mint(t, s.Shelf, h, envelope.S, 3)
	put(t, s.Shelf, sts[0], env(envelope.S))
	if err := s.CloseBox(h, []byte("moved")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		a := put(t, s.Shelf, sts[1], env(envelope.S))
		wantCode(t, a, mailbox.CodeGone)
		if string(a.Refused.Extra) != "moved" {
			t.Errorf("told %q", a.Refused.Extra)
		}
		if got, _ := fetch(t, s.Shelf, h, 0); len(got) != 0 {
			t.Error("mail is left")
		}
		if _, found, err := s.Login(owner(1)); found || err != nil {
			t.Error(found, err)
		}
		s.end(t)
		s = start(t, o)
	}
	if st := s.Stats(); st.Mailboxes != 0 || st.Live != 0 {
		t.Errorf("%+v", st)
	}
	// The owner may come back, to a new mailbox.
	if h2 := newMailbox(t, s.Shelf, 1); h2 == h {
		t.Error("the old handle")
	}

	// A lease ends 90 days after the last visit, not after the first.
	h = newMailbox(t, s.Shelf, 2)
	s.turn(t, 80)
	if _, found, err := s.Login(owner(2)); !found || err != nil {
		t.Fatal(found, err)
	}
	st := mint(t, s.Shelf, h, envelope.S, 2)
	s.turn(t, 90)
	wantCode(t, put(t, s.Shelf, st[0], env(envelope.S)), 0)
	s.turn(t, 1)
	wantCode(t, put(t, s.Shelf, st[1], env(envelope.S)), mailbox.CodeGone)
	if got := state(t, s.Shelf, h); got.Found {
		t.Error("found after its lease")
	}
}
