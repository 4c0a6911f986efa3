package record

import (
	"slices"

	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/wire"
	"rushlight/storage"
)

// MessageState is how far a message has come.
type MessageState uint8

// The states of a message, in order.
const (
	StateQueued    MessageState = 1
	StateStored    MessageState = 2
	StateDelivered MessageState = 3
	StateRead      MessageState = 4
	StateFailed    MessageState = 5
	// StateHidden is that of a message that isn't shown: an edit, a reaction,
	// or one that was lost.
	StateHidden MessageState = 6
)

// Message is one message as this device keeps it.
type Message struct {
	Account  identity.AccountID // who wrote it
	Mine     bool
	Received int64  // unix milliseconds at which it was stored
	Expires  int64  // unix milliseconds from which on nobody sees it; 0 is never
	Burn     uint32 // seconds that it lives once it was seen; 0 is as long as it likes
	Erased   bool   // its body is gone: Content is an erased message.Message
	Content  []byte // message.Message
}

// MessageKey is the key of a message: its place in the conversation
// (spec §9.4).
func MessageKey(n Namer, conv message.ConversationID, order uint64, id message.ID) storage.Key {
	p := n.Pseudonym("conversation", conv[:])
	return key(FamilyMessage, p[:], u64(order), id[:])
}

// MessagePrefix is the prefix of the messages of one conversation.
func MessagePrefix(n Namer, conv message.ConversationID) storage.Key {
	p := n.Pseudonym("conversation", conv[:])
	return key(FamilyMessage, p[:])
}

// Marshal encodes m.
func (m *Message) Marshal() []byte { return m.Append(nil) }

// Append is Marshal, and appends to dst.
func (m *Message) Append(dst []byte) []byte {
	return wire.NewWriter(slices.Grow(dst, len(m.Content)+64)).U8(1).Raw(m.Account[:]).Bool(m.Mine).U64(uint64(m.Received)).
		U64(uint64(m.Expires)).U32(m.Burn).Bool(m.Erased).Vec24(m.Content).Out()
}

// ParseMessage decodes a [Message].
func ParseMessage(b []byte) (*Message, error) {
	r := wire.NewReader(b)
	version(r)
	m := &Message{Account: r.A32(), Mine: r.Bool(), Received: int64(r.U64()), Expires: int64(r.U64()), Burn: r.U32()}
	m.Erased = r.Bool()
	m.Content = r.Vec24(1 << 17)
	return m, r.Close()
}

// Index finds a message by its id and carries what changes about it.
type Index struct {
	Key     storage.Key // of the [Message]; empty once it ended
	Order   uint64
	State   MessageState
	Changed int64  // unix milliseconds of the last change of State
	Mine    bool   // this account wrote it
	Missing uint8  // how many of its parents have not arrived
	Outbox  uint64 // number of the outbox entry that delivers it; 0 is none
	BurnsAt int64  // unix milliseconds at which it burns, once it was seen; 0 is not yet
	Edited  bool   // there is an [Edit]
	Reacted bool   // there are [Reactions]
	Files   bool   // there are [Files]
}

// IndexKey is the key of one index entry.
func IndexKey(id message.ID) storage.Key { return key(FamilyMessageIndex, id[:]) }

// IndexPrefix is the prefix of all index entries.
func IndexPrefix() storage.Key { return key(FamilyMessageIndex) }

// Marshal encodes x.
func (x *Index) Marshal() []byte {
	w := wire.NewWriter(make([]byte, 0, len(x.Key)+40)).U8(1).Vec8(x.Key).U64(x.Order).U8(uint8(x.State)).U64(uint64(x.Changed)).Bool(x.Mine).U8(x.Missing).
		U64(x.Outbox).U64(uint64(x.BurnsAt)).Bool(x.Edited).Bool(x.Reacted)
	if x.Files {
		w.Bool(true)
	}
	return w.Out()
}

// ParseIndex decodes an [Index].
func ParseIndex(b []byte) (*Index, error) {
	r := wire.NewReader(b)
	version(r)
	x := &Index{Key: storage.Key(r.Vec8(255)), Order: r.U64(), State: MessageState(r.U8())}
	if x.State < StateQueued || x.State > StateHidden {
		r.Fail("unknown message state")
	}
	x.Changed, x.Mine, x.Missing = int64(r.U64()), r.Bool(), r.U8()
	x.Outbox, x.BurnsAt = r.U64(), int64(r.U64())
	x.Edited, x.Reacted = r.Bool(), r.Bool()
	if r.Err() == nil && r.Len() > 0 {
		if x.Files = r.Bool(); !x.Files {
			r.Fail("files that aren't there")
		}
	}
	return x, r.Close()
}

// Number finds a message by its author and number, also after its content was
// erased.
type Number struct {
	ID   message.ID
	Prev [32]byte // hash of the author's message before it
}

// NumberKey is the key of one number.
func NumberKey(n Namer, conv message.ConversationID, dev identity.DeviceID, seq uint64) storage.Key {
	pc, pd := n.Pseudonym("conversation", conv[:]), n.Pseudonym("device", dev[:])
	return key(FamilyNumber, pc[:], pd[:], u64(seq))
}

// NumberPrefix is the prefix of the numbers of one device in a conversation.
func NumberPrefix(n Namer, conv message.ConversationID, dev identity.DeviceID) storage.Key {
	pc, pd := n.Pseudonym("conversation", conv[:]), n.Pseudonym("device", dev[:])
	return key(FamilyNumber, pc[:], pd[:])
}

// Marshal encodes x.
func (x *Number) Marshal() []byte {
	return wire.NewWriter(make([]byte, 0, 49)).U8(1).Raw(x.ID[:]).Raw(x.Prev[:]).Out()
}

// ParseNumber decodes a [Number].
func ParseNumber(b []byte) (*Number, error) {
	r := wire.NewReader(b)
	version(r)
	x := &Number{ID: r.A16(), Prev: r.A32()}
	return x, r.Close()
}

// WaitingKey marks that a message waits for a parent.
func WaitingKey(parent, child message.ID) storage.Key {
	return key(FamilyWaiting, parent[:], child[:])
}

// WaitingPrefix is the prefix of all messages that wait for one parent.
func WaitingPrefix(parent message.ID) storage.Key { return key(FamilyWaiting, parent[:]) }

// Conversation is the state of one conversation.
type Conversation struct {
	History  []byte      // history.State
	Skip     uint64      // numbers that the next own message leaves out
	Waiting  uint32      // messages whose parents are missing
	Unread   uint32      // messages of others not yet shown
	FirstNew storage.Key // key of the oldest of them, empty if none
	Ended    uint64      // messages that expired, burned or were deleted
	Early    uint32      // edits and reactions that came before what they are about
	Timer    Timer       // of messages that are told nothing else
}

// Timer is how long messages of a conversation live.
type Timer struct {
	Expiry, Burn uint32     // seconds; 0 is none
	Time         uint64     // claimed time of the message that set it
	ID           message.ID // that message; zero when none has
}

// ConversationKey is the key of one conversation.
func ConversationKey(n Namer, conv message.ConversationID) storage.Key {
	p := n.Pseudonym("conversation", conv[:])
	return key(FamilyConversation, p[:])
}

// ConversationPrefix is the prefix of all conversations.
func ConversationPrefix() storage.Key { return key(FamilyConversation) }

// Marshal encodes c.
func (c *Conversation) Marshal() []byte {
	return wire.NewWriter(nil).U8(1).Vec24(c.History).U64(c.Skip).U32(c.Waiting).U32(c.Unread).Vec8(c.FirstNew).U64(c.Ended).
		U32(c.Early).U32(c.Timer.Expiry).U32(c.Timer.Burn).U64(c.Timer.Time).Raw(c.Timer.ID[:]).Out()
}

// ParseConversation decodes a [Conversation].
func ParseConversation(b []byte) (*Conversation, error) {
	r := wire.NewReader(b)
	version(r)
	c := &Conversation{History: r.Vec24(1 << 18), Skip: r.U64(), Waiting: r.U32(), Unread: r.U32(), FirstNew: storage.Key(r.Vec8(255)), Ended: r.U64()}
	c.Early, c.Timer = r.U32(), Timer{r.U32(), r.U32(), r.U64(), r.A16()}
	return c, r.Close()
}

// IdempotencyKey is the key under which the id of a message sent with a
// caller's own key is kept for two days.
func IdempotencyKey(hash [16]byte) storage.Key { return key(FamilyIdempotency, hash[:]) }

// MessageFamily is the prefix of all messages.
func MessageFamily() storage.Key { return key(FamilyMessage) }
