package host

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Whatever is spent, and however, the account allows no day to cost more than
// the cap, and fills up again.
func TestThrift(t *testing.T) {
	const limit = 5 << 20
	for name, greedy := range map[string]int64{"a little": 1000, "all there is": 1 << 20, "far too much": 1 << 30} {
		acc := thrift{limit: limit}
		total, spent := int64(0), int64(0)
		acc.settle(0, 0)
		for range 24 * 60 {
			if acc.state() != Spent {
				want := min(greedy, int64(acc.left)+1)
				total, spent = total+want, spent+want
			}
			acc.settle(time.Minute, total)
		}
		if spent > limit+24*60 {
			t.Errorf("%s: %d in a day", name, spent)
		}
		if name == "a little" && acc.state() != Ample {
			t.Errorf("%s: %v", name, acc.state())
		}
		if name != "a little" && spent < limit*9/10 {
			t.Errorf("%s: only %d in a day", name, spent)
		}
	}

	// What could not be helped is forgotten within hours.
	acc := thrift{limit: limit}
	acc.settle(0, 0)
	acc.settle(time.Minute, 1<<40)
	if acc.state() != Spent {
		t.Errorf("after a flood: %v", acc.state())
	}
	for range 12 * 60 {
		acc.settle(time.Minute, 1<<40)
	}
	if acc.state() != Ample {
		t.Errorf("half a day after a flood: %v", acc.state())
	}

	// Without a cap there is no thrift.
	free := thrift{}
	free.settle(time.Minute, 1<<40)
	if free.state() != Ample {
		t.Errorf("without a cap: %v", free.state())
	}
}

func TestLedger(t *testing.T) {
	var l ledger
	now := time.Unix(1e9, 0)
	total := int64(0)
	for i := range 72 * 4 {
		l.note(now, total)
		got := l.since(now, total)
		hours := int64(i) / 4
		if hours < 24 && got != total || hours > 25 && (got < 24*400 || got > 25*400) {
			t.Fatalf("after %d quarters: %d of %d", i, got, total)
		}
		now, total = now.Add(15*time.Minute), total+100
	}
	if len(l) > 26 {
		t.Errorf("%d entries", len(l))
	}
}

// Messages are no upkeep; what keeps the host reachable is.
func TestMeter(t *testing.T) {
	a, b := newHost(t, Config{Listen: []string{loopQUIC}, IdleCap: 5 << 20}), newHost(t, Config{Listen: []string{loopQUIC}})
	running(t, a)
	b.Libp2p().SetStreamHandler("/rushlight/test/1", func(s network.Stream) {
		buf := make([]byte, 1<<16)
		for {
			if _, err := s.Read(buf); err != nil {
				_ = s.Close()
				return
			}
		}
	})
	if err := a.Connect(t.Context(), peer.AddrInfo{ID: b.ID(), Addrs: b.listening()}); err != nil {
		t.Fatal(err)
	}
	s, err := a.Libp2p().NewStream(t.Context(), b.ID(), "/rushlight/test/1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, out := a.Traffic(); out < 1<<20 {
		t.Errorf("%d bytes went out", out)
	}
	until(t, "upkeep", func() bool { return a.Upkeep().Day > beginQUIC })
	if u := a.Upkeep(); u.Day > 100<<10 || u.Limit != 5<<20 || u.State != Ample {
		t.Errorf("%+v", u)
	}
}

// When little is left, the second place goes first, then what nobody uses.
func TestSparing(t *testing.T) {
	var relays []peer.AddrInfo
	for range 2 {
		relays = append(relays, listensAt(newHost(t, Config{Profile: Relay, Listen: []string{loopTCP}})))
	}
	b := running(t, newHost(t, Config{Listen: []string{loopTCP}, Circuits: relays, IdleCap: 1 << 20}))
	until(t, "two places", func() bool { return b.circuits.held() == 2 })
	other := newHost(t, Config{Listen: []string{loopTCP}})
	if err := b.Connect(t.Context(), listensAt(other)); err != nil {
		t.Fatal(err)
	}
	b.account(time.Now()) // begins the account
	b.meter.upkeep.Add(1 << 22)
	b.account(time.Now())
	if b.Thrift() != Spent || b.circuits.held() != 1 {
		t.Errorf("%v, %d places", b.Thrift(), b.circuits.held())
	}
	until(t, "nobody else", func() bool {
		b.account(time.Now().Add(2 * time.Minute))
		return !b.Connected(other.ID()) && len(b.Conns()) == 1
	})
	if b.circuits.held() != 1 {
		t.Error("the last place was given up")
	}
	// And it is reachable there.
	until(t, "a connection by way of the place", func() bool {
		ctx, cancel := context.WithTimeout(network.WithAllowLimitedConn(t.Context(), "test"), 20*time.Second)
		defer cancel()
		err := other.Connect(ctx, peer.AddrInfo{ID: b.ID(), Addrs: b.circuits.addrs()})
		if err != nil {
			t.Logf("not yet: %v", errors.Unwrap(err))
		}
		return err == nil
	})
}
