package message

import (
	"fmt"
	"slices"

	"rushlight/protocol/wire"
)

// NoticeKind is what a [Notice] says.
type NoticeKind uint8

// The kinds of notice (spec §9.9).
const (
	// NoticeBurned: the sender of the notice has burned messages that were to
	// burn.
	NoticeBurned NoticeKind = 1
	// NoticeRead: the sender of the notice has seen messages.
	NoticeRead NoticeKind = 2
	// NoticeTyping: the sender of the notice is writing. It names no messages.
	NoticeTyping NoticeKind = 3
)

// MaxNotice is how many messages one notice names.
const MaxNotice = 64

// Notice tells the other side what became of its messages, or that something
// is being written. It is not part of a log (spec §9.9).
type Notice struct {
	Conversation ConversationID
	Kind         NoticeKind
	At           uint64 // claimed time, as Header.HLC
	IDs          []ID   // ascending, no two alike
}

func (n *Notice) check() error {
	switch {
	case n.Kind == 0 || len(n.IDs) > MaxNotice || !slices.IsSortedFunc(n.IDs, compareIDs) || hasTwins(n.IDs):
		return fmt.Errorf("%w: bad notice", wire.ErrMalformed)
	case n.Kind <= NoticeTyping && (len(n.IDs) == 0) != (n.Kind == NoticeTyping):
		return fmt.Errorf("%w: a notice about nothing", wire.ErrMalformed)
	}
	return nil
}

func (n *Notice) append(w *wire.Writer) error {
	w.Raw(n.Conversation[:]).U8(uint8(n.Kind)).U64(n.At).U8(uint8(len(n.IDs)))
	for _, id := range n.IDs {
		w.Raw(id[:])
	}
	return n.check()
}

func parseNotice(content []byte) (*Notice, error) {
	r := wire.NewReader(content)
	n := &Notice{Conversation: r.A16(), Kind: NoticeKind(r.U8()), At: r.U64()}
	for k := int(r.U8()); k > 0 && r.Err() == nil; k-- {
		n.IDs = append(n.IDs, r.A16())
	}
	if err := r.Close(); err != nil {
		return nil, err
	}
	return n, n.check()
}
