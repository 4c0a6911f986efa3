package post_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rushlight/node/delivery/parcel"
	"rushlight/node/discovery"
	"rushlight/node/engine"
	"rushlight/node/host"
	"rushlight/node/mailbox"
	"rushlight/node/post"
	"rushlight/protocol/identity"
	"rushlight/storage"
	"rushlight/storage/record"
)

// The goroutines left out are a library's, started once for the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/libp2p/go-flow-metrics.(*sweeper).run"),
		goleak.IgnoreAnyFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}

// person is an engine with a real store, and a post while it is online.
type person struct {
	t   testing.TB
	dir string
	cfg post.Config
	*engine.Engine
	store *storage.Store
	post  *post.Post
	stop  []func()
	away  func()
}

func newPerson(t testing.TB, name string) *person {
	t.Helper()
	p := &person{t: t, dir: t.TempDir(), cfg: post.Config{Patience: time.Millisecond, Gather: 5 * time.Millisecond}}
	p.open()
	if err := engine.Create(p.store, identity.NewRecoveryCode(), name, time.Now()); err != nil {
		t.Fatal(err)
	}
	p.start()
	t.Cleanup(p.close)
	return p
}

func (p *person) open() {
	p.t.Helper()
	var err error
	if p.store, err = storage.Open(storage.Options{Dir: p.dir, Root: [32]byte{1}, Ballast: -1, MinFree: -1}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *person) start() {
	p.t.Helper()
	e, err := engine.Open(p.store, engine.Options{})
	if err != nil {
		p.t.Fatal(err)
	}
	p.Engine = e
	p.run(e.Run)
}

// run begins something that ends with close.
func (p *person) run(f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			p.t.Error(err)
		}
	}
	p.stop = append(p.stop, stop)
	return stop
}

func (p *person) close() {
	for _, stop := range slices.Backward(p.stop) {
		stop()
	}
	p.stop = nil
	if err := p.store.Close(); err != nil {
		p.t.Error(err)
	}
}

// online begins to speak to relays, until the function it returns is called.
func (p *person) online() (offline func()) {
	cfg := p.cfg
	cfg.Engine = p.Engine
	cfg.Fresh = func() (*host.Host, error) { return discovery.Fresh(host.Config{}) }
	p.post = post.New(cfg)
	p.SetCourier(p.post)
	p.away = p.run(p.post.Run)
	return p.away
}

func (p *person) until(what string, done func() bool) {
	p.t.Helper()
	late := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			p.t.Fatal("waited too long until", what)
		}
	}
}

// at makes a mailbox at a relay.
func (p *person) at(r *relay) {
	p.t.Helper()
	if err := p.AddRelay(p.t.Context(), r.key, r.addrs, nil); err != nil {
		p.t.Fatal(err)
	}
	p.until("the mailbox is made", func() bool {
		for _, m := range p.Mailboxes() {
			if m.Key == r.key && m.Ready && p.post.Status(r.key).Ready {
				return true
			}
		}
		return false
	})
}

// join makes two people contacts, without any network.
func join(a, b *person) {
	a.t.Helper()
	ctx := a.t.Context()
	link, _, err := a.CreateInvite(ctx, engine.InviteOptions{Uses: 1, Life: time.Hour})
	if err != nil {
		a.t.Fatal(err)
	}
	inv, err := identity.ParseInvite(link)
	if err != nil {
		a.t.Fatal(err)
	}
	if err := b.Join(ctx, inv, link, "", "", false); err != nil {
		a.t.Fatal(err)
	}
	_, reply, code := a.ServeInvite(ctx, inv.ID, func(s [32]byte) bool { return s == inv.Secret })
	if code != 0 {
		a.t.Fatal("invite refused with code", code)
	}
	if err := b.Offered(ctx, inv, reply); err != nil {
		a.t.Fatal(err)
	}
	for range 3 {
		b.carry(a)
		a.carry(b)
	}
}

// carry brings everything that waits for other there, as a direct stream would.
func (p *person) carry(other *person) {
	p.t.Helper()
	ctx := p.t.Context()
	for _, x := range [][2]*person{{p, other}, {other, p}} {
		if err := x[0].PeerCounters(ctx, x[1].Device(), x[1].Counters(x[0].Device())); err != nil {
			p.t.Fatal(err)
		}
	}
	for {
		parcels, err := p.Pending(other.Account(), 0, 64)
		if err != nil {
			p.t.Fatal(err)
		}
		if len(parcels) == 0 {
			return
		}
		var envs [][]byte
		for _, x := range parcels {
			envs = append(envs, x.Envelope)
		}
		var acks []parcel.Ack
		for i, r := range other.ReceiveBatch(ctx, p.Device(), envs) {
			if r.Err != nil {
				p.t.Fatal("envelope refused:", r.Err)
			}
			acks = append(acks, parcel.Ack{Seq: parcels[i].Seq, MAC: r.MAC})
		}
		if err := p.Acked(ctx, other.Account(), other.Device(), acks); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *person) say(other *person, text string) engine.Sent {
	p.t.Helper()
	s, err := p.Send(p.t.Context(), engine.Send{To: other.Account(), Text: text})
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

func (p *person) state(other *person, text string) record.MessageState {
	p.t.Helper()
	views, err := p.Read(p.t.Context(), engine.Read{With: other.Account(), Peek: true})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, v := range views {
		if v.Text == text {
			return v.State
		}
	}
	return 0
}

func (p *person) has(other *person, text string) bool { return p.state(other, text) != 0 }

// relay is a real one in this process.
type relay struct {
	*mailbox.Relay
	t     testing.TB
	dir   string
	key   [32]byte
	addrs [][]byte
	least uint32 // work of a request
	halt  func()
}

func newRelay(t testing.TB) *relay { return newRelayAsking(t, 0) }

// newRelayAsking is a relay that asks for so much work for a request.
func newRelayAsking(t testing.TB, effort uint32) *relay {
	t.Helper()
	r := &relay{t: t, dir: filepath.Join(t.TempDir(), "relay"), least: effort}
	if err := os.Mkdir(r.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	r.start("/ip4/127.0.0.1/tcp/0")
	t.Cleanup(func() { r.halt() })
	return r
}

func (r *relay) start(at string) {
	r.t.Helper()
	var err error
	if r.Relay, err = mailbox.OpenRelay(r.t.Context(), mailbox.RelayConfig{Dir: r.dir, Listen: []string{at}, Keeper: mailbox.Config{LaneEffort: r.least}}); err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	<-r.Ready()
	peers, err := host.ParsePeers(r.Addrs())
	if err != nil || len(peers) != 1 {
		r.t.Fatal(peers, err)
	}
	if r.key, err = mailbox.RelayKey(peers[0].ID); err != nil {
		r.t.Fatal(err)
	}
	r.addrs = nil
	for _, a := range peers[0].Addrs {
		r.addrs = append(r.addrs, a.Bytes())
	}
	r.halt = func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
		if err := r.Close(); err != nil {
			r.t.Error(err)
		}
		r.halt = func() {}
	}
}

// pair are two contacts: b has mailboxes at the relays, and a knows of them.
func pair(t testing.TB, relays ...*relay) (a, b *person) {
	t.Helper()
	a, b = newPerson(t, "ann"), newPerson(t, "bob")
	join(a, b)
	b.online()
	for _, r := range relays {
		b.at(r)
	}
	a.until("it is known where mail can be left", func() bool {
		b.carry(a)
		n, err := a.Relays(b.Account())
		return err == nil && n == len(relays)
	})
	return a, b
}

// TestMailWaits leaves mail at a relay for somebody who is away, who fetches
// it later and acknowledges it by way of the sender's own relay.
func TestMailWaits(t *testing.T) {
	r1, r2 := newRelay(t), newRelay(t)
	a, b := pair(t, r1)
	a.online()
	a.at(r2)
	b.until("it is known where answers can be left", func() bool {
		a.carry(b)
		n, err := b.Relays(a.Account())
		return err == nil && n == 1
	})
	b.away()
	a.say(b, "waits")
	a.until("it is stored", func() bool { return a.state(b, "waits") == record.StateStored })
	if b.has(a, "waits") {
		t.Fatal("it came without being fetched")
	}
	b.online()
	b.until("it is fetched", func() bool { return b.has(a, "waits") })
	a.until("it is acknowledged", func() bool { return a.state(b, "waits") >= record.StateDelivered })
	b.until("the mailboxes are empty", func() bool { return r1.Status().Envelopes+r2.Status().Envelopes == 0 })
}

// TestBlockedIsLikeRunOut blocks a contact: its deposits are refused as if its
// stamps were used up, those that were under way are dropped, and after it is
// unblocked everything arrives.
func TestBlockedIsLikeRunOut(t *testing.T) {
	r := newRelay(t)
	a, b := pair(t, r)
	b.away()
	offline := a.online()
	a.say(b, "before")
	a.until("it is stored", func() bool { return a.state(b, "before") == record.StateStored })
	offline()
	if err := b.Block(t.Context(), a.Account()); err != nil {
		t.Fatal(err)
	}
	b.online()
	b.until("the stamps are taken back", func() bool { return !b.Revokes(r.key) })
	b.until("the mail of who is blocked is dropped", func() bool { return r.Status().Envelopes == 0 })
	if b.has(a, "before") {
		t.Error("mail of somebody blocked is shown")
	}
	refused := r.Status().Refused
	a.online()
	a.say(b, "meanwhile")
	a.until("a deposit is refused", func() bool { return r.Status().Refused > refused })
	if s := a.state(b, "meanwhile"); s != record.StateQueued {
		t.Error("state of what was refused is", s)
	}
	if n := r.Status().Envelopes; n != 0 {
		t.Error("envelopes at the relay:", n)
	}
	if err := b.Unblock(t.Context(), a.Account()); err != nil {
		t.Fatal(err)
	}
	b.until("new stamps were given", func() bool {
		b.carry(a)
		a.post.Wake(b.Account())
		return b.has(a, "meanwhile")
	})
}

// TestGivenUpIsDeleted removes a relay: what waits there is fetched, and the
// mailbox is deleted.
func TestGivenUpIsDeleted(t *testing.T) {
	r := newRelay(t)
	a, b := pair(t, r)
	b.away()
	offline := a.online()
	a.say(b, "last")
	a.until("it is stored", func() bool { return a.state(b, "last") == record.StateStored })
	offline()
	b.cfg.Leave = time.Millisecond
	b.online()
	if err := b.RemoveRelay(t.Context(), r.key); err != nil {
		t.Fatal(err)
	}
	b.until("the mailbox is deleted", func() bool { return r.Status().Mailboxes == 0 && len(b.Mailboxes()) == 0 })
	if !b.has(a, "last") {
		t.Error("what waited there was lost")
	}
}

// TestAccountEnds deletes all mailboxes.
func TestAccountEnds(t *testing.T) {
	r1, r2 := newRelay(t), newRelay(t)
	_, b := pair(t, r1, r2)
	all := b.Mailboxes()
	b.away()
	if n := r1.Status().Mailboxes + r2.Status().Mailboxes; n != 2 {
		t.Fatal("mailboxes:", n)
	}
	b.post.CloseAll(20*time.Second, all)
	b.until("they are deleted", func() bool { return r1.Status().Mailboxes+r2.Status().Mailboxes == 0 })
}
