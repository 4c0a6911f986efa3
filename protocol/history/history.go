// Package history keeps the order of a conversation and knows its gaps.
//
// It is not a store: it holds ids and numbers, asks a small [Store] for the
// rest, and leaves every byte of text to others. It promises that two devices
// that hold the same messages of well-set clocks show them in the same order,
// that a message never precedes its parents, that a message is taken once, and
// that gaps are known exactly (spec §9.5).
package history

import (
	"bytes"
	"cmp"
	"errors"

	"rushlight/protocol/identity"
	"rushlight/protocol/message"
)

// Limits of a [State] (spec §9.5).
const (
	MaxAuthors = 256 // author devices in one conversation
	MaxForks   = 64  // second messages kept for one author device
	maxHeads   = message.MaxParents
)

// Intervals is the set of sequence numbers held of one author device.
type Intervals = message.Intervals

// Range is a range of sequence numbers.
type Range = message.Range

// Why a message is refused: nothing of it may be kept or acknowledged, and its
// sender will send it again.
var (
	ErrOtherConversation = errors.New("history: message of another conversation")
	ErrTooManyAuthors    = errors.New("history: too many author devices")
	ErrTooManyForks      = errors.New("history: too many forks")
	ErrTooManyGaps       = errors.New("history: too many gaps")
)

// Entry is what a [Store] remembers of a message, also after it was erased.
type Entry struct {
	ID   message.ID
	Prev [32]byte
}

// Store answers for one conversation what was inserted before. An erased
// message stays known until nobody can deliver it again.
type Store interface {
	// At returns the message first inserted under a number of an author,
	// whether placed or waiting.
	At(author identity.DeviceID, seq uint64) (Entry, bool)
	// Has reports whether a message is placed: inserted, and not waiting.
	Has(id message.ID) bool
	// Order returns the order of a placed message.
	Order(id message.ID) uint64
}

// Position orders the messages of a conversation: by Order, then by id (spec
// §9.4). No key of a store needs to show an author for that.
type Position struct {
	Order uint64
	ID    message.ID
}

// Compare is negative when p stands before o.
func (p Position) Compare(o Position) int {
	return cmp.Or(cmp.Compare(p.Order, o.Order), bytes.Compare(p.ID[:], o.ID[:]))
}

// Verdict is what becomes of a message.
type Verdict uint8

// The verdicts (spec §9.5).
const (
	// New: placed. Keep it, show it at its order, and try [State.Place] on the
	// messages that wait for it.
	New Verdict = 1
	// Waiting: parents are missing. Keep it; show it after a while with a mark,
	// at its provisional order; call [State.Place] when they have come.
	Waiting Verdict = 2
	// Duplicate: taken before. Drop it and acknowledge again.
	Duplicate Verdict = 3
)

// Outcome is the result of [State.Insert] and [State.Place].
type Outcome struct {
	Verdict  Verdict
	Position Position     // final when New, provisional when Waiting
	Missing  []message.ID // parents not placed yet, when Waiting
	Fork     *Fork        // set when the message contradicts another of its author
}

// Fork is the evidence that a device has two histories: it was copied, or
// restored from a backup, or lies. Both messages are kept, and the device
// should be flagged.
type Fork struct {
	Author identity.DeviceID
	Seq    uint64     // number of the message just inserted
	Got    message.ID // the message just inserted
	Held   message.ID // what it contradicts: same number, or a neighbour
}
