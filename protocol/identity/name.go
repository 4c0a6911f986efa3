package identity

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// MaxName is the limit of a name in bytes of UTF-8 (spec §3.6).
const MaxName = 64

// ErrBadName is returned for a name that could deceive whoever reads it:
// empty, too long, not UTF-8 in NFC, with control, direction or invisible
// characters, blank at either end, or looking like an account id.
var ErrBadName = errors.New("identity: name not allowed")

// CheckName holds a claimed name or a petname to spec §3.6.
func CheckName(s string) error {
	if s == "" || len(s) > MaxName || !utf8.ValidString(s) || !norm.NFC.IsNormalString(s) {
		return ErrBadName
	}
	if looksLikeID(s) {
		return ErrBadName
	}
	rs := []rune(s)
	for i, r := range rs {
		first, last := i == 0, i == len(rs)-1
		switch {
		case r == ' ':
			if first || last || rs[i-1] == ' ' {
				return ErrBadName
			}
		case r == zwnj || r == zwj:
			// Persian and emoji need the joiners; ASCII never does.
			if first || last || rs[i-1] < utf8.RuneSelf || rs[i+1] < utf8.RuneSelf || joiner(rs[i-1]) {
				return ErrBadName
			}
		case unicode.In(r, refused...) || r == brailleBlank:
			return ErrBadName
		case first && unicode.Is(unicode.M, r):
			return ErrBadName
		}
	}
	return nil
}

// CleanName brings what a person typed into the form that [CheckName] wants,
// as far as that changes nothing to the eye: NFC, single spaces, none at the
// ends.
func CleanName(s string) (string, error) {
	s = norm.NFC.String(strings.Join(strings.Fields(s), " "))
	if err := CheckName(s); err != nil {
		return "", err
	}
	return s, nil
}

const (
	zwnj         = '\u200c'
	zwj          = '\u200d'
	brailleBlank = '\u2800'
)

func joiner(r rune) bool { return r == zwnj || r == zwj }

// refused are the characters without a shape of their own: controls, format
// and direction characters, private use, separators other than U+0020, and
// what Unicode calls ignorable. Characters newer than this table pass, so that
// two versions of the program agree on them.
var refused = []*unicode.RangeTable{
	unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Z,
	unicode.Other_Default_Ignorable_Code_Point, unicode.Noncharacter_Code_Point,
}

// looksLikeID reports whether somebody could take the name for an account id
// or its beginning.
func looksLikeID(s string) bool {
	rest, ok := strings.CutPrefix(strings.ToLower(s), accountPrefix)
	return ok && len(rest) >= shortDigits &&
		strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz234567") == ""
}
