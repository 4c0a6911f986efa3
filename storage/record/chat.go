package record

import (
	"rushlight/protocol/message"
	"rushlight/protocol/wire"
	"rushlight/storage"
)

// Chat is how a person wants one conversation to be. The zero value is how it
// begins.
type Chat struct {
	Receipts bool  // tell the other side what was read
	Typing   bool  // tell it, and be told, when something is being written
	Pinned   bool  //
	Archived bool  //
	Muted    int64 // unix milliseconds until which it makes no noise; 0 is not muted
}

// ChatKey is the key of one [Chat].
func ChatKey(n Namer, conv message.ConversationID) storage.Key {
	p := n.Pseudonym("conversation", conv[:])
	return key(FamilyChat, p[:])
}

// Marshal encodes c.
func (c *Chat) Marshal() []byte {
	return wire.NewWriter(nil).U8(1).Bool(c.Receipts).Bool(c.Typing).Bool(c.Pinned).Bool(c.Archived).U64(uint64(c.Muted)).Out()
}

// ParseChat decodes a [Chat].
func ParseChat(b []byte) (*Chat, error) {
	r := wire.NewReader(b)
	version(r)
	c := &Chat{Receipts: r.Bool(), Typing: r.Bool(), Pinned: r.Bool(), Archived: r.Bool(), Muted: int64(r.U64())}
	return c, r.Close()
}

// Draft is what a person has begun to write. It is a state: what it was before
// can't be read any more soon after it was changed, sent or deleted.
type Draft struct {
	Text    string
	ReplyTo message.ID // zero is none
}

// DraftKey is the key of the draft of one conversation.
func DraftKey(n Namer, conv message.ConversationID) storage.Key {
	p := n.Pseudonym("conversation", conv[:])
	return key(FamilyDraft, p[:])
}

// Marshal encodes d.
func (d *Draft) Marshal() []byte {
	return wire.NewWriter(nil).U8(1).Vec24([]byte(d.Text)).Raw(d.ReplyTo[:]).Out()
}

// ParseDraft decodes a [Draft].
func ParseDraft(b []byte) (*Draft, error) {
	r := wire.NewReader(b)
	version(r)
	d := &Draft{Text: string(r.Vec24(message.MaxText)), ReplyTo: r.A16()}
	return d, r.Close()
}
