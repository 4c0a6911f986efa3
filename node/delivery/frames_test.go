package delivery

import (
	"bytes"
	"testing"
	"time"

	"rushlight/protocol/envelope"
)

// FuzzFrames: what a decoder accepts re-encodes to the same bytes.
func FuzzFrames(f *testing.F) {
	p := Parcel{Class: envelope.S, Envelope: make([]byte, envelope.S.Size())}
	f.Add(frameHello, hello{kind: kindNamed}.marshal())
	f.Add(frameChallenge, make([]byte, 32))
	f.Add(frameProof, proof{}.marshal())
	f.Add(frameClock, marshalClock(time.Unix(1, 0)))
	f.Add(frameCounters, marshalCounters([]Counter{{Session: [16]byte{1}}, {Session: [16]byte{2}, Sent: 1}}))
	f.Add(frameErr, failure{code: 5, retry: 7, extra: []byte("1234")}.append(nil)[4:])
	f.Add(frameMsg, appendMsg(nil, 7, p)[4:])
	f.Add(frameAck, appendAck(nil, 7, [16]byte{1})[4:])
	f.Add(frameInviteGet, inviteGet{}.marshal())
	f.Add(frameInvite, inviteReply{sealed: make([]byte, 48)}.marshal())
	f.Fuzz(func(t *testing.T, typ uint8, b []byte) {
		var again []byte
		var err error
		switch typ {
		case frameHello:
			var v hello
			v, err = parseHello(b)
			again = v.marshal()
		case frameChallenge:
			var v [32]byte
			v, err = parseChallenge(b)
			again = v[:]
		case frameProof:
			var v proof
			v, err = parseProof(b)
			again = v.marshal()
		case frameCounters:
			var v []Counter
			v, err = parseCounters(b)
			again = marshalCounters(v)
		case frameClock:
			var v time.Time
			v, err = parseClock(b)
			again = marshalClock(v)
		case frameErr:
			var v failure
			v, err = parseFailure(b)
			again = v.append(nil)[4:]
			if w := v.wait(); w < minRetry || w > maxRetry {
				t.Errorf("wait of %v", w)
			}
		case frameMsg:
			var id uint32
			var env []byte
			if id, env, err = parseMsg(b); err == nil {
				c, err := envelope.ParseClass(len(env))
				if err != nil {
					t.Fatal(err)
				}
				again = appendMsg(nil, id, Parcel{Class: c, Envelope: env})[4:]
			}
		case frameAck:
			var id uint32
			var mac [16]byte
			id, mac, err = parseAck(b)
			again = appendAck(nil, id, mac)[4:]
		case frameInviteGet:
			var v inviteGet
			v, err = parseInviteGet(b)
			again = v.marshal()
		case frameInvite:
			var v inviteReply
			v, err = parseInviteReply(b)
			again = v.marshal()
		default:
			return
		}
		if err == nil && !bytes.Equal(again, b) {
			t.Errorf("type %#x: %x re-encodes to %x", typ, b, again)
		}
		if n := max(messageLimit(typ), inviteLimit(typ)); err == nil && len(b) > n {
			t.Errorf("type %#x: %d bytes decode, %d are allowed on the wire", typ, len(b), n)
		}
	})
}

func TestRetryOnTheWire(t *testing.T) {
	for in, want := range map[time.Duration]uint32{-time.Hour: 0, 0: 0, 1: 1, time.Second: 1, 1500 * time.Millisecond: 2, 1 << 62: 4294967295} {
		f := aboutMsg(9, 5, in)
		if id, ok := f.msg(); f.retry != want || !ok || id != 9 {
			t.Errorf("%v became %d s about %d", in, f.retry, id)
		}
	}
}
