package record

import (
	"encoding/binary"
	"slices"

	"rushlight/protocol/envelope"
	"rushlight/protocol/handshake"
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
	Packet  []byte   // what isn't found by that id: a control packet, an edit, a reaction
	Made    int64    // unix seconds
	Again   bool     // it was acknowledged, and the other side lost it

	// Set once sealed:
	Session [16]byte
	Device  identity.DeviceID // who must acknowledge
	MAC     [16]byte          // what the acknowledgement must carry

	// A first flight is kept as the envelope that goes over a direct
	// connection. What was sealed in a session is kept folded, with the keys
	// that make the same envelope of it each time.
	Envelope []byte
	Class    envelope.Class
	Key      [32]byte // of the message in its delivery chain; of a first flight, its opener
	Content  [32]byte
	Folded   []byte // envelope.Fold of a payload with one slot
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
func (o *Outbox) Marshal() []byte { return o.Append(nil) }

// Append is Marshal, and appends to dst.
func (o *Outbox) Append(dst []byte) []byte {
	w := wire.NewWriter(slices.Grow(dst, len(o.Envelope)+len(o.Packet)+len(o.Folded)+192)).U8(1).U8(uint8(o.Kind)).Raw(o.Message[:]).
		Vec24(o.Packet).U64(uint64(o.Made)).Bool(o.Again)
	switch o.Kind {
	case OutboxFirst:
		w.Raw(o.Session[:]).Raw(o.Device[:]).Raw(o.MAC[:]).Raw(o.Key[:]).Vec24(o.Envelope)
	case OutboxSession:
		w.Raw(o.Session[:]).Raw(o.Device[:]).Raw(o.MAC[:]).U8(uint8(o.Class)).Raw(o.Key[:]).Raw(o.Content[:]).Vec24(o.Folded)
	case OutboxUnsealed:
	}
	return w.Out()
}

// ParseOutbox decodes an [Outbox].
func ParseOutbox(b []byte) (*Outbox, error) {
	r := wire.NewReader(b)
	version(r)
	o := &Outbox{Kind: OutboxKind(r.U8()), Message: r.A16(), Packet: r.Vec24(1 << 17), Made: int64(r.U64()), Again: r.Bool()}
	switch o.Kind {
	case OutboxFirst:
		o.Session, o.Device, o.MAC = r.A16(), r.A16(), r.A16()
		o.Key, o.Envelope = r.A32(), r.Vec24(1<<17)
	case OutboxSession:
		o.Session, o.Device, o.MAC, o.Class = r.A16(), r.A16(), r.A16(), envelope.Class(r.U8())
		o.Key, o.Content, o.Folded = r.A32(), r.A32(), r.Vec24(1<<17)
	case OutboxUnsealed:
	default:
		r.Fail("unknown outbox kind")
	}
	return o, r.Close()
}

// Sealed makes the class and the envelope that go over a direct connection,
// the same each time.
func (o *Outbox) Sealed() (envelope.Class, []byte, error) {
	if o.Kind == OutboxFirst {
		c, err := envelope.ParseClass(len(o.Envelope))
		return c, o.Envelope, err
	}
	payload, err := envelope.Unfold(o.Class, o.Content, 1, o.Folded)
	if err != nil {
		return 0, nil, err
	}
	env, err := envelope.Seal(make([]byte, 0, o.Class.Size()), envelope.KeysFor(o.Key, envelope.Direct), o.Class, payload)
	return o.Class, env, err
}

// At makes the class and the envelope for a relay, the same each time: a first
// flight gets a cure of its own there, so that its copies can't be linked.
func (o *Outbox) At(relay [32]byte) (envelope.Class, []byte, error) {
	if o.Kind != OutboxFirst {
		payload, err := envelope.Unfold(o.Class, o.Content, 1, o.Folded)
		if err != nil {
			return 0, nil, err
		}
		env, err := envelope.Seal(make([]byte, 0, o.Class.Size()), envelope.KeysFor(o.Key, relay), o.Class, payload)
		return o.Class, env, err
	}
	class, err := envelope.ParseClass(len(o.Envelope))
	if err != nil {
		return 0, nil, err
	}
	payload, err := envelope.Open(envelope.FirstKeysOf(o.Key, envelope.Direct, o.Envelope), class, o.Envelope)
	if err != nil {
		return 0, nil, err
	}
	cure, sealed, err := envelope.UnpackFirstFlight(payload)
	if err != nil {
		return 0, nil, err
	}
	env, err := SealFirst(o.Key, relay, envelope.CureAt(cure, relay), class, sealed)
	return class, env, err
}

// SealFirst makes the envelope of a first flight, or of what is sent in its
// place, for a relay (spec §7.5).
func SealFirst(opener, relay [32]byte, cure [16]byte, class envelope.Class, sealed []byte) ([]byte, error) {
	payload, err := envelope.PackFirstFlight(class, cure, sealed)
	if err != nil {
		return nil, err
	}
	keys := envelope.FirstKeys(opener, handshake.FirstTag(opener, relay), relay, cure)
	return envelope.Seal(make([]byte, 0, class.Size()), keys, class, payload)
}

// OutboxFamily is the prefix of all entries.
func OutboxFamily() storage.Key { return key(FamilyOutbox) }
