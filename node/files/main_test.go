package files

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"rushlight/node/engine"
	"rushlight/node/host"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/stamp"
	"rushlight/protocol/suite"
	"rushlight/storage/blob"
	"rushlight/storage/record"
)

// The one goroutine left out is a library's, started once for the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/libp2p/go-flow-metrics.(*sweeper).run"))
}

// memory is an engine that keeps nothing but messages with files.
type memory struct {
	mu      sync.Mutex
	all     map[message.ID]*engine.Attached
	log     []engine.Event
	changed chan struct{}
	blocked bool
	mailbox *Manager // of the other side
	mailed  int
	stamps  int // that orders may take,
	drawn   int // have taken,
	spent   int // and have said that they needed
}

func newMemory() *memory {
	return &memory{all: map[message.ID]*engine.Attached{}, changed: make(chan struct{})}
}

func (e *memory) Attached() (out []engine.Attached, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range e.all {
		out = append(out, clone(a))
	}
	return out, nil
}

func clone(a *engine.Attached) engine.Attached {
	c := *a
	c.Files, c.Wishes = slices.Clone(a.Files), slices.Clone(a.Wishes)
	return c
}

func (e *memory) AttachedTo(id message.ID) (*engine.Attached, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	a := e.all[id]
	if a == nil {
		return nil, engine.ErrUnknownMessage
	}
	c := clone(a)
	return &c, nil
}

func (e *memory) WishFile(_ context.Context, id message.ID, nth int, wish record.FileWish) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all[id].Wishes[nth] = wish
	return nil
}

func (e *memory) Allowed(identity.AccountID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.blocked
}

// Mail brings packets at once.
func (e *memory) Mail(_ context.Context, _ identity.AccountID, packets ...message.Packet) error {
	e.mu.Lock()
	to := e.mailbox
	e.mailed += len(packets)
	e.mu.Unlock()
	for _, p := range packets {
		if p, ok := p.(*message.FilePart); ok {
			to.Part(identity.AccountID{}, p)
		}
	}
	return nil
}

// Order brings an order at once, with as many stamps as there are.
func (e *memory) Order(_ context.Context, _ identity.AccountID, o *message.FileOrder, spent []uint32) ([]uint32, error) {
	e.mu.Lock()
	to := e.mailbox
	if len(o.Stamps) > 0 {
		e.mu.Unlock()
		to.Ordered(identity.AccountID{}, o) //nolint:contextcheck // it ends with Run
		return nil, nil
	}
	o.Cut(min(o.Stretches(), e.stamps-e.drawn))
	n := o.Stretches()
	var serials []uint32
	for range n {
		serials = append(serials, uint32(e.drawn))
		e.drawn++
	}
	e.spent += len(spent)
	e.mu.Unlock()
	if n == 0 {
		return nil, engine.ErrNoStamps
	}
	o.Stamps = make([]stamp.Stamp, n)
	to.Ordered(identity.AccountID{}, o) //nolint:contextcheck // it ends with Run
	return serials, nil
}

func (e *memory) mailTo(m *Manager) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mailbox = m
}

func (e *memory) HasMailbox(identity.AccountID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mailbox != nil
}

func (e *memory) LastEvent() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return uint64(len(e.log))
}

func (e *memory) Watch(ctx context.Context, after uint64, _ func(uint64), fn func(engine.Event) error) error {
	for {
		e.mu.Lock()
		list, changed := slices.Clone(e.log[after:]), e.changed
		e.mu.Unlock()
		for _, ev := range list {
			if err := fn(ev); err != nil {
				return err
			}
			after++
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (e *memory) event(t record.EventType, id message.ID) {
	e.log = append(e.log, engine.Event{Event: record.Event{Type: t, Message: id}})
	close(e.changed)
	e.changed = make(chan struct{})
}

func (e *memory) state(id message.ID, s record.MessageState) {
	e.log = append(e.log, engine.Event{Event: record.Event{Type: record.EventState, Message: id, State: s}})
	close(e.changed)
	e.changed = make(chan struct{})
}

// put keeps a copy: the list stays the caller's.
func (e *memory) put(id message.ID, mine bool, files ...message.File) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all[id] = &engine.Attached{ID: id, Mine: mine, Files: slices.Clone(files), Wishes: make([]record.FileWish, len(files))}
	e.event(record.EventMessage, id)
}

func (e *memory) end(id message.ID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.all, id)
	e.event(record.EventExpired, id)
}

// node is a manager with a host and an engine of its own.
type node struct {
	t testing.TB
	*Manager
	e     *memory
	h     *host.Host
	dir   string
	set   []func(*Manager) // done to each manager before it runs
	mu    sync.Mutex
	there []peer.ID
	stop  func()
}

func (n *node) Peers(identity.AccountID) []peer.ID {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.there)
}

const (
	tcpAny  = "/ip4/127.0.0.1/tcp/0"
	quicAny = "/ip4/127.0.0.1/udp/0/quic-v1"
)

func newNode(t testing.TB, set ...func(*Manager)) *node {
	t.Helper()
	n := &node{t: t, e: newMemory(), dir: filepath.Join(t.TempDir(), "files"), set: set}
	n.start()
	return n
}

// start begins, or begins again with another host: another peer, at another
// address.
func (n *node) start() {
	n.t.Helper()
	var key [32]byte
	suite.Random(key[:])
	h, err := host.New(host.Config{Key: key, Listen: []string{tcpAny}})
	if err != nil {
		n.t.Fatal(err)
	}
	d, err := blob.Open(n.dir, 0)
	if err != nil {
		n.t.Fatal(err)
	}
	n.h = h
	n.Manager = New(Config{Dir: d, Host: h, Engine: n.e, Peers: n, Logger: testLog(n.t)})
	for _, set := range n.set {
		set(n.Manager)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(n.t.Context()))
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			n.t.Errorf("Run: %v", err)
		}
		_ = h.Close()
	})
	n.t.Cleanup(n.stop)
	// Who calls Run may be called right away.
	n.eventually(func() bool {
		n.Manager.mu.Lock()
		defer n.Manager.mu.Unlock()
		return n.open
	}, "it runs")
}

// meet makes n know others as holders, and connects them.
func (n *node) meet(others ...*node) {
	n.t.Helper()
	var ids []peer.ID
	for _, o := range others {
		if err := n.h.Connect(n.t.Context(), peer.AddrInfo{ID: o.h.ID(), Addrs: o.h.Libp2p().Addrs()}); err != nil {
			n.t.Fatal(err)
		}
		ids = append(ids, o.h.ID())
	}
	n.mu.Lock()
	n.there = ids
	n.mu.Unlock()
	n.Changed()
}

func (n *node) eventually(ok func() bool, what string) {
	n.t.Helper()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	late := time.After(time.Minute)
	for !ok() {
		select {
		case <-look.C:
		case <-late:
			n.t.Fatalf("not within a minute: %s", what)
		}
	}
}

func random(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// sealed makes a message with files at n.
func (n *node) sealed(id message.ID, contents ...[]byte) []message.File {
	n.t.Helper()
	var all []Source
	for _, c := range contents {
		all = append(all, Source{Name: "file.bin", Size: int64(len(c)), ReaderAt: bytes.NewReader(c)})
	}
	out, done, err := n.Seal(n.t.Context(), all)
	if err != nil {
		n.t.Fatal(err)
	}
	n.e.put(id, true, out...)
	done(true)
	n.eventually(func() bool { _, s := n.Have(id, 0); return s == Done }, "the sender's own is noted")
	return out
}

// has checks that a file is here and right.
func (n *node) has(id message.ID, nth int, want []byte) {
	n.t.Helper()
	n.eventually(func() bool { _, s := n.Have(id, nth); return s == Done }, "the file is here")
	o, err := n.Open(id, nth)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = o.Close() }()
	h := sha256.New()
	if k, err := o.WriteTo(h); err != nil || k != int64(len(want)) || [32]byte(h.Sum(nil)) != sha256.Sum256(want) {
		n.t.Errorf("file %d: %d bytes of %d, or others: %v", nth, k, len(want), err)
	}
}

func testLog(t testing.TB) *slog.Logger {
	if !testing.Verbose() {
		return nil
	}
	return slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	if w.t.Context().Err() == nil {
		w.t.Log(string(b[:len(b)-1]))
	}
	return len(b), nil
}
