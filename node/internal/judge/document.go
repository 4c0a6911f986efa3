package judge

import (
	"bytes"
	"fmt"
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
