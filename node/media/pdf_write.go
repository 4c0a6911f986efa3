package media

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/model"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/types"
)

// pdfWriter writes what can be reached of a document from its root, and nothing
// else: no information dictionary, no id, nothing that was replaced or deleted.
// Objects are numbered in the order in which they are found, so that who wrote
// them first, and how often, isn't told, and a document that is written again is
// the same.
type pdfWriter struct {
	doc    *model.Context
	out    bytes.Buffer
	number map[int]int // by the number in the document
	found  []types.IndirectRef
}

func writePDF(doc *model.Context) ([]byte, error) {
	if doc.Root == nil || doc.HeaderVersion == nil {
		return nil, damaged("the document has no root")
	}
	w := pdfWriter{doc: doc, number: map[int]int{}}
	fmt.Fprintf(&w.out, "%%PDF-%s\n%%\xe2\xe3\xcf\xd3\n", doc.HeaderVersion)
	root := w.ref(*doc.Root)
	var starts []int
	for i := 0; i < len(w.found); i++ {
		o, err := doc.Dereference(w.found[i])
		if err != nil {
			return nil, damaged("an object can't be read")
		}
		starts = append(starts, w.out.Len())
		fmt.Fprintf(&w.out, "%d 0 obj\n", i+1)
		if err := w.object(o); err != nil {
			return nil, err
		}
		w.out.WriteString("\nendobj\n")
	}
	table := w.out.Len()
	fmt.Fprintf(&w.out, "xref\n0 %d\n0000000000 65535 f \n", len(starts)+1)
	for _, at := range starts {
		fmt.Fprintf(&w.out, "%010d 00000 n \n", at)
	}
	fmt.Fprintf(&w.out, "trailer\n<</Root %s/Size %d>>\nstartxref\n%d\n%%%%EOF\n", root.PDFString(), len(starts)+1, table)
	return w.out.Bytes(), nil
}

// object writes one, which is no reference.
func (w *pdfWriter) object(o types.Object) error {
	switch o := o.(type) {
	case nil:
		w.out.WriteString("null")
	case types.StreamDict:
		return w.stream(o)
	case *types.StreamDict:
		return w.stream(*o)
	default:
		o, err := w.renumbered(o)
		if err != nil {
			return err
		}
		w.out.WriteString(o.PDFString())
	}
	return nil
}

func (w *pdfWriter) stream(s types.StreamDict) error {
	if s.Raw == nil && s.Content != nil {
		if err := s.Encode(); err != nil {
			return damaged("a stream can't be written again")
		}
	}
	d := maps.Clone(s.Dict)
	d["Length"] = types.Integer(len(s.Raw))
	o, err := w.renumbered(d)
	if err != nil {
		return err
	}
	fmt.Fprintf(&w.out, "%s\nstream\n%s\nendstream", o.PDFString(), s.Raw)
	return nil
}

// renumbered is a copy of what an object holds.
func (w *pdfWriter) renumbered(o types.Object) (_ types.Object, err error) {
	switch o := o.(type) {
	case types.Dict:
		d := types.NewDict()
		for _, k := range slices.Sorted(maps.Keys(o)) {
			if d[k], err = w.renumbered(o[k]); err != nil {
				return nil, err
			}
		}
		return d, nil
	case types.Array:
		a := make(types.Array, len(o))
		for i := range o {
			if a[i], err = w.renumbered(o[i]); err != nil {
				return nil, err
			}
		}
		return a, nil
	case types.IndirectRef:
		if e, ok := w.doc.Find(o.ObjectNumber.Value()); !ok || e.Free || e.Object == nil {
			return nil, nil //nolint:nilnil // null, as what isn't there is
		}
		return w.ref(o), nil
	case nil, types.Boolean, types.Integer, types.Float, types.Name, types.StringLiteral, types.HexLiteral:
		return o, nil
	}
	return nil, damaged("it holds something that can't be written")
}

// ref is a reference to what a reference points at.
func (w *pdfWriter) ref(r types.IndirectRef) types.IndirectRef {
	n, ok := w.number[r.ObjectNumber.Value()]
	if !ok {
		w.found = append(w.found, r)
		n = len(w.found)
		w.number[r.ObjectNumber.Value()] = n
	}
	return *types.NewIndirectRef(n, 0)
}
