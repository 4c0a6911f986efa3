package record

import (
	"encoding/binary"

	"rushlight/protocol/identity"
	"rushlight/protocol/wire"
	"rushlight/storage"
)

// OutboxKind says what stands in an outbox entry.
type OutboxKind uint8

// The kinds of outbox entries.
const (
	OutboxUnsealed OutboxKind = 1 // waits for a session; nothing can be sent yet
	OutboxSession  OutboxKind = 2 // sealed in a session
	OutboxFirst    OutboxKind = 3 // a first flight
)

// Outbox is one envelope that its recipient has not acknowledged. It is kept
// until then, across restarts and re-keyings.
type Outbox struct {
	Kind    OutboxKind
	Message [16]byte // id of the logged message; zero for a control packet
	Packet  []byte   // the control packet; empty for a logged message
	Made    int64    // unix seconds

	// Set once sealed:
	Session  [16]byte
	Device   identity.DeviceID // who must acknowledge
	Envelope []byte            // as it goes over a direct connection
	MAC      [16]byte          // what the acknowledgement must carry
}

// OutboxKey is the key of one entry; entries of an account stand in the order
// of their sequence numbers.
func OutboxKey(n Namer, a identity.AccountID, seq uint64) storage.Key {
	p := n.Pseudonym("account", a[:])
	return key(FamilyOutbox, p[:], u64(seq))
}

// OutboxPrefix is the prefix of the entries of one account.
func OutboxPrefix(n Namer, a identity.AccountID) storage.Key {
	p := n.Pseudonym("account", a[:])
	return key(FamilyOutbox, p[:])
}

// OutboxSeq takes the sequence number out of a key.
func OutboxSeq(k storage.Key) uint64 { return binary.BigEndian.Uint64(k[len(k)-8:]) }

// Marshal encodes o.
func (o *Outbox) Marshal() []byte {
	return wire.NewWriter(make([]byte, 0, len(o.Envelope)+len(o.Packet)+96)).U8(1).U8(uint8(o.Kind)).Raw(o.Message[:]).
		Vec24(o.Packet).U64(uint64(o.Made)).Raw(o.Session[:]).Raw(o.Device[:]).Vec24(o.Envelope).Raw(o.MAC[:]).Out()
}

// ParseOutbox decodes an [Outbox].
func ParseOutbox(b []byte) (*Outbox, error) {
	r := wire.NewReader(b)
	version(r)
	o := &Outbox{Kind: OutboxKind(r.U8())}
	if o.Kind < OutboxUnsealed || o.Kind > OutboxFirst {
		r.Fail("unknown outbox kind")
	}
	o.Message, o.Packet, o.Made, o.Session = r.A16(), r.Vec24(1<<17), int64(r.U64()), r.A16()
	o.Device, o.Envelope, o.MAC = r.A16(), r.Vec24(1<<17), r.A16()
	return o, r.Close()
}

// OutboxFamily is the prefix of all entries.
func OutboxFamily() storage.Key { return key(FamilyOutbox) }
