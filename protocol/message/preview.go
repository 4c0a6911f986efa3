package message

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"rushlight/protocol/wire"
)

// Limits of a preview (spec §9.3).
const (
	MaxPreviewLink        = 2048   // bytes
	MaxPreviewTitle       = 640    // bytes of UTF-8
	MaxPreviewDescription = 1280   // bytes of UTF-8
	MaxPreviewImage       = 12_288 // bytes
)

// previewScheme begins every link that has a preview.
const previewScheme = "https://"

// Record types of a preview.
const (
	previewTitle uint16 = iota + 1
	previewDescription
	previewImage
)

// ErrPreview is what a preview is refused for.
var ErrPreview = errors.New("message: a preview is of an https link in the text, with one line as its title")

// Preview is what an author says of a link in a text (spec §9.3). The link is a part of the
// text, so that a preview can't be of another link than the one that is read.
type Preview struct {
	Start, Length uint32 // of the link, in bytes of the text
	Title         string // one line
	Description   string // one line; may be empty
	Image         []byte // a small JPEG; empty is none
	// Rest are the records this version does not know.
	Rest []wire.Record
}

// PreviewOf returns an empty preview of the first place of a link in a text,
// nil when it isn't there.
func PreviewOf(text, link string) *Preview {
	i := strings.Index(text, link)
	if i < 0 || link == "" {
		return nil
	}
	return &Preview{Start: uint32(i), Length: uint32(len(link))}
}

// Link is the link in the text that the preview is of.
func (p *Preview) Link(text string) string { return text[p.Start : p.Start+p.Length] }

// oneLine reports whether a text has nothing that breaks a line or turns its
// direction.
func oneLine(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			return false
		}
	}
	return true
}

func (p *Preview) check(text string) error {
	if p == nil {
		return nil
	}
	if !fits(text, p.Start, p.Length) || p.Length > MaxPreviewLink {
		return ErrPreview
	}
	link := p.Link(text)
	switch {
	case !strings.HasPrefix(link, previewScheme), len(link) == len(previewScheme), !oneLine(link), strings.ContainsFunc(link, unicode.IsSpace),
		p.Title == "", len(p.Title) > MaxPreviewTitle, !oneLine(p.Title),
		len(p.Description) > MaxPreviewDescription, !oneLine(p.Description),
		len(p.Image) > MaxPreviewImage:
		return ErrPreview
	}
	return nil
}

func (p *Preview) size() int {
	if p == nil {
		return 0
	}
	return 32 + len(p.Title) + len(p.Description) + len(p.Image)
}

func (p *Preview) marshal() []byte {
	if p == nil {
		return nil
	}
	w := wire.NewWriter(make([]byte, 0, p.size())).U32(p.Start).U32(p.Length)
	w.Record(previewTitle, []byte(p.Title))
	if p.Description != "" {
		w.Record(previewDescription, []byte(p.Description))
	}
	if len(p.Image) > 0 {
		w.Record(previewImage, p.Image)
	}
	for _, r := range p.Rest {
		w.Record(r.Type, r.Value)
	}
	return w.Out()
}

// readPreview reads a preview to the end of r.
func readPreview(r *wire.Reader) (*Preview, error) {
	p := &Preview{Start: r.U32(), Length: r.U32()}
	recs := r.Records(MaxBody)
	for i, rec := range recs {
		if rec.Type > previewImage {
			p.Rest = recs[i:]
			break
		}
		if len(rec.Value) == 0 {
			r.Fail("empty record of a preview")
		}
		switch rec.Type {
		case previewTitle:
			p.Title = string(rec.Value)
		case previewDescription:
			p.Description = string(rec.Value)
		case previewImage:
			p.Image = rec.Value
		default:
			r.Fail("unknown record of a preview")
		}
	}
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("reading a preview: %w", err)
	}
	return p, nil
}
