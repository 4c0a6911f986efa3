package message

import (
	"fmt"
	"unicode/utf8"

	"rushlight/protocol/wire"
)

// Record types of a profile (spec §9.6).
const (
	profileCard     uint16 = 1
	profileDelivery uint16 = 2
	profileNote     uint16 = 3
)

// Profile tells a contact's device who is speaking and how its envelopes are
// found.
type Profile struct {
	// Card is the encoded card of the sender's account (spec §3).
	Card []byte
	// Delivery is the sender's delivery chain towards the recipient's account,
	// as envelope.Chain marshals it, or nil (spec §7.3).
	Delivery []byte
	// Note is what the sender says to somebody who decides about it first, or
	// empty: at most MaxNote characters.
	Note string
	// Rest are the records this version does not know, of types above those
	// of the others.
	Rest []wire.Record
}

func (p *Profile) append(w *wire.Writer) error {
	switch {
	case len(p.Card) == 0 || len(p.Card) > MaxCard:
		return fmt.Errorf("%w: card empty or over its limit", wire.ErrMalformed)
	case len(p.Delivery) > maxDelivery:
		return fmt.Errorf("%w: delivery chain over its limit", wire.ErrMalformed)
	case !IsNote(p.Note):
		return fmt.Errorf("%w: note is no text or over its limit", wire.ErrMalformed)
	}
	start := len(w.Out())
	w.Record(profileCard, p.Card)
	if len(p.Delivery) > 0 {
		w.Record(profileDelivery, p.Delivery)
	}
	if p.Note != "" {
		w.Record(profileNote, []byte(p.Note))
	}
	for _, rec := range p.Rest {
		if rec.Type <= profileNote || len(rec.Value) > maxProfileValue {
			return fmt.Errorf("%w: bad extra record", wire.ErrMalformed)
		}
		w.Record(rec.Type, rec.Value)
	}
	r := wire.NewReader(w.Out()[start:])
	r.Records(maxProfileValue)
	return r.Close()
}

func parseProfile(content []byte) (*Profile, error) {
	r := wire.NewReader(content)
	p := &Profile{}
	for _, rec := range r.Records(maxProfileValue) {
		limit := maxProfileValue
		switch rec.Type {
		case profileCard:
			p.Card, limit = rec.Value, MaxCard
		case profileDelivery:
			p.Delivery, limit = rec.Value, maxDelivery
		case profileNote:
			p.Note = string(rec.Value)
		default:
			p.Rest = append(p.Rest, rec)
			if rec.Type == 0 {
				r.Fail("record type 0")
			}
			continue
		}
		if len(rec.Value) == 0 || len(rec.Value) > limit {
			r.Fail("record empty or over its limit")
		}
	}
	if len(p.Card) == 0 {
		r.Fail("profile without a card")
	}
	if !IsNote(p.Note) {
		r.Fail("note is no text or over its limit")
	}
	return p, r.Close()
}

// IsNote says whether a text can be the note of a [Profile]; none is, too.
func IsNote(s string) bool {
	return len(s) <= utf8.UTFMax*MaxNote && utf8.ValidString(s) && utf8.RuneCountInString(s) <= MaxNote
}
