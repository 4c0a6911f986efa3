package record

import (
	"encoding/binary"
	"time"

	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/wire"
	"rushlight/storage"
)

// Due says that a message ends at a time: at its deadline, or because it was
// seen. The message itself can't be read any more by then.
type Due struct {
	Account identity.AccountID // the other side of the conversation
	Header  []byte             // of one's own message: the erased message.Message
}

// DueKey is the key of the end of one message.
func DueKey(at time.Time, id message.ID) storage.Key {
	return key(FamilyDue, u64(uint64(max(at.UnixMilli(), 0))), id[:])
}

// DuePrefix is the prefix of the ends of all messages, the next first.
func DuePrefix() storage.Key { return key(FamilyDue) }

// ParseDueKey takes a key apart.
func ParseDueKey(k storage.Key) (at time.Time, id message.ID, err error) {
	if len(k) != 1+8+16 {
		return at, id, wire.ErrMalformed
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(k[1:9]))).UTC(), message.ID(k[9:]), nil
}

// Marshal encodes d.
func (d *Due) Marshal() []byte {
	return wire.NewWriter(make([]byte, 0, 35+len(d.Header))).U8(1).Raw(d.Account[:]).Vec16(d.Header).Out()
}

// ParseDue decodes a [Due].
func ParseDue(b []byte) (*Due, error) {
	r := wire.NewReader(b)
	version(r)
	d := &Due{Account: r.A32(), Header: r.Vec16(1024)}
	return d, r.Close()
}

// GraveKey is the key under which the id of a message that ended is kept for a
// while; slots are used in turn.
func GraveKey(n Namer, conv message.ConversationID, slot uint16) storage.Key {
	p := n.Pseudonym("conversation", conv[:])
	return key(FamilyGrave, p[:], binary.BigEndian.AppendUint16(nil, slot))
}

// GravePrefix is the prefix of all graves of a conversation.
func GravePrefix(n Namer, conv message.ConversationID) storage.Key {
	p := n.Pseudonym("conversation", conv[:])
	return key(FamilyGrave, p[:])
}

// DoubtKey is the key of the record that is there while the time is in doubt:
// what has expired is hidden, and not destroyed yet.
func DoubtKey() storage.Key { return key(FamilyDoubt) }
