package message

import (
	"cmp"
	"fmt"
	"unicode/utf8"

	"rushlight/protocol/identity"
	"rushlight/protocol/wire"
)

// MaxMarks is how many styles, and how many mentions, a text may have.
const MaxMarks = 256

// StyleKind is how a part of a text looks. A reader leaves out those it doesn't
// know.
type StyleKind uint8

// The kinds of style (spec §9.3).
const (
	Bold          StyleKind = 1
	Italic        StyleKind = 2
	Strikethrough StyleKind = 3
	Monospace     StyleKind = 4
	Spoiler       StyleKind = 5
)

// Style is a part of a text that looks otherwise, in bytes of UTF-8, at the
// borders of characters. A text is never markup: it is shown by its ranges.
type Style struct {
	Start, Length uint32
	Kind          StyleKind
}

// Mention is a part of a text that names an account.
type Mention struct {
	Start, Length uint32
	Account       identity.AccountID
}

var errMarks = fmt.Errorf("message: %w: styles or mentions that don't fit their text", wire.ErrMalformed)

// fits reports whether a range lies in a text, at the borders of characters.
func fits(text string, start, length uint32) bool {
	end := uint64(start) + uint64(length)
	border := func(i uint64) bool { return i == uint64(len(text)) || utf8.RuneStart(text[i]) }
	return length > 0 && end <= uint64(len(text)) && border(uint64(start)) && border(end)
}

func checkStyles(text string, styles []Style) error {
	if len(styles) > MaxMarks {
		return errMarks
	}
	for i, s := range styles {
		if !fits(text, s.Start, s.Length) || s.Kind == 0 {
			return errMarks
		}
		if i > 0 {
			p := styles[i-1]
			if cmp.Or(cmp.Compare(p.Start, s.Start), cmp.Compare(p.Length, s.Length), cmp.Compare(p.Kind, s.Kind)) >= 0 {
				return errMarks
			}
		}
	}
	return nil
}

func checkMentions(text string, mentions []Mention) error {
	if len(mentions) > MaxMarks {
		return errMarks
	}
	for i, m := range mentions {
		if !fits(text, m.Start, m.Length) || i > 0 && m.Start < mentions[i-1].Start+mentions[i-1].Length {
			return errMarks
		}
	}
	return nil
}

func marshalStyles(styles []Style) []byte {
	w := wire.NewWriter(nil)
	for _, s := range styles {
		w.U32(s.Start).U32(s.Length).U8(uint8(s.Kind))
	}
	return w.Out()
}

func readStyles(r *wire.Reader) (out []Style) {
	for r.Err() == nil && r.Len() > 0 && len(out) <= MaxMarks {
		out = append(out, Style{r.U32(), r.U32(), StyleKind(r.U8())})
	}
	return out
}

func marshalMentions(mentions []Mention) []byte {
	w := wire.NewWriter(nil)
	for _, m := range mentions {
		w.U32(m.Start).U32(m.Length).Raw(m.Account[:])
	}
	return w.Out()
}

func readMentions(r *wire.Reader) (out []Mention) {
	for r.Err() == nil && r.Len() > 0 && len(out) <= MaxMarks {
		out = append(out, Mention{r.U32(), r.U32(), r.A32()})
	}
	return out
}
