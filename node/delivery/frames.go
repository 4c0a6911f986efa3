package delivery

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"rushlight/node/delivery/parcel"
	"rushlight/protocol/envelope"
	"rushlight/protocol/wire"
)

// The protocols of this package (spec §8.1).
const (
	ProtocolMessages = "/rushlight/msg/1"
	ProtocolInvite   = "/rushlight/invite/1"
)

// Types of frames on both (spec §8.1). Numbers are never reused; a type that
// isn't listed for a protocol ends the stream.
const (
	// Opening of /rushlight/msg/1, see hello.go.
	frameHello     uint8 = 0x01 // dialler: ver u8 = 1 | kind u8 | nonce[32]
	frameChallenge uint8 = 0x02 // listener: nonce[32]
	frameProof     uint8 = 0x03 // both: signing key[32] | signature[64]
	// After the proof of the other side.
	frameClock     uint8 = 0x09 // once: unix milliseconds u64
	frameCounters  uint8 = 0x04 // once: n u16 ≤ 256 | n × (session[16] | sent u64 | seen u64), ascending
	frameBundleGet uint8 = 0x05 // empty
	frameBundle    uint8 = 0x06 // bundle ≤ 32 KiB, empty for none
	// At any time after the opening.
	framePing uint8 = 0x07 // empty; is the other side there?
	framePong uint8 = 0x08 // empty
	frameErr  uint8 = 0x1f // code u8 | retry after u32, seconds | extra ≤ 512
	frameMsg  uint8 = 0x20 // id u32 | class u8 | envelope
	frameAck  uint8 = 0x21 // id u32 | mac[16]
	// /rushlight/invite/1, see invite.go.
	frameInviteGet uint8 = 0x30 // ver u8 = 1 | invite id[16] | nonce[32] | mac[32]
	frameInvite    uint8 = 0x31 // nonce[32] | sealed reply ≤ 64 KiB
)

// Limits (spec §8.1).
const (
	maxExtra    = 512
	maxCounters = 256
	maxBundle   = 32 << 10
	maxReply    = 64 << 10

	msgHead     = 4 + 1
	ackSize     = 4 + 16
	errHead     = 1 + 4
	counterSize = 16 + 8 + 8
)

// messageLimit is the longest body of each frame of /rushlight/msg/1.
func messageLimit(typ uint8) int {
	switch typ {
	case frameHello:
		return 1 + 1 + 32
	case frameChallenge:
		return 32
	case frameProof:
		return 32 + 64
	case frameClock:
		return 8
	case frameCounters:
		return 2 + maxCounters*counterSize
	case frameBundle:
		return maxBundle
	case frameBundleGet, framePing, framePong:
		return 0
	case frameErr:
		return errHead + maxExtra
	case frameMsg:
		return msgHead + envelope.L.Size()
	case frameAck:
		return ackSize
	}
	return -1
}

// inviteLimit is the same for /rushlight/invite/1.
func inviteLimit(typ uint8) int {
	switch typ {
	case frameInviteGet:
		return 1 + 16 + 32 + 32
	case frameInvite:
		return 32 + maxReply
	case frameErr:
		return errHead + maxExtra
	}
	return -1
}

// hello opens a stream. A dialler of kind anonymous proves nothing and may
// only deliver first flights.
type hello struct {
	kind  uint8
	nonce [32]byte
}

const (
	helloVersion uint8 = 1

	kindAnonymous uint8 = 0
	kindNamed     uint8 = 1
)

func (h hello) marshal() []byte {
	return wire.NewWriter(nil).U8(helloVersion).U8(h.kind).Raw(h.nonce[:]).Out()
}

func parseHello(b []byte) (h hello, err error) {
	r := wire.NewReader(b)
	if v := r.U8(); v != helloVersion {
		r.Fail("unknown version")
	}
	if h.kind = r.U8(); h.kind > kindNamed {
		r.Fail("unknown kind")
	}
	h.nonce = r.A32()
	return h, read("hello", r)
}

func parseChallenge(b []byte) (nonce [32]byte, err error) {
	r := wire.NewReader(b)
	nonce = r.A32()
	return nonce, read("challenge", r)
}

// proof is the signature of one side's transcript (spec §8.2).
type proof struct {
	key [32]byte
	sig [64]byte
}

func (p proof) marshal() []byte {
	return wire.NewWriter(nil).Raw(p.key[:]).Raw(p.sig[:]).Out()
}

func parseProof(b []byte) (p proof, err error) {
	r := wire.NewReader(b)
	p.key = r.A32()
	r.Fill(p.sig[:])
	return p, read("proof", r)
}

// marshalClock is the time of this device's clock.
func marshalClock(now time.Time) []byte {
	return wire.NewWriter(nil).U64(uint64(max(now.UnixMilli(), 0))).Out()
}

// maxClock is the latest time that a clock may show: what a message can claim.
const maxClock = 1<<48 - 1

func parseClock(b []byte) (time.Time, error) {
	r := wire.NewReader(b)
	ms := r.U64()
	if ms > maxClock {
		r.Fail("time out of range")
	}
	return time.UnixMilli(int64(ms)).UTC(), read("clock", r)
}

// marshalCounters sorts; what is over the limit is left out.
func marshalCounters(cs []Counter) []byte {
	cs = slices.Clone(cs)
	slices.SortFunc(cs, func(a, b Counter) int { return bytes.Compare(a.Session[:], b.Session[:]) })
	cs = slices.CompactFunc(cs, func(a, b Counter) bool { return a.Session == b.Session })
	cs = cs[:min(len(cs), maxCounters)]
	w := wire.NewWriter(nil).U16(uint16(len(cs)))
	for _, c := range cs {
		w.Raw(c.Session[:]).U64(c.Sent).U64(c.Seen)
	}
	return w.Out()
}

func parseCounters(b []byte) ([]Counter, error) {
	r := wire.NewReader(b)
	n := int(r.U16())
	if n > maxCounters {
		r.Fail("too many counters")
	}
	var out []Counter
	for i := 0; i < n && r.Err() == nil; i++ {
		c := Counter{Session: r.A16(), Sent: r.U64(), Seen: r.U64()}
		if i > 0 && bytes.Compare(out[i-1].Session[:], c.Session[:]) >= 0 {
			r.Fail("counters out of order")
		}
		out = append(out, c)
	}
	if err := read("counters", r); err != nil {
		return nil, err
	}
	return out, nil
}

// appendMsg appends a whole MSG frame, without a copy in between.
func appendMsg(dst []byte, id uint32, p Parcel) []byte {
	return wire.NewWriter(dst).U8(frameMsg).U24(uint32(msgHead + len(p.Envelope))).
		U32(id).U8(uint8(p.Class)).Raw(p.Envelope).Out()
}

// parseMsg returns an envelope that aliases b and has its class's size.
func parseMsg(b []byte) (id uint32, env []byte, err error) {
	r := wire.NewReader(b)
	id = r.U32()
	c := envelope.Class(r.U8())
	if !c.Valid() {
		r.Fail("unknown class")
	}
	env = r.Bytes(c.Size())
	return id, env, read("message", r)
}

func appendAck(dst []byte, id uint32, mac [16]byte) []byte {
	return wire.NewWriter(dst).U8(frameAck).U24(ackSize).U32(id).Raw(mac[:]).Out()
}

func parseAck(b []byte) (id uint32, mac [16]byte, err error) {
	r := wire.NewReader(b)
	id, mac = r.U32(), r.A16()
	return id, mac, read("acknowledgement", r)
}

// failure is an ERR frame. About a message, extra is its id.
type failure struct {
	code  uint8
	retry uint32 // seconds
	extra []byte
}

func (f failure) append(dst []byte) []byte {
	return wire.NewWriter(dst).U8(frameErr).U24(uint32(errHead + len(f.extra))).
		U8(f.code).U32(f.retry).Raw(f.extra).Out()
}

func parseFailure(b []byte) (f failure, err error) {
	r := wire.NewReader(b)
	f.code, f.retry = r.U8(), r.U32()
	if r.Len() > maxExtra {
		r.Fail("extra over its limit")
	}
	f.extra = r.Rest()
	return f, read("error", r)
}

// aboutMsg makes the failure of one message.
func aboutMsg(id uint32, code uint8, retry time.Duration) failure {
	s := min(max(0, math.Ceil(retry.Seconds())), math.MaxUint32)
	return failure{code: code, retry: uint32(s), extra: wire.NewWriter(nil).U32(id).Out()}
}

// msg returns the message that a failure is about.
func (f failure) msg() (id uint32, ok bool) {
	r := wire.NewReader(f.extra)
	id = r.U32()
	return id, r.Close() == nil
}

// wait is how long a sender holds back after the failure: what the other side
// asks for, within reason.
func (f failure) wait() time.Duration {
	return min(cmp.Or(time.Duration(f.retry)*time.Second, minRetry), maxRetry)
}

const (
	minRetry = 500 * time.Millisecond
	maxRetry = time.Minute
)

// busy reports whether the same bytes may be taken later.
func (f failure) busy() bool { return f.code == parcel.CodeBusy }

func read(what string, r *wire.Reader) error {
	if err := r.Close(); err != nil {
		return fmt.Errorf("delivery: reading a %s: %w", what, err)
	}
	return nil
}
