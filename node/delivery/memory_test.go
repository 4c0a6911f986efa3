package delivery

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"rushlight/node/delivery/parcel"
	"rushlight/node/host"
	"rushlight/protocol/envelope"
	"rushlight/protocol/identity"
	"rushlight/protocol/suite"
)

const labelTestMAC suite.Label = "rushlight/delivery/test-mac/1"

// memory is an honest engine that keeps its state in maps. An envelope names
// its sender's account and a number; the first of a stranger makes it a
// contact when the test allows.
type memory struct {
	t       testing.TB
	account identity.AccountID
	key     ed25519.PrivateKey

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced at every change
	contacts map[identity.AccountID]*friend
	seen     map[string]int // number of commits of each envelope: 1 or a bug
	repeats  int
	commits  int
	order    []uint64 // numbers in the order of their commit
	opening  bool     // a stranger's envelope makes it a contact
	refuse   func(n uint64) error
	refusals []uint64
	reached  [][2]string
	counters []Counter
	ahead    time.Duration // of its clock
	clock    time.Time     // the other side's
	heard    []Counter
	wants    bool
	bundles  [][]byte
	invite   func(id [16]byte, proof func([32]byte) bool) ([32]byte, []byte, uint8)
	delay    time.Duration // of each commit
	broken   func() error  // of each acknowledgement
	manager  *Manager
}

type friend struct {
	dsk    [32]byte
	known  bool // its device is recognised in a hello
	hints  []Hint
	outbox []Parcel
	next   uint64
	acked  int
}

func newMemory(t testing.TB) *memory {
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &memory{
		t: t, key: key, account: identity.NewAccountID([32]byte(pub)), changed: make(chan struct{}),
		contacts: map[identity.AccountID]*friend{}, seen: map[string]int{},
	}
}

func (e *memory) dsk() [32]byte { return [32]byte(e.key.Public().(ed25519.PublicKey)) }

// meet makes b a contact of e, reachable at hints.
func (e *memory) meet(b *memory, known bool, hints ...Hint) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f := e.contacts[b.account]
	if f == nil {
		f = &friend{dsk: b.dsk(), next: 1}
		e.contacts[b.account] = f
	}
	f.known = f.known || known
	f.hints = append(f.hints, hints...)
}

// change must be called with the lock held.
func (e *memory) change() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// until waits for a condition on the engine's state.
func (e *memory) until(what string, cond func() bool) {
	e.t.Helper()
	limit := time.After(90 * time.Second)
	for {
		e.mu.Lock()
		ok, changed := cond(), e.changed
		e.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-limit:
			e.t.Fatalf("never: %s", what)
		}
	}
}

// queue puts n messages of a class for the account into the outbox.
func (e *memory) queue(to identity.AccountID, n int, class envelope.Class) {
	e.mu.Lock()
	f := e.contacts[to]
	for range n {
		env := make([]byte, class.Size())
		copy(env, e.account[:])
		copy(env[32:], to[:])
		binary.BigEndian.PutUint64(env[64:], f.next)
		f.outbox = append(f.outbox, Parcel{Seq: f.next, Class: class, Envelope: env})
		f.next++
	}
	e.mu.Unlock()
	if e.manager != nil {
		e.manager.Wake(to)
	}
}

// mac is what only the two accounts can make, for the test's purposes.
func mac(env []byte) (out [16]byte) {
	m := suite.MAC(env[:64], labelTestMAC, env)
	copy(out[:], m[:])
	return out
}

func (e *memory) Device() identity.DeviceID { return identity.NewDeviceID(e.dsk()) }

func (e *memory) SignHello(transcript []byte) ([32]byte, []byte) {
	return e.dsk(), ed25519.Sign(e.key, transcript)
}

func (e *memory) AccountOf(device identity.DeviceID, dsk [32]byte) (identity.AccountID, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for a, f := range e.contacts {
		if f.known && f.dsk == dsk && identity.NewDeviceID(dsk) == device {
			return a, true
		}
	}
	return identity.AccountID{}, false
}

func (e *memory) Devices(a identity.AccountID) []identity.DeviceID {
	e.mu.Lock()
	defer e.mu.Unlock()
	return []identity.DeviceID{identity.NewDeviceID(e.contacts[a].dsk)}
}

func (e *memory) Hints(a identity.AccountID) []Hint {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.contacts[a].hints)
}

func (e *memory) Accounts() []identity.AccountID {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []identity.AccountID
	for a, f := range e.contacts {
		if f.known && len(f.hints) > 0 {
			out = append(out, a)
		}
	}
	return out
}

func (e *memory) Pending(a identity.AccountID, after uint64, limit int) ([]Parcel, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f := e.contacts[a]
	if f == nil {
		return nil, nil
	}
	i, _ := slices.BinarySearchFunc(f.outbox, after+1, func(p Parcel, s uint64) int { return int(int64(p.Seq) - int64(s)) })
	return slices.Clone(f.outbox[i:min(len(f.outbox), i+limit)]), nil
}

func (e *memory) Acked(_ context.Context, a identity.AccountID, _ identity.DeviceID, acks []Ack) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	f := e.contacts[a]
	if broken := e.broken; broken != nil {
		e.mu.Unlock()
		defer e.mu.Lock()
		return broken()
	}
	for _, k := range acks {
		i, ok := slices.BinarySearchFunc(f.outbox, k.Seq, func(p Parcel, s uint64) int { return int(int64(p.Seq) - int64(s)) })
		if !ok {
			continue // acknowledged on another stream
		}
		if mac(f.outbox[i].Envelope) != k.MAC {
			return errors.New("forged acknowledgement")
		}
		f.outbox = slices.Delete(f.outbox, i, i+1)
		f.acked++
	}
	e.change()
	return nil
}

func (e *memory) Refused(_ context.Context, a identity.AccountID, _ identity.DeviceID, seq uint64, _ uint8) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refusals = append(e.refusals, seq)
	f := e.contacts[a]
	f.outbox = slices.DeleteFunc(f.outbox, func(p Parcel) bool { return p.Seq == seq })
	e.change()
	return nil
}

func (e *memory) ReceiveBatch(_ context.Context, device identity.DeviceID, envs [][]byte) []Result {
	if e.delay > 0 {
		<-time.After(e.delay)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.commits++
	out := make([]Result, len(envs))
	for i, env := range envs {
		from := identity.AccountID(env[:32])
		n := binary.BigEndian.Uint64(env[64:])
		f := e.contacts[from]
		switch {
		case identity.AccountID(env[32:64]) != e.account:
			out[i].Err = &Refusal{Code: parcel.CodeRefused}
			continue
		case f == nil && !e.opening:
			out[i].Err = &Refusal{Code: parcel.CodeRefused}
			continue
		case f == nil:
			e.t.Error("a first flight without its test")
			continue
		case e.opening:
			f.known = true
		case !f.known || device != identity.NewDeviceID(f.dsk):
			out[i].Err = &Refusal{Code: parcel.CodeRefused}
			continue
		}
		if e.refuse != nil {
			if err := e.refuse(n); err != nil {
				out[i].Err = err
				continue
			}
		}
		key := string(env[:72])
		if e.seen[key] > 0 {
			e.repeats++
		} else {
			e.seen[key]++
			e.order = append(e.order, n)
		}
		out[i].MAC = mac(env)
	}
	e.change()
	return out
}

func (e *memory) ServeInvite(_ context.Context, id [16]byte, proof func([32]byte) bool) ([32]byte, []byte, uint8) {
	if e.invite == nil {
		return [32]byte{}, nil, parcel.CodeUnknown
	}
	return e.invite(id, proof)
}

func (e *memory) Counters(identity.DeviceID) []Counter { return e.counters }

func (e *memory) Clock() time.Time { return time.Now().Add(e.ahead) }

func (e *memory) PeerClock(_ context.Context, _ identity.DeviceID, theirs time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.clock = theirs
	e.change()
	return nil
}

func (e *memory) PeerCounters(_ context.Context, _ identity.DeviceID, cs []Counter) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = cs
	e.change()
	return nil
}

func (e *memory) Reached(_ context.Context, _ identity.AccountID, _ identity.DeviceID, peerID, addr []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reached = append(e.reached, [2]string{string(peerID), string(addr)})
	e.change()
}

func (e *memory) Waits(a identity.AccountID) bool {
	ps, err := e.Pending(a, 0, 1)
	return err == nil && len(ps) > 0 || e.WantsBundle(a)
}

func (e *memory) WantsBundle(identity.AccountID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.wants
}

func (e *memory) PersonalBundle(context.Context, identity.DeviceID) ([]byte, error) {
	return []byte("a bundle"), nil
}

func (e *memory) AcceptBundle(_ context.Context, _ identity.AccountID, _ identity.DeviceID, b []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.bundles = append(e.bundles, b)
	e.wants = false
	e.change()
	return nil
}

// node is an engine with its host and manager.
type node struct {
	*memory
	h    *host.Host
	stop func()
}

// hintsOf are the addresses of a host.
func hintsOf(h *host.Host) []Hint { return h.Hints() }

// newHost starts a host on loopback.
func newHost(t testing.TB, listen ...string) *host.Host {
	t.Helper()
	if len(listen) == 0 {
		listen = []string{quicAny}
	}
	var key [32]byte
	suite.Random(key[:])
	h, err := host.New(host.Config{Key: key, Listen: listen})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

const (
	quicAny = "/ip4/127.0.0.1/udp/0/quic-v1"
	tcpAny  = "/ip4/127.0.0.1/tcp/0"
)

// start runs a manager for an engine on a host.
func start(t testing.TB, e *memory, h *host.Host, change ...func(*Manager)) *node {
	t.Helper()
	m := New(h, e, Config{Logger: testLog(t)})
	for _, c := range change {
		c(m)
	}
	e.manager = m
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	var once sync.Once
	n := &node{memory: e, h: h, stop: func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}}
	t.Cleanup(n.stop)
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for !slices.Contains(h.Libp2p().Mux().Protocols(), ProtocolInvite) { // which it sets last
		select {
		case <-look.C:
		case <-t.Context().Done():
			t.Fatal("it doesn't listen")
		}
	}
	return n
}

// pair starts two nodes that are contacts; a knows b's addresses.
func pair(t testing.TB, listen string, change ...func(a, b *memory)) (a, b *node) {
	t.Helper()
	ea, eb := newMemory(t), newMemory(t)
	ha, hb := newHost(t, listen), newHost(t, listen)
	ea.meet(eb, true, hintsOf(hb)...)
	eb.meet(ea, true, hintsOf(ha)...)
	for _, c := range change {
		c(ea, eb)
	}
	return start(t, ea, ha), start(t, eb, hb)
}
