// Package mailbox is what goes over the wire between a relay and those who use
// it: senders, who put envelopes into mailboxes, and owners, who empty them.
//
// It is not the relay: it keeps nothing and decides nothing. It promises that
// every frame has one spelling and a bounded length that is known from its
// type before its body takes memory (spec §12).
package mailbox

import (
	"fmt"

	"rushlight/protocol/envelope"
	"rushlight/protocol/receipt"
	"rushlight/protocol/stamp"
	"rushlight/protocol/wire"
)

// The protocols of this package (spec §12.1).
const (
	ProtocolDeposit = "/rushlight/dep/1"
	ProtocolOwner   = "/rushlight/mbx/1"
)

// Types of frames. Numbers are never reused.
const (
	// On /rushlight/dep/1.
	TypeDeposit uint8 = 0x10
	TypeStored  uint8 = 0x11
	TypeRequest uint8 = 0x12
	TypeUnsend  uint8 = 0x13
	TypeUnsent  uint8 = 0x14
	// On both.
	TypeErr uint8 = 0x1f
	// On /rushlight/mbx/1.
	TypeHello   uint8 = 0x30
	TypeAuth    uint8 = 0x31
	TypeState   uint8 = 0x32
	TypeCreate  uint8 = 0x33
	TypeStamps  uint8 = 0x34
	TypeMinted  uint8 = 0x35
	TypeFetch   uint8 = 0x36
	TypeEnv     uint8 = 0x37
	TypeEnd     uint8 = 0x38
	TypeIDs     uint8 = 0x39
	TypeTags    uint8 = 0x3a
	TypeTrim    uint8 = 0x3b
	TypeTrimmed uint8 = 0x3c
	TypeRevoke  uint8 = 0x3d
	TypeRevoked uint8 = 0x3e
	TypeClose   uint8 = 0x3f
	TypeClosed  uint8 = 0x40
)

// Limits (spec §12.1).
const (
	MaxExtra  = 512       // bytes of Err.Extra
	MaxMoved  = 512       // bytes of Close.Moved
	MaxMint   = 4096      // stamps in one answer
	MaxTags   = 4096      // tags in one answer
	MaxRanges = 1024      // ranges in Trim and Revoke
	MaxWait   = 600       // seconds that Fetch may wait
	MaxProof  = 64        // bytes of Create.Proof
	depositHd = 4 + 1 + 1 // id ‖ ttl ‖ flags
)

// Limit is the longest body of a frame of the given type in bytes, negative
// when no such frame is allowed.
type Limit = func(typ uint8) int

// DepositLimit is the longest body of each frame that a sender may send on
// /rushlight/dep/1, in bytes; negative for what it may not.
func DepositLimit(typ uint8) int {
	switch typ {
	case TypeDeposit:
		return depositHd + stamp.Size + envelope.L.Size()
	case TypeRequest:
		return requestHead + envelope.M.Size()
	case TypeUnsend:
		return 4 + stamp.Size + 16 + 16
	}
	return -1
}

// DepositAnswerLimit is the same for what the relay answers.
func DepositAnswerLimit(typ uint8) int {
	switch typ {
	case TypeStored:
		return 4 + 2 + 1 + receipt.MaxSize
	case TypeUnsent:
		return 4
	case TypeErr:
		return errHead + MaxExtra
	}
	return -1
}

// OwnerLimit is the longest body of each frame that an owner may send on
// /rushlight/mbx/1.
func OwnerLimit(typ uint8) int {
	switch typ {
	case TypeAuth:
		return 32 + 64
	case TypeCreate:
		return 1 + 16 + 8 + 1 + MaxProof
	case TypeStamps:
		return 1 + 2
	case TypeFetch:
		return 8 + 4 + 2
	case TypeIDs:
		return 8 + 2
	case TypeTrim:
		return MaxRanges * 16
	case TypeRevoke:
		return MaxRanges * 8
	case TypeClose:
		return MaxMoved
	}
	return -1
}

// OwnerAnswerLimit is the same for what the relay answers.
func OwnerAnswerLimit(typ uint8) int {
	switch typ {
	case TypeHello:
		return helloSize
	case TypeState:
		return stateSize
	case TypeMinted:
		return 4 + MaxMint*stamp.Size
	case TypeEnv:
		return envHead + envelope.L.Size()
	case TypeEnd:
		return 8 + 8 + 1
	case TypeTags:
		return 8 + 1 + MaxTags*24
	case TypeTrimmed:
		return 4 + 8
	case TypeRevoked:
		return 4
	case TypeClosed:
		return 0
	case TypeErr:
		return errHead + MaxExtra
	}
	return -1
}

// frame appends a frame whose body is what write writes.
func frame(dst []byte, typ uint8, write func(*wire.Writer)) []byte {
	at := len(dst)
	w := wire.NewWriter(append(dst, typ, 0, 0, 0))
	write(w)
	out := w.Out()
	n := len(out) - at - wire.FrameHeader
	out[at+1], out[at+2], out[at+3] = byte(n>>16), byte(n>>8), byte(n)
	return out
}

// done ends a parse.
func done(what string, r *wire.Reader) error {
	if err := r.Close(); err != nil {
		return fmt.Errorf("mailbox: %s: %w", what, err)
	}
	return nil
}

// envelopeOf reads the rest as an envelope of at most the given class.
func envelopeOf(r *wire.Reader, most envelope.Class) []byte {
	b := r.Rest()
	if c, err := envelope.ParseClass(len(b)); r.Err() == nil && (err != nil || c > most) {
		r.Fail("not the length of a class")
		return nil
	}
	return b
}
