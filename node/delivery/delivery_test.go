package delivery

import (
	"errors"
	"slices"
	"testing"
	"time"

	"rushlight/node/delivery/parcel"
	"rushlight/protocol/envelope"
)

func TestDeliverBothWays(t *testing.T) {
	for name, listen := range map[string]string{"quic": quicAny, "tcp": tcpAny} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, listen)
			a.queue(b.account, 700, envelope.S)
			b.queue(a.account, 300, envelope.S)
			a.queue(b.account, 3, envelope.L)
			a.until("a's outbox is empty", func() bool { return len(a.contacts[b.account].outbox) == 0 })
			b.until("b's outbox is empty", func() bool { return len(b.contacts[a.account].outbox) == 0 })
			b.until("b has all", func() bool { return len(b.seen) == 703 })
			a.until("a has all", func() bool { return len(a.seen) == 300 })
			if !a.manager.Connected(b.account) || !b.manager.Connected(a.account) {
				t.Error("the two are not connected")
			}
			a.until("a has counted all", func() bool { // after it has committed them
				s := a.manager.Stats()
				return s.Acked >= 703 && s.Received >= 300 && s.Contacts == 1
			})
		})
	}
}

func TestOrderIsKept(t *testing.T) {
	a, b := pair(t, quicAny)
	a.queue(b.account, 1000, envelope.S)
	b.until("b has all", func() bool { return len(b.seen) == 1000 })
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.repeats == 0 && !slices.IsSorted(b.order) {
		t.Error("messages of one stream were committed out of order")
	}
}

// A parcel that the other side can't take now is sent again, and one that it
// never takes goes to the engine.
func TestRefusals(t *testing.T) {
	tries := 0
	a, b := pair(t, quicAny, func(_, eb *memory) {
		eb.refuse = func(n uint64) error {
			switch {
			case n == 2 && tries < 2:
				tries++
				return errors.New("the disk is busy")
			case n == 3:
				return &Refusal{Code: parcel.CodeClass}
			}
			return nil
		}
	})
	a.queue(b.account, 5, envelope.S)
	a.until("a's outbox is empty", func() bool { return len(a.contacts[b.account].outbox) == 0 })
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.seen) != 4 || tries != 2 || !slices.Equal(slices.Compact(a.refusals), []uint64{3}) {
		t.Errorf("got %d messages, %d tries, refusals %v", len(b.seen), tries, a.refusals)
	}
}

// Counters, bundles and addresses pass once both sides are proved.
func TestAfterTheProof(t *testing.T) {
	a, b := pair(t, quicAny, func(ea, eb *memory) {
		ea.counters = []Counter{{Session: [16]byte{2}, Sent: 7, Seen: 8}, {Session: [16]byte{1}, Sent: 5}}
		ea.wants = true
		ea.ahead, eb.ahead = 72*time.Hour, -72*time.Hour
	})
	a.queue(b.account, 1, envelope.S)
	a.until("a has a bundle", func() bool { return len(a.bundles) > 0 && string(a.bundles[0]) == "a bundle" })
	b.until("b has a's counters", func() bool {
		return slices.Equal(b.heard, []Counter{{Session: [16]byte{1}, Sent: 5}, {Session: [16]byte{2}, Sent: 7, Seen: 8}})
	})
	b.until("b has a's clock", func() bool { return time.Until(b.clock).Round(time.Hour) == 72*time.Hour })
	a.until("a has b's clock", func() bool { return time.Until(a.clock).Round(time.Hour) == -72*time.Hour })
	at := [2]string{string(a.h.ID()), string(hintsOf(a.h)[0].Addr)}
	b.until("b knows where a is", func() bool { return slices.Contains(b.reached, at) })

	a.mu.Lock()
	a.wants = true
	a.mu.Unlock()
	a.manager.Wake(b.account)
	a.until("a has a second bundle", func() bool { return len(a.bundles) > 1 })
}

// The recipient comes back at the same address and does not call: the sender
// finds it within 5 s, and the queue drains.
func TestRecipientReturns(t *testing.T) {
	t.Parallel()
	ea, eb := newMemory(t), newMemory(t)
	ha, hb := newHost(t, quicAny, tcpAny), newHost(t, quicAny, tcpAny)
	addrs := hb.Libp2p().Network().ListenAddresses()
	ea.meet(eb, true, hintsOf(hb)...)
	eb.meet(ea, true)
	a, b := start(t, ea, ha), start(t, eb, hb)
	a.queue(eb.account, 10, envelope.S)
	a.until("the first ten", func() bool { return len(ea.contacts[eb.account].outbox) == 0 })
	b.stop()
	if err := hb.Close(); err != nil {
		t.Fatal(err)
	}
	a.queue(eb.account, 500, envelope.S)
	// At least two calls fail while nobody is there.
	before := a.manager.Stats().Failures
	for a.manager.Stats().Failures < before+2 {
		<-time.After(20 * time.Millisecond)
	}
	hb = hostAgain(t, hb, addrs)
	back := time.Now()
	start(t, eb, hb)
	a.until("the rest", func() bool { return len(ea.contacts[eb.account].outbox) == 0 })
	took := time.Since(back)
	t.Logf("drained %v after the return", took)
	if took > 5*time.Second {
		t.Errorf("draining took %v", took)
	}
}

// The recipient comes back and calls: that is enough.
func TestReturnerCalls(t *testing.T) {
	ea, eb := newMemory(t), newMemory(t)
	ha, hb := newHost(t), newHost(t)
	ea.meet(eb, true) // a does not know where b is
	eb.meet(ea, true, hintsOf(ha)...)
	a := start(t, ea, ha)
	a.queue(eb.account, 20, envelope.S)
	start(t, eb, hb)
	a.until("all", func() bool { return len(ea.contacts[eb.account].outbox) == 0 })
}

// Addresses noticed on the local network work with the peer id of a hint.
func TestFound(t *testing.T) {
	ea, eb := newMemory(t), newMemory(t)
	ha, hb := newHost(t), newHost(t)
	ea.meet(eb, true, Hint{Peer: []byte(hb.ID())})
	eb.meet(ea, true)
	a := start(t, ea, ha)
	start(t, eb, hb)
	a.queue(eb.account, 1, envelope.S)
	a.manager.Found(eb.account, hb.Libp2p().Network().ListenAddresses())
	a.until("all", func() bool { return len(ea.contacts[eb.account].outbox) == 0 })
}

// Both sides send with full windows while commits are slow: neither stops the
// other.
func TestFullWindowsBothWays(t *testing.T) {
	a, b := pair(t, tcpAny, func(ea, eb *memory) { ea.delay, eb.delay = 2*time.Millisecond, 2*time.Millisecond })
	for _, x := range [][2]*node{{a, b}, {b, a}} {
		x[0].queue(x[1].account, 600, envelope.L)
	}
	a.until("a's outbox is empty", func() bool { return len(a.contacts[b.account].outbox) == 0 })
	b.until("b's outbox is empty", func() bool { return len(b.contacts[a.account].outbox) == 0 })
}

// A device that the caller has not heard of yet takes its messages as a
// stranger would.
func TestUnknownListener(t *testing.T) {
	ea, eb := newMemory(t), newMemory(t)
	ha, hb := newHost(t), newHost(t)
	ea.meet(eb, false, hintsOf(hb)...)
	eb.meet(ea, true)
	a := start(t, ea, ha)
	b := start(t, eb, hb)
	a.queue(eb.account, 40, envelope.S)
	a.until("acknowledged", func() bool { return len(ea.contacts[eb.account].outbox) == 0 })
	if a.manager.Connected(eb.account) || !b.manager.Connected(ea.account) {
		t.Error("an unknown device is trusted, or the known one is not")
	}
	// Once it is known, the same stream serves.
	ea.mu.Lock()
	ea.opening = true
	ea.mu.Unlock()
	eb.queue(ea.account, 5, envelope.S)
	eb.until("acknowledged", func() bool { return len(eb.contacts[ea.account].outbox) == 0 })
	if !a.manager.Connected(eb.account) {
		t.Error("the device is known by now")
	}
}

func TestHangup(t *testing.T) {
	a, b := pair(t, quicAny)
	a.queue(b.account, 1, envelope.S)
	a.until("acknowledged", func() bool { return len(a.contacts[b.account].outbox) == 0 })
	a.mu.Lock()
	a.contacts[b.account].known = false
	a.contacts[b.account].hints = nil
	a.mu.Unlock()
	b.mu.Lock()
	b.contacts[a.account].hints = nil // so that b does not call back
	b.mu.Unlock()
	a.manager.Hangup(b.account)
	for a.manager.Connected(b.account) {
		<-time.After(time.Millisecond)
	}
}

// The network has changed when the addresses are others, or the machine slept.
func TestNetworkWatch(t *testing.T) {
	w := newNetworkWatch(time.Now())
	if w.changed(time.Now()) {
		t.Error("nothing changed")
	}
	w.addrs = "a"
	for _, c := range []struct {
		addrs         string
		passed, awake time.Duration
		want          bool
	}{
		{"a", networkEvery, networkEvery, false},
		{"a", time.Hour, time.Hour, false},
		{"a", time.Hour, networkEvery, true},
		{"a b", networkEvery, networkEvery, true},
		{"a b", networkEvery, networkEvery, false},
	} {
		if got := w.look(c.addrs, c.passed, c.awake); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// After a change of the network a peer that is still there keeps its stream.
func TestProbe(t *testing.T) {
	a, b := pair(t, quicAny)
	a.queue(b.account, 1, envelope.S)
	a.until("acknowledged", func() bool { return len(a.contacts[b.account].outbox) == 0 })
	a.manager.probeAll(time.Now())
	for _, x := range a.manager.sessions() {
		for x.probe.Load() != 0 {
			<-time.After(time.Millisecond)
		}
	}
	if !a.manager.Connected(b.account) {
		t.Error("the stream is gone")
	}
}
