package discovery

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"rushlight/node/host"
	"rushlight/protocol/beacon"
	"rushlight/protocol/identity"
	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
	"rushlight/storage"
	"rushlight/storage/record"
)

// inMemory is a Store.
type inMemory struct {
	mu     sync.Mutex
	by     map[string][]byte
	before func() // unless nil, once, when something is to be written
}

func (s *inMemory) Pseudonym(label string, id []byte) (out [16]byte) {
	h := sha256.Sum256(append([]byte(label), id...))
	copy(out[:], h[:])
	return out
}

func (s *inMemory) Put(k storage.Key, v []byte) error { s.by[string(k)] = bytes.Clone(v); return nil }
func (s *inMemory) Delete(k storage.Key) error        { delete(s.by, string(k)); return nil }

func (s *inMemory) Remember(_ context.Context, write func(k Keeper) error) error {
	s.mu.Lock()
	before := s.before
	s.before = nil
	s.mu.Unlock()
	if before != nil {
		before()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return write(s)
}

func (s *inMemory) Remembered(prefix storage.Key, each func([]byte) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range s.by {
		if strings.HasPrefix(k, string(prefix)) {
			if err := each(v); err != nil {
				return err
			}
		}
	}
	return nil
}

// somebody is a finder with contacts.
type somebody struct {
	*Finder
	t       *testing.T
	h       *host.Host
	account identity.AccountID
	store   *inMemory
	cancel  context.CancelFunc
	done    chan error

	mu       sync.Mutex
	contacts []PairSecret
	known    map[identity.AccountID][]identity.Hint
	invites  [][32]byte
	waits    bool
	more     []identity.Hint // addresses besides those of the host
	trusts   []peer.AddrInfo // strangers whose loopback addresses are called, too
	found    chan identity.AccountID
	relays   []beacon.Relay
	named    chan []beacon.Relay // by a contact's beacon
}

func newSomebody(t *testing.T, serve bool) *somebody {
	t.Helper()
	s := &somebody{
		t: t, h: onLoopback(t), store: &inMemory{by: map[string][]byte{}},
		known: map[identity.AccountID][]identity.Hint{}, found: make(chan identity.AccountID, 16),
		named: make(chan []beacon.Relay, 16),
	}
	suite.Random(s.account[:])
	s.begin(serve)
	t.Cleanup(s.end)
	return s
}

func (s *somebody) begin(serve bool) {
	s.t.Helper()
	f, err := NewFinder(FinderConfig{
		Host: s.h, Serve: serve, Store: s.store,
		Fresh: s.asker,
		Hints: s.hintsNow, Found: func(a identity.AccountID) { s.found <- a },
		Contacts:  func() []PairSecret { s.mu.Lock(); defer s.mu.Unlock(); return slices.Clone(s.contacts) },
		Known:     func(a identity.AccountID) []identity.Hint { s.mu.Lock(); defer s.mu.Unlock(); return s.known[a] },
		Waits:     func(identity.AccountID) bool { s.mu.Lock(); defer s.mu.Unlock(); return s.waits },
		Mailboxes: func() []beacon.Relay { s.mu.Lock(); defer s.mu.Unlock(); return s.relays },
		FoundRelays: func(_ context.Context, _ identity.AccountID, relays []beacon.Relay, _ time.Time) {
			s.named <- relays
		},
		Invites: func() [][32]byte { s.mu.Lock(); defer s.mu.Unlock(); return slices.Clone(s.invites) },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	s.Finder, s.cancel, s.done = f, cancel, make(chan error, 1)
	go func() { s.done <- f.Run(ctx) }()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for !slices.Contains(s.h.Libp2p().Mux().Protocols(), ProtocolHints) {
		select {
		case <-look.C:
		case <-ctx.Done():
			s.t.Fatal("it doesn't listen")
		}
	}
}

// asker makes a host for questions to strangers.
func (s *somebody) asker() (*host.Host, error) {
	h, err := Fresh(host.Config{})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.trusts {
		h.Trust(p)
	}
	return h, nil
}

func (s *somebody) end() {
	s.cancel()
	if err := <-s.done; err != nil {
		s.t.Error(err)
	}
}

func (s *somebody) restart() {
	s.t.Helper()
	s.end()
	s.begin(false)
}

func (s *somebody) hintsNow() (out []identity.Hint) {
	for _, a := range s.h.Addrs() {
		addr, id := peer.SplitAddr(a)
		out = append(out, identity.Hint{Peer: []byte(id), Addr: addr.Bytes()})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(out, s.more...)
}

// pairUp makes two people contacts.
func pairUp(a, b *somebody) {
	var secret [32]byte
	suite.Random(secret[:])
	for _, x := range [][2]*somebody{{a, b}, {b, a}} {
		x[0].mu.Lock()
		x[0].contacts = append(x[0].contacts, PairSecret{x[1].account, secret})
		x[0].known[x[1].account] = x[1].hintsNow()
		x[0].mu.Unlock()
	}
}

// meet connects a to b, as delivery does, and waits until both know.
func meet(a, b *somebody) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), 90*time.Second)
	defer cancel()
	if err := a.h.Connect(ctx, infoOf(b.h)); err != nil {
		a.t.Fatal(err)
	}
	b.There(a.account, a.h.ID(), false)
	a.There(b.account, b.h.ID(), true)
	for _, x := range [][2]*somebody{{a, b}, {b, a}} {
		eventually(a.t, func() bool {
			x[0].Finder.mu.Lock()
			defer x[0].Finder.mu.Unlock()
			r := x[0].friends[x[1].account]
			return r != nil && r.Reader != [64]byte{}
		})
	}
}

func eventually(t *testing.T, cond func() bool) {
	t.Helper()
	within(t, 90*time.Second, cond)
}

func within(t *testing.T, d time.Duration, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline.C:
			t.Fatal("it does not happen")
		case <-tick.C:
		}
	}
}

// Contacts who are connected know each other's addresses and beacons, also
// after a restart, and tell strangers nothing.
func TestContactsTellEachOther(t *testing.T) {
	a, b := newSomebody(t, false), newSomebody(t, false)
	pairUp(a, b)
	meet(a, b)
	if !sameHints(a.Hints(b.account), b.hintsNow()) || !sameHints(b.Hints(a.account), a.hintsNow()) {
		t.Error("they know other addresses than they have")
	}
	// A new address, as of a circuit, is told at once to whoever is there.
	id := a.h.ID()
	circuit := identity.Hint{Peer: []byte(id), Addr: ma.StringCast("/ip4/5.5.5.5/tcp/1/p2p/" + b.h.ID().String() + "/p2p-circuit").Bytes()}
	a.mu.Lock()
	a.more = []identity.Hint{circuit}
	a.mu.Unlock()
	a.Changed()
	eventually(t, func() bool { return sameHints(b.Hints(a.account), a.hintsNow()) })
	// Control: who has gone is not.
	a.Gone(b.account)
	a.mu.Lock()
	a.more = nil
	a.mu.Unlock()
	a.Changed()
	eventually(t, func() bool { a.Finder.mu.Lock(); defer a.Finder.mu.Unlock(); return len(a.hints) == len(a.hintsNow()) })
	if sameHints(b.Hints(a.account), a.hintsNow()) {
		t.Error("control: told without being there")
	}

	a.restart()
	a.Finder.mu.Lock()
	r := a.friends[b.account]
	a.Finder.mu.Unlock()
	b.Finder.mu.Lock()
	want := b.owner.Reader()
	b.Finder.mu.Unlock()
	if r == nil || readerOf(r.Reader) != want {
		t.Error("forgotten after a restart")
	}

	// Strangers, and a contact of another account, hear nothing.
	eve := newSomebody(t, false)
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	if err := eve.h.Connect(ctx, infoOf(b.h)); err != nil {
		t.Fatal(err)
	}
	var guess [32]byte
	own, _ := eve.mine()
	if _, err := eve.exchange(ctx, pair{guess, eve.h.ID(), b.h.ID()}, own, nil); err == nil {
		t.Error("a stranger was answered")
	}
	for _, body := range [][]byte{
		nil,
		{1},
		make([]byte, askHead), make([]byte, askHead+100),
		make([]byte, hintsLimit(frameAsk)), make([]byte, hintsLimit(frameAsk)+1),
	} {
		s, err := eve.h.Libp2p().NewStream(network.WithNoDial(ctx, ""), b.h.ID(), ProtocolHints)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write(wire.AppendFrame(nil, frameAsk, body)); err != nil {
			continue // it was sent away before it said anything
		}
		if n, err := s.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Error("junk was answered")
		}
	}
	if len(b.Hints(eve.account)) > 0 {
		t.Error("a stranger was believed")
	}
}

// What one says about a third is believed only of devices known to be the
// third's, and told only to whoever shows to know it.
func TestAskingContacts(t *testing.T) {
	a, b, c := newSomebody(t, false), newSomebody(t, false), newSomebody(t, false)
	pairUp(a, b)
	pairUp(b, c)
	pairUp(a, c)
	meet(a, c)
	meet(b, c)
	meet(a, b)

	// a looks for b, whom it can't reach, with c.
	b.Finder.mu.Lock()
	secret := b.owner.Reader().Secret
	b.Finder.mu.Unlock()
	hints, made := a.askAround(t.Context(), b.account, secret, &quest{})
	if !sameHints(hints, b.hintsNow()) || made == 0 {
		t.Errorf("c says %v", hints)
	}
	if got, _ := a.askAround(t.Context(), b.account, [32]byte{1}, &quest{}); len(got) > 0 {
		t.Error("told without knowing the secret")
	}

	// By an invite of b's, once b has told c of it.
	inv := [32]byte{9}
	if got, _ := a.askAround(t.Context(), b.account, vouchSecret(inv), &quest{}); len(got) > 0 {
		t.Error("told of an invite that does not exist")
	}
	b.mu.Lock()
	b.invites = [][32]byte{inv}
	b.mu.Unlock()
	b.Changed()
	eventually(t, func() bool {
		got, _ := a.askAround(t.Context(), b.account, vouchSecret(inv), &quest{})
		return sameHints(got, b.hintsNow())
	})

	foreign := []identity.Hint{{Peer: []byte(c.h.ID()), Addr: []byte{4, 1, 2, 3, 4, 6, 0, 1}}}
	if got := a.ofPeers(b.account, foreign); len(got) > 0 {
		t.Error("another device is believed to be b's")
	}
	now := time.Now().UnixMilli()
	if a.learn(b.account, b.hintsNow(), now+1) {
		t.Error("the same addresses are news")
	}
	other := []identity.Hint{{Peer: []byte(b.h.ID()), Addr: []byte{4, 1, 2, 3, 4, 6, 0, 1}}}
	if a.learn(b.account, other, 1) {
		t.Error("older addresses are believed")
	}
	if !a.learn(b.account, other, now+2) {
		t.Error("newer addresses are not believed")
	}
}

// Somebody who has moved is found by the beacon, and an invite's maker too.
func TestFoundInTheTable(t *testing.T) {
	server, a, b := newSomebody(t, true), newSomebody(t, false), newSomebody(t, false)
	for _, x := range []*somebody{a, b} {
		x.servers.heard(infoOf(server.h), "")
	}
	pairUp(a, b)
	meet(a, b)
	inv := identity.NewInvite(b.account, time.Now().Add(time.Hour))
	inv.Hints = b.hintsNow()
	b.mu.Lock()
	b.invites = [][32]byte{inv.Secret}
	b.mu.Unlock()
	b.Changed()
	eventually(t, func() bool { return b.Status().Copies > 0 && server.Status().Held >= beacon.Places+1 })

	a.Finder.mu.Lock()
	a.friends[b.account].Hints = []identity.Hint{{Peer: []byte(b.h.ID()), Addr: []byte{4, 1, 2, 3, 4, 6, 0, 1}}}
	a.friends[b.account].Made = 1
	clear(a.there)
	a.Finder.mu.Unlock()
	a.mu.Lock()
	a.waits = true
	a.mu.Unlock()
	a.Missed(b.account)
	select {
	case who := <-a.found:
		if who != b.account || !sameHints(a.Hints(who), b.hintsNow()) {
			t.Errorf("found %v", a.Hints(who))
		}
	case <-time.After(90 * time.Second):
		t.Fatal("not found")
	}
	if got := newSomebodyKnowing(t, server).SeekInvite(t.Context(), inv); !sameHints(got, b.hintsNow()) {
		t.Errorf("the maker of the invite is at %v", got)
	}
	// Who asks does so from another host, and the table never sees its own.
	if n := len(server.h.Libp2p().Network().ConnsToPeer(a.h.ID())); n > 0 {
		t.Error("the device itself has called the server")
	}
	// What was remembered is there after a restart.
	a.restart()
	if all, well := a.servers.health(); all != 1 || well != 1 {
		t.Errorf("%d servers remembered, %d well", all, well)
	}
}

// Relays are found in the table by a contact who has never met the owner: it
// was told by what the beacon is read through a relay that has died since.
func TestRelaysFoundInTheTable(t *testing.T) {
	server, a, b := newSomebody(t, true), newSomebody(t, false), newSomebody(t, false)
	for _, x := range []*somebody{a, b} {
		x.servers.heard(infoOf(server.h), "")
	}
	pairUp(a, b)
	want := beacon.Relay{Key: [32]byte{1}, Addrs: [][]byte{{4, 127, 0, 0, 1, 6, 0, 1}}, Request: [32]byte{2}}
	b.mu.Lock()
	b.relays = []beacon.Relay{want}
	b.mu.Unlock()
	b.Changed()
	eventually(t, func() bool { return b.Status().Copies > 0 && server.Status().Held >= beacon.Places })
	b.Finder.mu.Lock()
	reader := readerBytes(b.owner.Reader())
	b.Finder.mu.Unlock()
	a.Reads(b.account, reader)
	a.mu.Lock()
	a.waits = true
	a.mu.Unlock()
	a.Missed(b.account)
	deadline := time.After(time.Minute)
	for found := false; !found; {
		select {
		case got := <-a.named:
			found = sameRelays(got, []beacon.Relay{want})
		case <-deadline:
			t.Fatal("not found")
		}
	}
	a.restart()
	a.Finder.mu.Lock()
	defer a.Finder.mu.Unlock()
	if r := a.friends[b.account]; r == nil || r.Reader != reader {
		t.Error("by what the beacon is read is forgotten")
	}
}

func newSomebodyKnowing(t *testing.T, server *somebody) *somebody {
	t.Helper()
	s := newSomebody(t, false)
	s.servers.heard(infoOf(server.h), "")
	eventually(t, func() bool {
		s.Finder.mu.Lock()
		defer s.Finder.mu.Unlock()
		return s.open
	})
	return s
}

// Who is no contact any more is forgotten, and can't read the beacon: also when
// it spoke, or something of it was being saved, at that moment.
func TestForget(t *testing.T) {
	a, b := newSomebody(t, false), newSomebody(t, false)
	pairUp(a, b)
	meet(a, b)
	a.mu.Lock()
	a.contacts = nil
	a.mu.Unlock()
	a.Finder.mu.Lock()
	before := a.owner.Reader()
	a.dirty[b.account] = true
	a.Finder.mu.Unlock()
	forgot := make(chan error, 1)
	a.store.mu.Lock()
	a.store.before = func() { forgot <- a.Forget(t.Context(), b.account) }
	a.store.mu.Unlock()
	a.ring() // it saves
	if err := <-forgot; err != nil {
		t.Fatal(err)
	}
	a.take(b.account, b.h.ID(), &statement{hints: b.hintsNow(), made: time.Now().UnixMilli()})
	a.Reads(b.account, [64]byte{1})
	a.restart() // everything is saved
	a.Finder.mu.Lock()
	after := a.owner.Reader()
	a.Finder.mu.Unlock()
	if after == before || len(a.Hints(b.account)) > 0 {
		t.Error("nothing has changed")
	}
	if err := a.store.Remembered(record.FriendPrefix(), func([]byte) error { t.Error("still in the store"); return nil }); err != nil {
		t.Fatal(err)
	}
}

// Servers that don't answer go behind those that do, and in the end go.
func TestServers(t *testing.T) {
	s := newServers()
	now := time.Now()
	info := func(i int) peer.AddrInfo {
		return serverInfo(&record.Server{Peer: []byte{byte(i), byte(i >> 8), 1}, Addrs: [][]byte{{4, 11, 0, byte(i >> 8), byte(i), 6, 1, 1}}})
	}
	for i := range 10 {
		s.heard(info(i), "")
		s.tried(info(i), i%2 == 0, now)
	}
	if all, well := s.health(); all != 10 || well != 5 {
		t.Errorf("%d servers, %d well", all, well)
	}
	if c := s.candidates(); len(c) != 10 || c[0].ID[0]%2 != 0 || c[9].ID[0]%2 == 0 {
		t.Error("the well ones don't come first")
	}
	if got := s.tell(now); len(got) != maxServers {
		t.Errorf("%d are told to contacts", len(got))
	}
	for range hopeless {
		s.tried(info(1), false, now)
	}
	if all, _ := s.health(); all != 9 {
		t.Error("a dead one is never forgotten")
	}
	// Whatever others name pushes nobody out who has answered.
	for i := 100; i < 1000; i++ {
		s.heard(info(i), "")
	}
	if all, well := s.health(); all != maxRemembered || well != 5 {
		t.Errorf("%d servers, %d well", all, well)
	}
	s.forget(info(999).ID)
	s.forget(info(998).ID)
	// Calls are paid by who named a node, until it has answered.
	s.heard(info(0), "a contact")
	s.heard(info(2000), "a contact")
	s.heard(info(2001), "")
	for i, want := range map[int]string{0: "", 2000: "a contact", 2001: "", 3000: hearsay} {
		if got := s.payer(info(i).ID); got != want {
			t.Errorf("node %d is paid for by %q", i, got)
		}
	}
	s.tried(info(2000), true, now)
	if got := s.payer(info(2000).ID); got != "" || len(s.named) > len(s.by) {
		t.Errorf("who has answered is paid for by %q, %d are remembered", got, len(s.named))
	}
	put, gone := s.changes(10000)
	if len(put) != maxRemembered || len(gone) == 0 {
		t.Errorf("%d to save, %d to delete", len(put), len(gone))
	}
	if put, gone := s.changes(10000); len(put)+len(gone) != 0 {
		t.Error("saved twice")
	}
}

func FuzzStatement(f *testing.F) {
	full := &statement{
		reader: [64]byte{1}, made: 2, hints: []identity.Hint{{Peer: []byte{1}, Addr: []byte{2}}},
		servers: []record.Server{{Peer: []byte{3}, Addrs: [][]byte{{4}}}}, vouched: [][32]byte{{5}},
		wanted: [][16]byte{{6}}, found: []foundHints{{index: 1, made: 2, hints: []identity.Hint{{Peer: []byte{7}}}}},
	}
	f.Add(full.marshal())
	f.Add((&statement{}).marshal())
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := parseStatement(in)
		if err != nil {
			return
		}
		again, err := parseStatement(s.marshal())
		if err != nil || !bytes.Equal(again.marshal(), s.marshal()) {
			t.Errorf("%x does not survive: %v", in, err)
		}
		if len(s.marshal()) > len(in) {
			t.Error("it has grown")
		}
	})
}

func FuzzAsk(f *testing.F) {
	all := []PairSecret{{Secret: [32]byte{1}}}
	p := pair{all[0].Secret, "d", "l"}
	f.Add(p.ask([32]byte{2}, &statement{}))
	f.Fuzz(func(t *testing.T, in []byte) {
		_, nonce, s, ok := readAsk(in, all, "d", "l")
		if ok && !bytes.Equal(p.ask(nonce, s)[:askHead], in[:askHead]) {
			t.Error("another question")
		}
		_, _ = p.readAnswer([32]byte{2}, in)
	})
}
