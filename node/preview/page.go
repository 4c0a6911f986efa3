package preview

import (
	"bytes"
	"strings"
	"unicode"

	"golang.org/x/net/html"
	"golang.org/x/net/html/charset"
)

// Limits of a preview's texts, in characters.
const (
	MaxTitle       = 160
	MaxDescription = 320
)

// page is what the head of an HTML document says of itself.
type page struct{ title, description, image string }

// read looks through the head of a document and stops at its end.
func read(b []byte) (p page) {
	r, err := charset.NewReader(bytes.NewReader(b), "text/html")
	if err != nil {
		return p
	}
	z := html.NewTokenizer(r)
	z.SetMaxBuf(MaxPage)
	best := map[*string]int{}
	set := func(to *string, rank int, s string) {
		if s != "" && rank > best[to] {
			best[to], *to = rank, s
		}
	}
	for {
		token := z.Next()
		if token == html.ErrorToken {
			return p
		}
		if token != html.StartTagToken && token != html.SelfClosingTagToken && token != html.EndTagToken {
			continue
		}
		tag, more := z.TagName()
		switch name := string(tag); {
		case name == "body", name == "head" && token == html.EndTagToken:
			return p
		case name == "title" && token == html.StartTagToken:
			if z.Next() == html.TextToken {
				set(&p.title, 1, plain(string(z.Text()), MaxTitle, true))
			}
		case name == "meta":
			kind, content := meta(z, more)
			switch kind {
			case "og:title":
				set(&p.title, 3, plain(content, MaxTitle, false))
			case "twitter:title":
				set(&p.title, 2, plain(content, MaxTitle, false))
			case "og:description":
				set(&p.description, 3, plain(content, MaxDescription, false))
			case "twitter:description":
				set(&p.description, 2, plain(content, MaxDescription, false))
			case "description":
				set(&p.description, 1, plain(content, MaxDescription, false))
			case "og:image", "og:image:url", "og:image:secure_url":
				set(&p.image, 2, strings.TrimSpace(content))
			case "twitter:image":
				set(&p.image, 1, strings.TrimSpace(content))
			}
		}
	}
}

// meta reads what a meta element is of, and what it says.
func meta(z *html.Tokenizer, more bool) (kind, content string) {
	for more {
		var key, value []byte
		key, value, more = z.TagAttr()
		switch string(key) {
		case "name", "property":
			kind = strings.ToLower(string(value))
		case "content":
			content = string(value)
		}
	}
	return kind, content
}

// Line is a text as a preview shows it: one line of at most so many characters
// that can't look like anything else.
func Line(s string, most int) string { return plain(s, most, false) }

// plain makes one line of text without anything that could make it look like
// what it isn't: control characters and those that turn its direction go.
func plain(s string, most int, escaped bool) string {
	if escaped {
		s = html.UnescapeString(s)
	}
	var out []rune
	space := false
	for _, r := range strings.ToValidUTF8(s, "") {
		switch {
		case unicode.IsSpace(r):
			space = len(out) > 0
			continue
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r) && r != '\u200d' && r != '\u200c', unicode.Is(unicode.Co, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			continue
		}
		if space {
			out = append(out, ' ')
			space = false
		}
		out = append(out, r)
		if len(out) >= most {
			return string(out[:most-1]) + "…"
		}
	}
	return string(out)
}

// FirstLink finds the first link in a text that could have a preview, "" when
// there is none.
func FirstLink(text string) string {
	for _, w := range strings.Fields(text) {
		i := strings.Index(w, "https://")
		if i < 0 {
			continue
		}
		w = strings.TrimRight(w[i:], ".,;:!?)]}>\"'»”’")
		if _, err := link(w); err == nil {
			return w
		}
	}
	return ""
}
