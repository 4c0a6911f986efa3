package media

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"

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
func cleanPDF(ctx context.Context, s *source, c *Cleaned) error {
	if s.size > maxPDF {
		return fmt.Errorf("%w: the document is longer than %d MiB", ErrUnknown, maxPDF>>20)
	}
	b, err := s.bytes(0, s.size)
	if err != nil {
		return err
	}
	out, err := cleanedPDF(ctx, b)
	if err != nil {
		return err
	}
	c.Kept = append(c.Kept, "pictures inside the document")
	c.plan.add(out...)
	return nil
}

// rewriteAll rewrites a document until that changes nothing: what editors append to
// it leaves traces in how it is written, which a second time takes away.
func rewriteAll(b []byte) (out []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errUnreadable
		}
	}()
	out, err = rewritePDF(b)
	for n := 0; err == nil && n < 4 && !bytes.Equal(out, b); n++ {
		b = out
		out, err = rewritePDF(b)
	}
	return out, err
}

// pdfUnpacked is how many bytes of a document may be unpacked for each byte of
// it: what is packed in it are tables of numbers and dictionaries, which become
// some ten times as long, and at most a thousand times.
const pdfUnpacked = 32

// pdfTables are what is unpacked to read a document; a name in which characters
// are escaped may be one of them.
var pdfTables = regexp.MustCompile(`/(?:ObjStm|XRef)|/[^\x00\s/<>\[\](){}%]*#[0-9A-Fa-f]{2}`)

// pdfLimits keep what is read of a document in proportion to its length, but for
// its table of objects, for which the library has a limit of its own: see watch.
func pdfLimits(b []byte) model.ResourceLimits {
	l := model.DefaultResourceLimits()
	tables := max(1, len(pdfTables.FindAllIndex(b, -1)))
	l.MaxStreamBytes = int64(len(b))
	l.MaxDecodeBytes = int64(64<<10 + pdfUnpacked*len(b)/tables)
	l.MaxObjectCount = min(l.MaxObjectCount, 1000+len(b)/4)
	l.MaxXRefEntries = l.MaxObjectCount
	l.MaxObjectStreamCount = min(l.MaxObjectStreamCount, l.MaxObjectCount)
	l.MaxObjectStreamFirst = min(l.MaxObjectStreamFirst, l.MaxDecodeBytes)
	return l
}

func rewritePDF(b []byte) ([]byte, error) {
	api.DisableConfigDir()
	conf := model.NewDefaultConfiguration()
	conf.ValidationMode = model.ValidationRelaxed
	conf.Offline = true
	conf.Limits = pdfLimits(b)
	doc, err := api.ReadContext(bytes.NewReader(b), conf)
	if errors.Is(err, pdfcpu.ErrWrongPassword) || err == nil && doc.Encrypt != nil {
		return nil, errLocked
	}
	if err != nil {
		return nil, errUnreadable
	}
	if err := api.ValidateContext(doc); err != nil {
		return nil, errInvalid
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
	return writePDF(doc)
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
