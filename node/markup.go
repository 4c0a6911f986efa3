package node

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"rushlight/node/api"
	"rushlight/protocol/message"
)

// marks are what may stand around a part of a text in markdown, longer ones
// first.
var marks = []struct {
	mark string
	kind message.StyleKind
}{
	{"**", message.Bold}, {"~~", message.Strikethrough}, {"||", message.Spoiler}, {"`", message.Monospace}, {"*", message.Italic}, {"_", message.Italic},
}

// markdown takes the marks out of a text and returns the styles they stand for.
// A mark without its counterpart, or with a space inside, is text; a backslash
// before a mark makes it text. Nothing inside backquotes is a mark.
func markdown(s string) (string, []message.Style) {
	var out strings.Builder
	var styles []message.Style
	var open []struct {
		mark  int
		start int // in out
		raw   int // in s, after the mark
	}
	alone := make([]bool, len(marks)) // no counterpart of it follows any more
	for i := 0; i < len(s); {
		if s[i] == '\\' && markAt(s[i+1:]) >= 0 {
			out.WriteByte(s[i+1])
			i += 2
			continue
		}
		k := markAt(s[i:])
		if k < 0 {
			_, n := utf8.DecodeRuneInString(s[i:])
			out.WriteString(s[i : i+n])
			i += n
			continue
		}
		m := marks[k].mark
		after := i + len(m)
		if n := len(open); n > 0 && open[n-1].mark == k && i > open[n-1].raw && !isSpace(s[i-1]) {
			styles = append(styles, message.Style{Start: uint32(open[n-1].start), Length: uint32(out.Len() - open[n-1].start), Kind: marks[k].kind})
			open, i = open[:n-1], after
			continue
		}
		end := -1
		if !alone[k] {
			end = closes(s, after, m)
			alone[k] = end < 0
		}
		if end < 0 || !opens(s, i, after, m) {
			out.WriteString(m)
			i = after
			continue
		}
		if marks[k].kind == message.Monospace {
			styles = append(styles, message.Style{Start: uint32(out.Len()), Length: uint32(end - after), Kind: message.Monospace})
			out.WriteString(s[after:end])
			i = end + len(m)
			continue
		}
		open = append(open, struct{ mark, start, raw int }{k, out.Len(), after})
		i = after
	}
	slices.SortFunc(styles, func(a, b message.Style) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Length, b.Length), cmp.Compare(a.Kind, b.Kind))
	})
	styles = slices.Compact(styles) // _*twice the same*_
	styles = slices.DeleteFunc(styles, func(s message.Style) bool { return s.Length == 0 })
	if len(open) > 0 || len(styles) > message.MaxMarks {
		return s, nil // crossed marks: as it was written
	}
	return out.String(), styles
}

func markAt(s string) int {
	for k := range marks {
		if strings.HasPrefix(s, marks[k].mark) {
			return k
		}
	}
	return -1
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' }

// opens reports whether a mark can begin a style: something follows, and an
// underscore isn't in the middle of a word.
func opens(s string, at, after int, m string) bool {
	if after >= len(s) || isSpace(s[after]) {
		return false
	}
	return m != "_" || at == 0 || isSpace(s[at-1]) || strings.IndexByte("([{\"'", s[at-1]) >= 0
}

// closes finds the counterpart of a mark, not after a space.
func closes(s string, from int, m string) int {
	for i := from + 1; i+len(m) <= len(s); i++ {
		if s[i:i+len(m)] == m && !isSpace(s[i-1]) && s[i-1] != '\\' {
			return i
		}
	}
	return -1
}

var styleNames = map[message.StyleKind]string{
	message.Bold: api.StyleBold, message.Italic: api.StyleItalic, message.Strikethrough: api.StyleStrikethrough,
	message.Monospace: api.StyleMonospace, message.Spoiler: api.StyleSpoiler,
}

// units counts UTF-16 code units: what programs outside count characters in.
func units(s string) (n uint32) {
	for _, r := range s {
		n += uint32(max(utf16.RuneLen(r), 1))
	}
	return n
}

// bytesAt is the number of bytes that so many UTF-16 code units of a text take;
// false when that is not at the border of a character.
func bytesAt(s string, n uint32) (int, bool) {
	for i, r := range s {
		if n == 0 {
			return i, true
		}
		k := uint32(max(utf16.RuneLen(r), 1))
		if k > n {
			return 0, false
		}
		n -= k
	}
	return len(s), n == 0
}
