package engine

import (
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// folder makes texts alike that a person takes for alike: without case,
// accents, widths, vowel marks and lengthening. It goes character by character
// and remembers those it has met. It belongs to one goroutine.
type folder struct {
	met map[rune]string
}

// maxMet bounds how many characters a folder remembers.
const maxMet = 4096

// fold appends the folded form of a text to dst.
func (f *folder) fold(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		switch {
		case r < lowRunes:
			dst = append(dst, lowFolds()[r]...)
		case isIdeograph(r):
			dst = append(dst, text[i:i+n]...)
		default:
			dst = append(dst, f.of(r)...)
		}
		i += n
	}
	return dst
}

// isIdeograph reports whether a character is one of those that fold to
// themselves and are too many to be remembered.
func isIdeograph(r rune) bool { return 0x3400 <= r && r <= 0x4dbf || 0x4e00 <= r && r <= 0x9fff }

func (f *folder) of(r rune) string {
	if s, ok := f.met[r]; ok {
		return s
	}
	if f.met == nil || len(f.met) >= maxMet {
		f.met = map[rune]string{}
	}
	s := foldRune(r)
	f.met[r] = s
	return s
}

// lowRunes is the end of the characters whose folded forms are worked out
// once: Latin, Greek, Cyrillic, Hebrew, Arabic.
const lowRunes = 0x700

var lowFolds = sync.OnceValue(func() *[lowRunes]string {
	var all [lowRunes]string
	for r := range all {
		all[r] = foldRune(rune(r))
	}
	return &all
})

// foldRune folds one character. Whatever composes characters is taken apart
// again, so a text folds as its characters do.
func foldRune(r rune) string {
	s := norm.NFKD.String(cases.Fold().String(norm.NFKC.String(string(r))))
	return struck.Replace(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) || r == '\u0640' || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, s))
}

// struck are letters with a mark that Unicode takes for a part of them, and
// people for an accent.
var struck = strings.NewReplacer(
	"ł", "l", "đ", "d", "ð", "d", "ø", "o", "ħ", "h", "ŧ", "t", "ƀ", "b", "ı", "i", "æ", "ae", "œ", "oe", "þ", "th")
