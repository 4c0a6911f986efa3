// Package message is what people say to each other and what their devices
// tell each other about it: messages, their ids, their bodies, and the control
// packets around them.
//
// It is not encryption and not history: it says what the bytes inside a
// session mean, and what order a message claims. It promises that a message
// has one encoding and one id, that whatever it decodes is bounded, and that
// what a newer version added is kept as it came (spec §9).
package message

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"rushlight/protocol/identity"
	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

// Limits of a message (spec §9.2).
const (
	MaxParents = 8
	MaxSeq     = 1<<48 - 1
	MaxBody    = 57_344 // bytes of all records of a body
	MaxSize    = headerMax + 2 + 3 + MaxBody

	headerMin = 16 + 16 + 8 + 32 + 1 + 8 + 8
	headerMax = headerMin + MaxParents*16
)

const (
	labelDirect  suite.Label = "rushlight/message/direct/1"
	labelMessage suite.Label = "rushlight/message/message/1"
	labelBody    suite.Label = "rushlight/message/body/1"
)

// ErrMistyped is returned for an id in text form that cannot be one.
var ErrMistyped = errors.New("message: mistyped id")

// ID names a message: the first 16 bytes of its hash (spec §9.2).
type ID [16]byte

// String is 32 lower-case hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText is [ID.String].
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is [ParseID].
func (id *ID) UnmarshalText(b []byte) (err error) { *id, err = ParseID(string(b)); return err }

// ParseID reads the form of [ID.String] and no other, or fails with
// [ErrMistyped].
func ParseID(s string) (ID, error) {
	b, err := parseHex(s)
	return ID(b), err
}

// ConversationID names a conversation.
type ConversationID [16]byte

// String is 32 lower-case hex digits.
func (c ConversationID) String() string { return hex.EncodeToString(c[:]) }

// MarshalText is [ConversationID.String].
func (c ConversationID) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText is [ParseConversationID].
func (c *ConversationID) UnmarshalText(b []byte) (err error) {
	*c, err = ParseConversationID(string(b))
	return err
}

// ParseConversationID reads the form of [ConversationID.String] and no other,
// or fails with [ErrMistyped].
func ParseConversationID(s string) (ConversationID, error) {
	b, err := parseHex(s)
	return ConversationID(b), err
}

func parseHex(s string) (out [16]byte, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(out) || s != strings.ToLower(s) {
		return out, fmt.Errorf("reading an id: %w", ErrMistyped)
	}
	return [16]byte(b), nil
}

// DirectConversation is the conversation of two accounts, in either order: the
// first 16 bytes of the hash of both ids sorted (spec §9.1).
func DirectConversation(a, b identity.AccountID) ConversationID {
	if bytes.Compare(a[:], b[:]) > 0 {
		a, b = b, a
	}
	h := suite.Hash(labelDirect, a[:], b[:])
	return ConversationID(h[:16])
}

// Header places a message in its conversation (spec §9.2).
type Header struct {
	Conversation ConversationID
	Author       identity.DeviceID
	Seq          uint64   // dense per author and conversation, from 1
	Prev         [32]byte // hash of the author's message Seq-1 here, zeros for the first
	Parents      []ID     // newest messages the author knew here, sorted
	HLC          uint64   // claimed time: milliseconds since 1970 <<16 | counter
	VDig         [8]byte  // digest of what the author held here before this one
}

// Message is a header and a body of a type. The body is a set of records, kept
// verbatim whether or not the type is known.
type Message struct {
	Header
	Type Type
	Body []byte
	// Erased, when set, is the hash of a body that is gone; Body is then empty.
	Erased *[32]byte
}

func (h *Header) append(w *wire.Writer) {
	w.Raw(h.Conversation[:]).Raw(h.Author[:]).U64(h.Seq).Raw(h.Prev[:])
	w.U8(uint8(len(h.Parents)))
	for _, p := range h.Parents {
		w.Raw(p[:])
	}
	w.U64(h.HLC).Raw(h.VDig[:])
}

func (h *Header) read(r *wire.Reader) {
	h.Conversation, h.Author = r.A16(), r.A16()
	h.Seq, h.Prev = r.U64(), r.A32()
	n := int(r.U8())
	if n > MaxParents {
		r.Fail("too many parents")
		return
	}
	for range n {
		h.Parents = append(h.Parents, r.A16())
	}
	h.HLC = r.U64()
	r.Fill(h.VDig[:])
}

// check applies the rules that both encoding and decoding follow.
func (m *Message) check(r *wire.Reader) {
	switch {
	case m.Seq == 0 || m.Seq > MaxSeq:
		r.Fail("sequence number out of range")
	case (m.Seq == 1) != (m.Prev == [32]byte{}):
		r.Fail("first message has a predecessor, or a later one has none")
	case len(m.Parents) > MaxParents:
		r.Fail("too many parents")
	case !slices.IsSortedFunc(m.Parents, compareIDs) || hasTwins(m.Parents):
		r.Fail("parents not sorted and unique")
	case len(m.Body) > MaxBody:
		r.Fail("body over its limit")
	}
}

func compareIDs(a, b ID) int { return bytes.Compare(a[:], b[:]) }

func hasTwins(ids []ID) bool {
	for i := 1; i < len(ids); i++ {
		if ids[i] == ids[i-1] {
			return true
		}
	}
	return false
}

// Marshal encodes the message; its length is at most [MaxSize]. It fails when
// the message breaks a rule of spec §9.2.
func (m *Message) Marshal() ([]byte, error) {
	r := wire.NewReader(m.Body)
	r.Records(MaxBody)
	m.check(r)
	if m.Erased != nil {
		r.Fail("the body is gone")
	}
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("encoding a message: %w", err)
	}
	w := wire.NewWriter(make([]byte, 0, headerMax+5+len(m.Body)))
	m.append(w)
	return w.U16(uint16(m.Type)).Vec24(m.Body).Out(), nil
}

// Parse reverses [Message.Marshal]. The body aliases b.
func Parse(b []byte) (*Message, error) {
	r := wire.NewReader(b)
	m := &Message{}
	m.read(r)
	m.Type = Type(r.U16())
	m.Body = r.Vec24(MaxBody)
	m.check(r)
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("reading a message: %w", err)
	}
	if _, err := records(m.Body); err != nil {
		return nil, fmt.Errorf("reading a message: %w", err)
	}
	return m, nil
}

// BodyHash is the hash of the body, which outlives the body so that the chain
// of an author can be checked after messages were erased.
func (m *Message) BodyHash() [32]byte {
	if m.Erased != nil {
		return *m.Erased
	}
	return suite.Hash(labelBody, m.Body)
}

// Hash is the hash of header, type and body hash: what the author's next
// message names as Prev (spec §9.2).
func (m *Message) Hash() [32]byte {
	w := wire.NewWriter(make([]byte, 0, headerMax))
	m.append(w)
	body := m.BodyHash()
	return suite.Hash(labelMessage, w.Out(), []byte{byte(m.Type >> 8), byte(m.Type)}, body[:])
}

// ID is the first 16 bytes of [Message.Hash].
func (m *Message) ID() ID {
	h := m.Hash()
	return ID(h[:16])
}
