package message

import (
	"rushlight/protocol/identity"
	"rushlight/protocol/wire"
)

// Held says which of an author device's messages somebody has, so that the
// author sends the others again (spec §9.6).
type Held struct {
	Conversation ConversationID
	Author       identity.DeviceID
	Set          Intervals
}

func (*Held) kind() Kind { return KindHeld }

func (p *Held) append(w *wire.Writer) {
	w.Raw(p.Conversation[:]).Raw(p.Author[:])
	p.Set.Append(w)
}

func parseHeld(content []byte) (*Held, error) {
	r := wire.NewReader(content)
	p := &Held{Conversation: r.A16(), Author: r.A16()}
	p.Set.Read(r)
	return p, r.Close()
}
