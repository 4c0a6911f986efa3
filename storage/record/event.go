package record

import (
	"encoding/binary"

	"rushlight/protocol/identity"
	"rushlight/protocol/wire"
	"rushlight/storage"
)

// EventType is what happened.
type EventType uint8

// The types of events.
const (
	EventMessage EventType = 1 // a message was written, here or elsewhere
	EventState   EventType = 2 // a message changed its state
	EventContact EventType = 3 // a contact was added or changed
	EventExpired EventType = 4 // a message ended: it expired, burned or was deleted here
	EventEdit    EventType = 5 // a message has another text
	EventDelete  EventType = 6 // a message was taken back from everybody
	EventReact   EventType = 7 // a reaction came, changed or was taken back
	EventPlaced  EventType = 8 // a message that waited for earlier ones has its place
)

// Event is one entry of the event log. It names ids; the content is read when
// the event is delivered.
type Event struct {
	Type    EventType
	At      int64    // unix milliseconds
	Message [16]byte // for messages and states
	State   MessageState
	Account identity.AccountID
}

// EventKey is the key of the event with one number; numbers start at 1 and
// have no holes.
func EventKey(seq uint64) storage.Key { return key(FamilyEvent, u64(seq)) }

// EventPrefix is the prefix of all events.
func EventPrefix() storage.Key { return key(FamilyEvent) }

// EventSeq takes the number out of a key.
func EventSeq(k storage.Key) uint64 { return binary.BigEndian.Uint64(k[1:]) }

// Marshal encodes e.
func (e *Event) Marshal() []byte {
	return wire.NewWriter(make([]byte, 0, 64)).U8(1).U8(uint8(e.Type)).U64(uint64(e.At)).Raw(e.Message[:]).U8(uint8(e.State)).Raw(e.Account[:]).Out()
}

// ParseEvent decodes an [Event].
func ParseEvent(b []byte) (*Event, error) {
	r := wire.NewReader(b)
	version(r)
	e := &Event{Type: EventType(r.U8()), At: int64(r.U64()), Message: r.A16(), State: MessageState(r.U8()), Account: r.A32()}
	if e.Type < EventMessage || e.Type > EventPlaced {
		r.Fail("unknown event type")
	}
	return e, r.Close()
}

// Counter is what must go on after a restart although the records it was
// counted from have expired. It is saved now and then.
type Counter struct {
	NextEvent uint64
}

// CounterKey is the key of the one [Counter].
func CounterKey() storage.Key { return key(FamilyCounter) }

// Marshal encodes c.
func (c *Counter) Marshal() []byte {
	return wire.NewWriter(nil).U8(1).U64(c.NextEvent).Out()
}

// ParseCounter decodes a [Counter].
func ParseCounter(b []byte) (*Counter, error) {
	r := wire.NewReader(b)
	version(r)
	c := &Counter{NextEvent: r.U64()}
	return c, r.Close()
}
