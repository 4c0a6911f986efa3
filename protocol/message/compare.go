package message

import (
	"fmt"

	"rushlight/protocol/identity"
	"rushlight/protocol/wire"
)

// Compare is one frame of a comparison of the ids that two have under an author
// device's numbers, from one on (spec §16.3).
type Compare struct {
	Conversation ConversationID
	Author       identity.DeviceID
	From         uint64
	Nonce        [16]byte
	Frame        []byte
}

const maxCompared = 60_000

func (*Compare) kind() Kind { return KindCompare }

func (p *Compare) append(w *wire.Writer) error {
	if len(p.Frame) > maxCompared {
		return fmt.Errorf("%w: a frame over its limit", wire.ErrMalformed)
	}
	w.Raw(p.Conversation[:]).Raw(p.Author[:]).U64(p.From).Raw(p.Nonce[:]).Vec16(p.Frame)
	return nil
}

func parseCompare(content []byte) (*Compare, error) {
	r := wire.NewReader(content)
	p := &Compare{Conversation: r.A16(), Author: r.A16(), From: r.U64(), Nonce: r.A16(), Frame: r.Vec16(maxCompared)}
	if p.From == 0 || p.From > MaxSeq {
		r.Fail("no such number")
	}
	return p, r.Close()
}
