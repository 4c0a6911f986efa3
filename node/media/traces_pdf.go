package media

import (
	"bytes"
	"strings"

	"github.com/pdfcpu/pdfcpu/pkg/api"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/model"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/types"
)

// infoTraces are what the entries of an information dictionary tell.
var infoTraces = map[string]Trace{
	"CreationDate": Time, "ModDate": Time, "Creator": Software, "Producer": Software, "Author": Author,
	"Title": Text, "Subject": Text, "Keywords": Text,
}

// document looks into a PDF file, which cleaning has read already.
func (f *tracer) document() (err error) {
	b, err := f.s.bytes(0, f.s.size)
	if err != nil {
		return err
	}
	defer func() {
		if recover() != nil {
			f.found[Unknown] = true
		}
	}()
	api.DisableConfigDir()
	conf := model.NewDefaultConfiguration()
	conf.ValidationMode, conf.Offline = model.ValidationRelaxed, true
	doc, err := api.ReadContext(bytes.NewReader(b), conf)
	if err != nil {
		f.found[Unknown] = true
		return nil
	}
	if doc.Info != nil {
		if d, err := doc.DereferenceDict(*doc.Info); err == nil {
			for k, v := range d {
				if strings.Trim(v.String(), "()<> 0") == "" {
					continue // what cleaning leaves
				}
				if t := infoTraces[k]; t != "" {
					f.found[t] = true
				} else {
					f.found[Other] = true
				}
			}
		}
	}
	for _, e := range doc.Table {
		if e == nil || e.Free {
			continue
		}
		switch o := e.Object.(type) {
		case types.Dict:
			f.annotated(o)
		case types.StreamDict:
			f.annotated(o.Dict)
		case *types.StreamDict:
			f.annotated(o.Dict)
		}
	}
	f.words(b, wordsAnywhere)
	return nil
}

// annotated tells of XMP, what editors keep, and the names and times on
// comments.
func (f *tracer) annotated(d types.Dict) {
	for _, k := range []string{"Metadata", "PieceInfo", "LastModified"} {
		if d[k] != nil {
			f.found[Other] = true
		}
	}
	if d["Thumb"] != nil {
		f.found[Thumbnail] = true
	}
	if sub := d.Subtype(); sub == nil || !comments[*sub] || d["Rect"] == nil {
		return
	}
	if d["T"] != nil {
		f.found[Author] = true
	}
	if d["M"] != nil || d["CreationDate"] != nil {
		f.found[Time] = true
	}
}
