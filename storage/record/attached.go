package record

import (
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/wire"
	"rushlight/storage"
)

// MaxReactions is how many accounts' reactions to one message are kept.
const MaxReactions = 64

// Edit is the newest text of a message that was edited. It is sealed under the
// message's leaf.
type Edit struct {
	Time uint64     // claimed time of the edit
	ID   message.ID // of the edit
	Body []byte     // message.Body of type edit
}

// EditKey is the key of the edit of one message.
func EditKey(target message.ID) storage.Key { return key(FamilyEdit, target[:]) }

// Marshal encodes e.
func (e *Edit) Marshal() []byte {
	return wire.NewWriter(make([]byte, 0, len(e.Body)+28)).U8(1).U64(e.Time).Raw(e.ID[:]).Vec24(e.Body).Out()
}

// ParseEdit decodes an [Edit].
func ParseEdit(b []byte) (*Edit, error) {
	r := wire.NewReader(b)
	version(r)
	e := &Edit{Time: r.U64(), ID: r.A16(), Body: r.Vec24(message.MaxBody)}
	return e, r.Close()
}

// Reaction is one account's reaction to a message. One that was taken back has
// no emoji, and is kept so that an older one doesn't come back.
type Reaction struct {
	Account identity.AccountID
	Time    uint64 // claimed time of the message that brought it
	ID      message.ID
	Emoji   string
}

// Reactions are those to one message, at most [MaxReactions]. They are sealed
// under the message's leaf.
type Reactions struct{ All []Reaction }

// ReactionsKey is the key of the reactions to one message.
func ReactionsKey(target message.ID) storage.Key { return key(FamilyReactions, target[:]) }

// Marshal encodes x.
func (x *Reactions) Marshal() []byte {
	w := wire.NewWriter(nil).U8(1).U8(uint8(len(x.All)))
	for _, a := range x.All {
		w.Raw(a.Account[:]).U64(a.Time).Raw(a.ID[:]).Vec8([]byte(a.Emoji))
	}
	return w.Out()
}

// ParseReactions decodes [Reactions].
func ParseReactions(b []byte) (*Reactions, error) {
	r := wire.NewReader(b)
	version(r)
	n := int(r.U8())
	if n > MaxReactions {
		r.Fail("too many reactions")
		n = 0
	}
	x := &Reactions{}
	for ; n > 0 && r.Err() == nil; n-- {
		x.All = append(x.All, Reaction{r.A32(), r.U64(), r.A16(), string(r.Vec8(message.MaxEmoji))})
	}
	return x, r.Close()
}

// HiddenKey is the key of a [Message] that isn't shown.
func HiddenKey(id message.ID) storage.Key { return key(FamilyHidden, id[:]) }

// AboutKey is the key of the erased form of one's own edit or reaction that
// isn't delivered yet.
func AboutKey(target, id message.ID) storage.Key { return key(FamilyAbout, target[:], id[:]) }

// AboutPrefix is the prefix of all about one message.
func AboutPrefix(target message.ID) storage.Key { return key(FamilyAbout, target[:]) }
