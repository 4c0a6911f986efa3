package attacker

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"rushlight/node/engine"
	"rushlight/node/host"
	"rushlight/node/mailbox"
	"rushlight/protocol/identity"
	"rushlight/protocol/stamp"
	"rushlight/protocol/suite"
	"rushlight/storage"
	"rushlight/storage/shelf"
)

// lab is some relays and some people.
type lab struct {
	t    testing.TB
	base string
	mu   sync.Mutex
	n    int
}

// newLab works in memory where the system has such a place: nothing here is
// about disks that fail.
func newLab(t testing.TB) *lab {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "rushlight-attacker-")
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return &lab{t: t, base: dir}
}

func (l *lab) dir() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	return filepath.Join(l.base, fmt.Sprint(l.n))
}

func (l *lab) must(err error) {
	l.t.Helper()
	if err != nil { // what went wrong on the network leaves its cause out of its text
		l.t.Fatal(err, ": ", errors.Unwrap(err))
	}
}

// relay is one as an operator runs it, with a log that says all it can.
type relay struct {
	l    *lab
	cfg  mailbox.RelayConfig
	at   peer.AddrInfo
	key  [32]byte
	log  bytes.Buffer // read it when the relay has ended
	stop func()

	opened []stamp.Ticket // by whoever seized it
}

func (l *lab) relay() *relay {
	l.t.Helper()
	r := &relay{l: l}
	r.cfg = mailbox.RelayConfig{
		Dir: l.dir(), Listen: []string{"/ip4/127.0.0.1/tcp/0"},
		Shelf:  shelf.Options{MemTableSize: 8 << 20, MinFree: 1, Ballast: -1, Quota: 1 << 30},
		Keeper: mailbox.Config{Quota: 1 << 30, TTL: 30, Lane: 64},
		Logger: slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	runs, err := mailbox.OpenRelay(context.Background(), r.cfg)
	l.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- runs.Run(ctx) }()
	<-runs.Ready()
	r.stop = func() {
		cancel()
		if err := errors.Join(<-ended, runs.Close()); err != nil {
			l.t.Error(err)
		}
		r.stop = func() {}
	}
	l.t.Cleanup(func() { r.stop() })
	for _, a := range runs.Addrs() {
		at, err := peer.AddrInfoFromString(a)
		l.must(err)
		r.at.ID, r.at.Addrs = at.ID, append(r.at.Addrs, at.Addrs...)
	}
	r.key, err = mailbox.RelayKey(r.at.ID)
	l.must(err)
	return r
}

// addrs is where the relay is, as contacts are told.
func (r *relay) addrs() (out [][]byte) {
	for _, a := range r.at.Addrs {
		out = append(out, a.Bytes())
	}
	return out
}

// host is one that is connected to some relays.
func (l *lab) host(relays ...*relay) *host.Host {
	l.t.Helper()
	var seed [32]byte
	suite.Random(seed[:])
	h, err := host.New(host.Config{Key: seed, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	l.must(err)
	l.t.Cleanup(func() { _ = h.Close() })
	for _, r := range relays {
		l.must(h.Connect(context.Background(), r.at))
	}
	return h
}

// person is one device.
type person struct {
	l       *lab
	name    string
	store   *storage.Store
	eng     *engine.Engine
	account identity.AccountID
	device  identity.DeviceID

	host    *host.Host // that deposits are made from
	streams map[[32]byte]*mailbox.Deposits
}

// Wake implements engine.Courier: the lab looks at every outbox anyhow.
func (*person) Wake(identity.AccountID) {}

func (l *lab) person(name string, relays ...*relay) *person {
	l.t.Helper()
	none := 0
	store, err := storage.Open(storage.Options{
		Dir: l.dir(), Root: [32]byte{1}, MemTableSize: 8 << 20, Compactors: &none, Ballast: -1, MinFree: -1,
	})
	l.must(err)
	l.must(engine.Create(store, identity.NewRecoveryCode(), name, time.Now()))
	e, err := engine.Open(store, engine.Options{})
	l.must(err)
	p := &person{l: l, name: name, store: store, eng: e, streams: map[[32]byte]*mailbox.Deposits{}}
	e.SetCourier(p)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	p.account, p.device = e.Account(), e.Device()
	p.host = l.host(relays...)
	l.t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, store.Close()); err != nil {
			l.t.Error(err)
		}
	})
	for _, r := range relays {
		d, err := mailbox.OpenDeposits(context.Background(), p.host, r.at.ID)
		l.must(err)
		l.t.Cleanup(d.Close)
		p.streams[r.key] = d
	}
	return p
}

// befriend makes two people contacts, who meet this once.
func (l *lab) befriend(a, b *person) {
	l.t.Helper()
	ctx := context.Background()
	link, _, err := a.eng.CreateInvite(ctx, engine.InviteOptions{Uses: 1, Life: time.Hour})
	l.must(err)
	inv, err := identity.ParseInvite(link)
	l.must(err)
	l.must(b.eng.Join(ctx, inv, link, "", "", false))
	_, reply, code := a.eng.ServeInvite(ctx, inv.ID, func(s [32]byte) bool { return s == inv.Secret })
	if code != 0 {
		l.t.Fatalf("an invite was refused with code %d", code)
	}
	l.must(b.eng.Offered(ctx, inv, reply))
	for moved := 1; moved > 0; {
		moved = carry(a, b) + carry(b, a)
	}
}

// owner is a person with mailboxes.
type owner struct {
	*person
	boxes []*box
}

// box is a mailbox at one relay.
type box struct {
	r    *relay
	box  *mailbox.Mailbox
	next uint64
}

func ownerKey(seed [32]byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(seed[:]) }

func newKey() ed25519.PrivateKey {
	var seed [32]byte
	suite.Random(seed[:])
	return ownerKey(seed)
}
