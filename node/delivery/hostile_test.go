package delivery

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"

	"rushlight/protocol/envelope"
	"rushlight/protocol/wire"
)

func protocolOf(s string) protocol.ID { return protocol.ID(s) }

// asContact is a stream on which the peer has proved to be a contact and heard
// the answer.
func asContact(t *testing.T, b *node, contact *memory) *raw {
	t.Helper()
	r := dialRaw(t, b.h, ProtocolMessages)
	r.send(frameProof, prove(t, r.open(), contact).marshal())
	r.want(frameProof)
	r.want(frameCounters)
	r.want(frameClock)
	return r
}

// Each of these ends the stream, even from a contact; what is one step short of
// it does not.
func TestHostileFrames(t *testing.T) {
	b, contact := listening(t)
	msg := func(class uint8, size int) []byte {
		return wire.NewWriter(nil).U32(0).U8(class).Raw(make([]byte, size)).Out()
	}
	cs := func(n int) []byte {
		var all []Counter
		for i := range n {
			all = append(all, Counter{Session: [16]byte{byte(i >> 8), byte(i)}})
		}
		return marshalCounters(all)
	}
	tooMany := wire.NewWriter(nil).U16(maxCounters + 1).Raw(cs(maxCounters)[2:]).Raw(make([]byte, counterSize)).Out()
	cases := []struct {
		name string
		typ  uint8
		body []byte
		ok   bool
	}{
		{"message", frameMsg, msg(1, envelope.S.Size()), true},
		{"largest message", frameMsg, msg(3, envelope.L.Size()), true},
		{"message short by one", frameMsg, msg(1, envelope.S.Size()-1), false},
		{"message long by one", frameMsg, msg(1, envelope.S.Size()+1), false},
		{"largest message long by one", frameMsg, msg(3, envelope.L.Size()+1), false},
		{"size of another class", frameMsg, msg(1, envelope.M.Size()), false},
		{"class 0", frameMsg, msg(0, 0), false},
		{"class 4", frameMsg, msg(4, envelope.L.Size()), false},
		{"empty message", frameMsg, nil, false},
		{"acknowledgement of nothing", frameAck, make([]byte, ackSize), false},
		{"error about nothing", frameErr, failure{code: 5, extra: make([]byte, 4)}.append(nil)[4:], false},
		{"error about the stream", frameErr, failure{code: 5}.append(nil)[4:], false},
		{"error over its limit", frameErr, make([]byte, errHead+maxExtra+1), false},
		{"most counters", frameCounters, cs(maxCounters), true},
		{"one counter too many", frameCounters, tooMany, false},
		{"counters out of order", frameCounters, wire.NewWriter(nil).U16(2).Raw(make([]byte, 2*counterSize)).Out(), false},
		{"clock", frameClock, marshalClock(time.Now()), true},
		{"clock that no message can claim", frameClock, bytes.Repeat([]byte{1}, 8), false},
		{"clock with a byte too many", frameClock, make([]byte, 9), false},
		{"bundle unasked", frameBundle, []byte("x"), false},
		{"bundle over its limit", frameBundle, make([]byte, maxBundle+1), false},
		{"bundle wanted", frameBundleGet, nil, true},
		{"second hello", frameHello, hello{}.marshal(), false},
		{"challenge", frameChallenge, make([]byte, 32), false},
		{"proof from the dialler", frameProof, make([]byte, 96), false},
		{"ping", framePing, nil, true},
		{"ping with a body", framePing, []byte{0}, false},
		{"invite", frameInviteGet, make([]byte, 81), false},
		{"type 0", 0, nil, false},
		{"type 255 of 16 MiB", 0xff, nil, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := asContact(t, b, contact)
			// The stream may end before all of a refused body is written.
			if err := writeFrame(r.s, c.typ, c.body); err != nil && c.ok {
				t.Fatal(err)
			}
			if !c.ok {
				r.closed(c.name)
				return
			}
			r.send(framePing, nil)
			for {
				typ, _, err := r.in.Next()
				if err != nil {
					t.Fatal(err)
				}
				if typ == framePong {
					return
				}
			}
		})
	}
}

// A frame is refused by its header: the body is never waited for.
func TestOversizeHeader(t *testing.T) {
	b, contact := listening(t)
	r := asContact(t, b, contact)
	if _, err := r.s.Write([]byte{frameMsg, 0xff, 0xff, 0xff}); err != nil {
		t.Fatal(err)
	}
	r.closed("a header of 16 MiB")
}

// A peer that connects and says nothing, or half of something, is let go.
func TestHalfOpen(t *testing.T) {
	b, contact := listening(t, func(m *Manager) { m.openTime = 300 * time.Millisecond })
	for name, begin := range map[string]func(*raw){
		"silent": func(r *raw) { _, _ = r.s.Write(nil) },
		"half a hello": func(r *raw) {
			_, _ = r.s.Write([]byte{frameHello, 0, 0, 34, 1})
		},
		"no proof":        func(r *raw) { r.open() },
		"half a request":  func(r *raw) { _, _ = r.s.Write([]byte{frameInviteGet, 0, 0}) },
		"invite, nothing": func(r *raw) { _, _ = r.s.Write(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			proto := ProtocolMessages
			if name == "half a request" || name == "invite, nothing" {
				proto = ProtocolInvite
			}
			r := dialRaw(t, b.h, proto)
			if name == "silent" || name == "invite, nothing" {
				// The stream does not exist for the other side before its first byte.
				_, _ = r.s.Write([]byte{frameHello})
			}
			begin(r)
			r.closed(name)
		})
	}
	// Control: the same limit lets a peer live that does say what it should.
	asContact(t, b, contact)
}

// A contact that sends but does not read its answers is cut off before they
// fill memory.
func TestPeerThatDoesNotRead(t *testing.T) {
	var o outgoing
	o.kick = make(chan struct{}, 1)
	var err error
	n := 0
	for ; err == nil && n < 1<<20; n++ {
		err = o.push(frame{framePong, nil})
	}
	if err == nil || n > maxOut/wire.FrameHeader+1 {
		t.Errorf("%d answers were kept, %v", n, err)
	}
}

// The watch ends streams by their silence, and only those.
func TestWatch(t *testing.T) {
	b, contact := listening(t)
	asContact(t, b, contact)
	x := b.manager.sessions()[0]
	now := time.Now()
	ns := func(ago time.Duration) int64 { return now.Add(-ago).UnixNano() }
	check := func(name string, want error) {
		t.Helper()
		if err := b.manager.watch(x, now); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	check("fresh", nil)
	x.lastUs.Store(ns(idleTime - time.Second))
	check("nearly idle", nil)
	x.lastUs.Store(ns(idleTime + time.Second))
	check("idle", errIdle)
	x.lastUs.Store(ns(0))
	x.stalls.Store(ns(stallTime - time.Second))
	check("slow", nil)
	x.stalls.Store(ns(stallTime + time.Second))
	check("stalled within a frame", errProtocol)
	x.stalls.Store(0)
	x.probe.Store(ns(probeTime - time.Second))
	check("asked", nil)
	x.probe.Store(ns(probeTime + time.Second))
	check("no answer", errSilent)
	x.probe.Store(0)
	x.denied.Store(ns(retryTime + time.Second))
	check("refused a minute ago", nil)
	if x.denied.Load() != 0 {
		t.Error("a refused parcel is not tried again")
	}
	x.window.add(1, 2048, true, now.Add(-quietTime))
	x.lastIn.Store(ns(time.Hour))
	check("waiting", nil)
	x.window.mu.Lock()
	x.window.since = now.Add(-time.Hour)
	x.window.mu.Unlock()
	x.lastIn.Store(ns(quietTime + deadTime - time.Second))
	check("waiting for long, but something came", nil)
	x.lastIn.Store(ns(quietTime + deadTime + time.Second))
	x.held.Store(true)
	check("our own disk is slow", nil)
	x.held.Store(false)
	x.lastIn.Store(ns(quietTime + deadTime + time.Second))
	check("dead", errSilent)
}
