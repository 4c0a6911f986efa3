package media

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/pdfcpu/pdfcpu/pkg/api"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/model"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/types"
)

// maxPDF bounds a document: it is rewritten in memory.
const maxPDF = 64 << 20

// cleanPDF rewrites a document without its information dictionary, XMP, what
// editors keep for themselves, page thumbnails, and the names and times on
// comments. The pages stay as they are, with the pictures in them.
func cleanPDF(s *source, c *Cleaned) (err error) {
	if s.size > maxPDF {
		return fmt.Errorf("%w: the document is longer than %d MiB", ErrUnknown, maxPDF>>20)
	}
	b, err := s.bytes(0, s.size)
	if err != nil {
		return err
	}
	defer func() {
		if p := recover(); p != nil {
			err = damaged("the document can't be read")
		}
	}()
	out, err := rewritePDF(b)
	// What editors append to a document leaves traces in how it is written, which
	// a second time takes away.
	for n := 0; err == nil && n < 4 && !bytes.Equal(out, b); n++ {
		b = out
		out, err = rewritePDF(b)
	}
	if err != nil {
		return err
	}
	c.Kept = append(c.Kept, "pictures inside the document")
	c.plan.add(out...)
	return nil
}

func rewritePDF(b []byte) ([]byte, error) {
	api.DisableConfigDir()
	conf := model.NewDefaultConfiguration()
	conf.ValidationMode = model.ValidationRelaxed
	conf.WriteObjectStream = false
	conf.WriteXRefStream = false
	conf.Offline = true
	doc, err := api.ReadContext(bytes.NewReader(b), conf)
	if errors.Is(err, pdfcpu.ErrWrongPassword) || err == nil && doc.Encrypt != nil {
		return nil, fmt.Errorf("%w: the document is locked with a password", ErrUnknown)
	}
	if err != nil {
		return nil, damaged("the document can't be read")
	}
	if err := api.ValidateContext(doc); err != nil {
		return nil, damaged("the document doesn't keep to the rules")
	}
	for _, e := range doc.Table {
		if e == nil || e.Free {
			continue
		}
		switch o := e.Object.(type) {
		case types.Dict:
			anonymousDict(o)
		case types.StreamDict:
			anonymousDict(o.Dict)
		case *types.StreamDict:
			anonymousDict(o.Dict)
		case types.Array:
			anonymousArray(o)
		}
	}
	doc.ID = nil
	if doc.Info != nil {
		// The writer wants one, and makes another each time when there is none.
		d, err := doc.DereferenceDict(*doc.Info)
		if err != nil {
			return nil, damaged("its information can't be read")
		}
		clear(d)
	}
	var out bytes.Buffer
	if err := api.WriteContext(doc, &out); err != nil {
		return nil, damaged("the document can't be written again")
	}
	return blankPDF(out.Bytes(), doc.Info), nil
}

// comments are kinds of annotation that somebody made.
var comments = set("Text", "FreeText", "Line", "Square", "Circle", "Polygon", "PolyLine", "Highlight", "Underline", "Squiggly", "StrikeOut",
	"Stamp", "Caret", "Ink", "Popup", "FileAttachment", "Sound", "Redact", "Link")

func anonymousDict(d types.Dict) {
	for _, k := range []string{"Metadata", "PieceInfo", "LastModified", "Thumb"} {
		delete(d, k)
	}
	if sub := d.Subtype(); sub != nil && comments[*sub] && d["Rect"] != nil {
		for _, k := range []string{"T", "M", "CreationDate", "NM"} {
			delete(d, k)
		}
	}
	for _, o := range d {
		anonymousIn(o)
	}
}

func anonymousArray(a types.Array) {
	for _, o := range a {
		anonymousIn(o)
	}
}

func anonymousIn(o types.Object) {
	switch o := o.(type) {
	case types.Dict:
		anonymousDict(o)
	case types.Array:
		anonymousArray(o)
	}
}

var (
	pdfTexts = regexp.MustCompile(`\((?:[^()\\]|\\.)*\)`)
	pdfHexes = regexp.MustCompile(`<[0-9A-Fa-f]+>`)
)

// blankPDF takes out what the writer said of itself: the program and the time
// in the information dictionary, and an id that is a hash of them, each
// replaced by as many characters.
func blankPDF(b []byte, info *types.IndirectRef) []byte {
	if info != nil {
		head := []byte("\n" + strconv.Itoa(info.ObjectNumber.Value()) + " 0 obj")
		if i := bytes.Index(b, head); i >= 0 {
			if n := bytes.Index(b[i:], []byte("endobj")); n >= 0 {
				fill(b[i:i+n], pdfTexts, ' ')
			}
		}
	}
	if i := bytes.LastIndex(b, []byte("trailer")); i >= 0 {
		fill(b[i:], pdfHexes, '0')
	}
	return b
}

func fill(b []byte, what *regexp.Regexp, with byte) {
	for _, m := range what.FindAllIndex(b, -1) {
		for i := m[0] + 1; i < m[1]-1; i++ {
			b[i] = with
		}
	}
}
