package envelope

import (
	"fmt"
	"slices"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

const (
	labelBody     suite.Label = "rushlight/envelope/body/2"
	labelAck      suite.Label = "rushlight/envelope/ack/1"
	labelFill     suite.Label = "rushlight/envelope/fill/2"
	labelAckAgain suite.Label = "rushlight/envelope/ack-again/1"
)

// Kind says what a payload holds: its first byte (spec §7.4).
type Kind uint8

// The kinds of payload. Others are refused.
const (
	KindSession     Kind = 1 // slots of established sessions and a body
	KindFirstFlight Kind = 2 // a sealed first flight (spec §5, §7.5)
)

// Slots is how many devices a payload of the class is wrapped for, 0 for an
// unknown class. Every payload has that many slots, used or not.
func (c Class) Slots() int {
	switch c {
	case S:
		return 4
	case M, L:
		return 8
	}
	return 0
}

// MaxBody is the length of the longest body of the class in bytes.
func (c Class) MaxBody() int {
	if !c.Valid() {
		return 0
	}
	return c.Capacity() - c.head() - suite.SealOverhead
}

// ClassForBody returns the smallest class that holds a body of n bytes for a
// number of devices, or [ErrTooLarge].
func ClassForBody(n, devices int) (Class, error) {
	for c := S; c <= L; c++ {
		if n <= c.MaxBody() && devices <= c.Slots() {
			return c, nil
		}
	}
	return 0, ErrTooLarge
}

// NewContentKey returns a fresh random content key, for one [Pack].
func NewContentKey() (key [32]byte) {
	suite.Random(key[:])
	return key
}

// Pack builds the payload of a class from a body and the slots: the content
// key, encrypted by the ratchet for each device, [SlotSize] bytes each. Slots
// not used are filled with bytes that follow from the content key and look
// random to everybody else. A content key must be used for one Pack only. Errors: [ErrTooLarge], or that a slot has the wrong length.
func Pack(c Class, content [32]byte, slots [][]byte, body []byte) ([]byte, error) {
	return AppendPack(nil, c, content, slots, body)
}

// AppendPack is [Pack], and appends the payload to dst.
func AppendPack(dst []byte, c Class, content [32]byte, slots [][]byte, body []byte) ([]byte, error) {
	if !c.Valid() || len(slots) > c.Slots() || len(body) > c.MaxBody() {
		return nil, fmt.Errorf("packing a payload: %w", ErrTooLarge)
	}
	from := len(dst)
	out := append(slices.Grow(dst, c.head()+suite.SealOverhead+len(body)), byte(KindSession))
	for _, s := range slots {
		if len(s) != SlotSize {
			return nil, fmt.Errorf("packing a payload: %w: slot of the wrong length", wire.ErrMalformed)
		}
		out = append(out, s...)
	}
	out = fill(out, from+c.head(), content)
	key := bodyKey(c, content)
	return key.Seal(out, out[from:], body), nil
}

// head is the length of the kind and the slots of a payload.
func (c Class) head() int { return 1 + c.Slots()*SlotSize }

// fill appends to the kind and the used slots of a payload what stands in the
// others, up to the length n.
func fill(out []byte, n int, content [32]byte) []byte {
	var key [32]byte
	suite.ExpandTo(key[:], content, labelFill)
	return suite.Stream(out, n-len(out), key)
}

// bodyKey is what seals the body of a payload of the class.
func bodyKey(c Class, content [32]byte) (key suite.OneTime) {
	suite.ExpandTo(key[:], content, labelBody, []byte{byte(c)})
	return key
}

// Fold leaves out of a payload of [Pack] what follows from the content key: the
// slots beyond the used ones. [Unfold] puts it back. An outbox keeps payloads
// folded.
func Fold(c Class, used int, payload []byte) []byte {
	return AppendFold(nil, c, used, payload)
}

// AppendFold is [Fold], and appends to dst.
func AppendFold(dst []byte, c Class, used int, payload []byte) []byte {
	slots, body := payload[1:1+used*SlotSize], payload[c.head():]
	return append(append(slices.Grow(dst, len(slots)+len(body)), slots...), body...)
}

// Unfold reverses [Fold].
func Unfold(c Class, content [32]byte, used int, folded []byte) ([]byte, error) {
	keep := used * SlotSize
	if !c.Valid() || used < 0 || used > c.Slots() || len(folded) < keep+suite.SealOverhead ||
		len(folded)-keep-suite.SealOverhead > c.MaxBody() {
		return nil, fmt.Errorf("unfolding a payload: %w", wire.ErrMalformed)
	}
	out := append(make([]byte, 0, c.head()+len(folded)-keep), byte(KindSession))
	out = fill(append(out, folded[:keep]...), c.head(), content)
	return append(out, folded[keep:]...), nil
}

// MaxFirstFlight is the length of the longest sealed first flight of the
// class in bytes.
func (c Class) MaxFirstFlight() int { return max(0, c.Capacity()-1-16) }

// PackFirstFlight builds the payload of a sealed first flight, with the cure
// that its keys were derived from.
func PackFirstFlight(c Class, cure [16]byte, flight []byte) ([]byte, error) {
	if !c.Valid() || len(flight) > c.MaxFirstFlight() {
		return nil, fmt.Errorf("packing a first flight: %w", ErrTooLarge)
	}
	out := make([]byte, 0, 1+len(cure)+len(flight))
	return wire.NewWriter(out).U8(uint8(KindFirstFlight)).Raw(cure[:]).Raw(flight).Out(), nil
}

// KindOf returns the kind of a payload, or 0 when it is none we know.
func KindOf(payload []byte) Kind {
	if len(payload) > 0 && (payload[0] == byte(KindSession) || payload[0] == byte(KindFirstFlight)) {
		return Kind(payload[0])
	}
	return 0
}

// Unpack splits a payload of kind session into its slots and the sealed body.
// Both alias payload.
func Unpack(c Class, payload []byte) (slots [][]byte, sealed []byte, err error) {
	r := wire.NewReader(payload)
	if Kind(r.U8()) != KindSession || !c.Valid() || len(payload) > c.Capacity() {
		r.Fail("not a session payload of the class")
	}
	slots = make([][]byte, c.Slots())
	for i := range slots {
		slots[i] = r.Bytes(SlotSize)
	}
	if r.Len() < suite.SealOverhead {
		r.Fail("body too short")
	}
	sealed = r.Rest()
	if err := r.Close(); err != nil {
		return nil, nil, fmt.Errorf("unpacking a payload: %w", err)
	}
	return slots, sealed, nil
}

// UnpackFirstFlight returns the sealed first flight of a payload of that kind,
// and the cure of its envelope. The caller checks [CureHash] before it gives
// the cure away.
func UnpackFirstFlight(payload []byte) (cure [16]byte, flight []byte, err error) {
	r := wire.NewReader(payload)
	if Kind(r.U8()) != KindFirstFlight {
		r.Fail("other kind of payload")
	}
	cure, flight = r.A16(), r.Rest()
	if err := r.Close(); err != nil {
		return cure, nil, fmt.Errorf("unpacking a first flight: %w", err)
	}
	return cure, flight, nil
}

// OpenBody opens the body of a session payload with the content key out of one
// of its slots, or fails with [ErrOpen].
func OpenBody(c Class, content [32]byte, payload []byte) ([]byte, error) {
	_, sealed, err := Unpack(c, payload)
	if err != nil {
		return nil, err
	}
	key := bodyKey(c, content)
	body, err := key.Open(nil, payload[:c.head()], sealed)
	if err != nil {
		return nil, ErrOpen
	}
	return body, nil
}

// AckMAC is the proof of a recipient device that it stored what came in the
// envelope with the tag. The secret is exported from the session for this
// purpose alone (spec §8.3).
func AckMAC(secret [32]byte, tag, device [16]byte) (mac [16]byte) {
	full := suite.MAC(secret[:], labelAck, tag[:], device[:])
	copy(mac[:], full[:])
	return mac
}

// AckAgainMAC is the proof for a first flight that was answered before: its
// session may have gone on since, so a sender that has started anew must not
// take it for new (spec §8.3).
func AckAgainMAC(secret [32]byte, tag, device [16]byte) (mac [16]byte) {
	full := suite.MAC(secret[:], labelAckAgain, tag[:], device[:])
	copy(mac[:], full[:])
	return mac
}
