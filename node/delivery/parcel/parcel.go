// Package parcel is what the engine and the network side of direct delivery
// say to each other.
//
// It has no behaviour and imports no network code, so that the engine can
// speak of deliveries without libp2p. Package delivery repeats the names.
package parcel

import (
	"fmt"
	"time"

	"rushlight/protocol/envelope"
	"rushlight/protocol/identity"
)

// Parcel is an outbox entry sealed for direct delivery.
type Parcel struct {
	Seq      uint64 // ascending for each account, never given twice
	Class    envelope.Class
	Envelope []byte // exactly the class's size; not changed afterwards
}

// Ack is the other side's answer for a parcel that it has committed.
type Ack struct {
	Seq uint64
	MAC [16]byte // only the devices of the session can make it (spec §8.3)
}

// Result is what became of one received envelope. A nil Err says that it is
// committed and may be acknowledged with MAC. An Err that is, or wraps, a
// [Refusal] is sent as such; any other means "not now, try again".
type Result struct {
	MAC [16]byte
	Err error
}

// Counter is what one device has counted in one session, by which two devices
// notice that one of them has gone back in time.
type Counter struct {
	Session [16]byte
	Sent    uint64
	Seen    uint64
}

// Hint is an address that may work.
type Hint = identity.Hint

// The codes of refusals (spec §8.3). Only CodeBusy asks for another attempt
// with the same bytes.
const (
	CodeSpent   uint8 = 1  // the stamp was used for something else
	CodeExpired uint8 = 2  // too late
	CodeFull    uint8 = 3  // no room
	CodeClass   uint8 = 4  // no envelopes of this class
	CodeBusy    uint8 = 5  // not now
	CodeGone    uint8 = 6  // moved away
	CodeEffort  uint8 = 7  // more work wanted
	CodeTime    uint8 = 8  // clocks differ
	CodeTooBig  uint8 = 9  // more than allowed
	CodeUnknown uint8 = 10 // nothing is known by this name
	CodeUsed    uint8 = 11 // used up
	CodeRefused uint8 = 12 // won't be taken in this form, ever
)

// Refusal is an error with a code that the other side may know.
type Refusal struct {
	Code       uint8
	RetryAfter time.Duration // rounded up to whole seconds on the wire
}

func (r *Refusal) Error() string { return fmt.Sprintf("refused with code %d", r.Code) }
