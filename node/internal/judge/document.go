package judge

import (
	"bytes"
	"fmt"
	"strings"
)

// Document is a PDF file: a page with a line of text, a comment, and an author.
var Document = func() []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	objects := []string{
		"<</Type/Catalog/Pages 2 0 R>>",
		"<</Type/Pages/Kids[3 0 R]/Count 1>>",
		"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>/Annots[7 0 R]>>",
		"<</Length 42>>\nstream\nBT /F 12 Tf 20 50 Td (What is shown) Tj ET\nendstream",
		"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
		"<</Author(CanaryAuthor)/Creator(CanaryCreator)/CreationDate(D:20200102030405Z)>>",
		"<</Type/Annot/Subtype/Text/Rect[10 10 20 20]/Contents(a remark)/T(CanaryReader)/M(D:20200102030405Z)>>",
	}
	var at []int
	for i, o := range objects {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, p := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", p)
	}
	fmt.Fprintf(&b, "trailer\n<</Size %d/Root 1 0 R/Info 6 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, xref)
	return b.Bytes()
}()

// Pages is a document of so many empty pages. Cleaning one of some hundred thousand
// takes minutes.
func Pages(n int) []byte {
	var b bytes.Buffer
	var table strings.Builder
	object := func(s string) {
		fmt.Fprintf(&table, "%010d 00000 n \n", b.Len())
		b.WriteString(s)
	}
	b.WriteString("%PDF-1.4\n")
	object("1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n")
	var kids strings.Builder
	for i := range n {
		fmt.Fprintf(&kids, "%d 0 R ", i+3)
	}
	object(fmt.Sprintf("2 0 obj\n<</Type/Pages/Kids[%s]/Count %d>>\nendobj\n", kids.String(), n))
	for i := range n {
		object(fmt.Sprintf("%d 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>\nendobj\n", i+3))
	}
	at := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", n+3, table.String(), n+3, at)
	return b.Bytes()
}
