package post_test

import (
	"crypto/ed25519"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"rushlight/node/engine"
	"rushlight/node/host"
	"rushlight/node/mailbox"
	"rushlight/protocol/envelope"
	wire "rushlight/protocol/mailbox"
	"rushlight/protocol/receipt"
	"rushlight/protocol/stamp"
	"rushlight/protocol/suite"
	"rushlight/storage/record"
)

// liar is a relay that signs for every deposit and keeps none, or as an honest
// one keeps them for its only owner.
type liar struct {
	t     testing.TB
	seed  [32]byte
	key   [32]byte
	addrs [][]byte

	mu      sync.Mutex
	honest  bool
	silent  bool // it gives out a log that ends before what it has signed for
	batch   uint64
	log     []wire.Env
	taken   int
	fetches int
}

func newLiar(t testing.TB) *liar {
	t.Helper()
	l := &liar{t: t}
	suite.Random(l.seed[:])
	h, err := host.New(host.Config{Key: l.seed, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Profile: host.Relay})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	if l.key, err = mailbox.RelayKey(h.ID()); err != nil {
		t.Fatal(err)
	}
	for _, a := range h.Libp2p().Addrs() {
		l.addrs = append(l.addrs, a.Bytes())
	}
	h.Libp2p().SetStreamHandler(wire.ProtocolDeposit, l.deposits)
	h.Libp2p().SetStreamHandler(wire.ProtocolOwner, l.owner)
	return l
}

func (l *liar) deposits(s network.Stream) {
	defer s.Close()
	in := host.NewFrameReader(s, 64, wire.DepositLimit, nil)
	for {
		typ, body, err := in.Next()
		if err != nil || typ != wire.TypeDeposit {
			return
		}
		d, err := wire.ParseDeposit(body)
		if err != nil {
			return
		}
		l.mu.Lock()
		l.taken++
		l.batch++
		if l.honest {
			l.log = append(l.log, wire.Env{Seq: uint64(len(l.log)) + 1, Envelope: append([]byte(nil), d.Envelope...)})
		}
		leaf := receipt.Leaf(wire.Object(d.Envelope), envelope.TagOf(d.Envelope))
		r := receipt.Sign(ed25519.NewKeyFromSeed(l.seed[:]), l.batch, 20000, [][32]byte{leaf})[0]
		l.mu.Unlock()
		if _, err := s.Write((&wire.Stored{ID: d.ID, ExpDay: 20030, Receipt: &r}).Append(nil)); err != nil {
			return
		}
	}
}

func (l *liar) owner(s network.Stream) {
	defer s.Close()
	hello := wire.Hello{Unix: uint64(time.Now().Unix()), TTL: 30, Quota: 1 << 20, Lane: 1}
	in := host.NewFrameReader(s, 64, wire.OwnerLimit, nil)
	out := hello.Append(nil)
	for {
		if _, err := s.Write(out); err != nil {
			return
		}
		typ, body, err := in.Next()
		if err != nil {
			return
		}
		out = l.answer(typ, body)
		if q, err := wire.ParseFetch(body); typ == wire.TypeFetch && err == nil && q.Wait > 0 {
			<-time.After(50 * time.Millisecond)
		}
	}
}

func (l *liar) answer(typ uint8, body []byte) (out []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch typ {
	case wire.TypeAuth, wire.TypeCreate:
		return (&wire.State{Found: true, Log: [16]byte{1}, Next: uint64(len(l.log)) + 1, Quota: 1 << 20}).Append(nil)
	case wire.TypeStamps:
		q, err := wire.ParseStamps(body)
		if err != nil {
			return nil
		}
		m := &wire.Minted{Stamps: make([]stamp.Stamp, q.Count)}
		for i := range m.Stamps {
			suite.Random(m.Stamps[i][:])
		}
		return m.Append(nil)
	case wire.TypeFetch:
		q, err := wire.ParseFetch(body)
		if err != nil {
			return nil
		}
		l.fetches++
		end := wire.End{Next: q.After, Batch: l.batch}
		if l.silent {
			end.Batch = 0
		}
		for _, e := range l.log {
			if e.Seq > q.After {
				out = append(out, e.Append(nil)...)
				end.Next = e.Seq
			}
		}
		return append(out, end.Append(nil)...)
	case wire.TypeTrim:
		return (&wire.Trimmed{}).Append(nil)
	case wire.TypeRevoke:
		return wire.AppendRevoked(nil, 0)
	}
	return nil
}

func (p *person) mailboxAt(key [32]byte) record.Relay {
	for _, r := range p.Mailboxes() {
		if r.Key == key {
			return r
		}
	}
	return record.Relay{}
}

// TestLiarIsNamed tests relays with letters to oneself. The one that signs and
// keeps nothing is found out, there is proof of it, and contacts are told of
// the other alone. An honest relay passes many tests, a real one, too: it is the
// control.
func TestLiarIsNamed(t *testing.T) {
	bad, good, real := newLiar(t), newLiar(t), newRelay(t)
	good.honest = true
	b := newPerson(t, "bob")
	b.cfg.Canaries = 400 * time.Millisecond
	b.online()
	for _, l := range []*liar{bad, good} {
		b.at(&relay{key: l.key, addrs: l.addrs})
	}
	b.at(real)
	b.until("the liar is found out", func() bool { return b.mailboxAt(bad.key).Lied != 0 })
	r := b.mailboxAt(bad.key)
	proof, err := engine.ParseProof(r.Proof)
	if err != nil || !proof.Holds(bad.key) {
		t.Error("the proof doesn't hold:", err)
	}
	if err == nil && proof.Holds(good.key) {
		t.Error("the proof holds against another relay")
	}
	if !engine.Bad(&r) {
		t.Error("contacts are still told of it")
	}
	passed := map[int64]bool{}
	b.until("the others pass tests", func() bool {
		for _, key := range [][32]byte{good.key, real.key} {
			r := b.mailboxAt(key)
			if r.Lied != 0 || r.Missed > 2 {
				t.Fatalf("an honest relay is accused: lied %d, missed %d", r.Lied, r.Missed)
			}
		}
		passed[b.mailboxAt(real.key).Canary] = true
		return len(passed) > 3 && b.mailboxAt(good.key).Canary != 0
	})
	b.until("the tests are taken away again", func() bool { return real.Status().Fetched > 0 })
}

// TestWithholderIsDown tests a relay that says it has not come so far yet: no
// proof, but after three tests contacts are told of others.
func TestWithholderIsDown(t *testing.T) {
	bad, good := newLiar(t), newRelay(t)
	bad.silent = true
	b := newPerson(t, "bob")
	b.cfg.Canaries = 300 * time.Millisecond
	b.online()
	b.at(&relay{key: bad.key, addrs: bad.addrs})
	b.at(good)
	b.until("it is noticed", func() bool { return b.mailboxAt(bad.key).Missed >= 3 })
	if r := b.mailboxAt(bad.key); r.Lied != 0 || !engine.Bad(&r) {
		t.Errorf("lied %d, bad %v", r.Lied, engine.Bad(&r))
	}
}
