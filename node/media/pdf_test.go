package media

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rushlight/node/internal/judge"
)

func TestPDF(t *testing.T) {
	out, _, err := cleaned(t, judge.Document)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(out, []byte("a remark")) {
		t.Error("a comment is lost")
	}
	for _, word := range []string{canary, "2020", "pdfcpu", "D:2"} {
		if bytes.Contains(out, []byte(word)) {
			t.Errorf("%s is left in\n%s", word, out)
		}
	}
	again, _, err := cleaned(t, out)
	if err != nil || !bytes.Equal(again, out) {
		t.Errorf("a second time changes it: %v\n%s\n%s", err, out, again)
	}
	if _, _, err := cleaned(t, judge.Document[:30]); !errors.Is(err, ErrDamaged) {
		t.Errorf("cut off: %v", err)
	}
}

// A document behind something else is one, as those who show it say; a text
// that speaks of documents is none.
func TestLateDocument(t *testing.T) {
	want, _, err := cleaned(t, judge.Document)
	if err != nil {
		t.Fatal(err)
	}
	for _, before := range []string{"\n", "@PJL JOB\r\n", "\xef\xbb\xbf \x00", strings.Repeat("Received: from somewhere\n", 40)} {
		got, c, err := cleaned(t, append([]byte(before), judge.Document...))
		if err != nil || c.Type != PDF || !bytes.Equal(got, want) {
			t.Errorf("behind %.10q: %v, %d bytes instead of %d", before, err, len(got), len(want))
		}
	}
	for _, text := range []string{"a file that begins with '%PDF-1.4'", "it speaks of %PDF-, %PDF-x %PDF1", strings.Repeat("x", 1030) + "\n%PDF-1.4\n"} {
		if k := Detect([]byte(text)); k == PDF {
			t.Errorf("%.40q is taken for a document", text)
		}
	}
}

// A document whose objects unpack to a thousand times their length takes no
// memory to speak of: it is refused, or read without them.
func TestPackedDocument(t *testing.T) {
	for mib := range 3 {
		b := packed(16 << mib)
		var err error
		took := allocated(func() { _, _, err = cleaned(t, b) })
		t.Logf("%d bytes that unpack to %d MiB: %d MiB were allocated, %v", len(b), 16<<mib, took>>20, err)
		if took > uint64(maxAllocated(b)) {
			t.Errorf("%d bytes were allocated for %d: %v", took, len(b), err)
		}
	}
	// The control: one that is packed as they are elsewhere is read.
	if out, _, err := cleaned(t, packed(0)); err != nil || !bytes.Contains(out, []byte("/ProcSet[/PDF]")) {
		t.Errorf("a packed object: %v\n%s", err, out)
	}
}

// packed is a document with a packed table of its objects, one of which is
// packed too, with as many MiB of nothing.
func packed(mib int) []byte { return packedWith(mib, 0) }

// packedTable is one whose table is followed by as many MiB of nothing.
func packedTable(mib int) []byte { return packedWith(0, mib) }

func packedWith(mib, tableMiB int) []byte {
	objects := []string{
		"<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>",
		"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents 4 0 R/Resources 6 0 R>>", "<</Length 3>>\nstream\nq Q\nendstream",
		stream("/Type/ObjStm/N 1/First 4", []byte("6 0 <</ProcSet[/PDF]"+strings.Repeat(" ", mib<<20)+">>")),
	}
	var b bytes.Buffer
	b.WriteString("%PDF-1.5\n")
	table := make([]byte, 7)
	entry := func(kind byte, at, nth int) {
		table = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint32(append(table, kind), uint32(at)), uint16(nth))
	}
	for i, o := range objects {
		entry(1, b.Len(), 0)
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	entry(2, 5, 0)
	at := b.Len()
	entry(1, at, 0)
	fmt.Fprintf(&b, "7 0 obj\n%s\nendobj\nstartxref\n%d\n%%%%EOF\n", streamOf("/Type/XRef/Size 8/W[1 4 2]/Root 1 0 R", table, tableMiB), at)
	return b.Bytes()
}

func stream(of string, content []byte) string { return streamOf(of, content, 0) }

// streamOf is a stream with so many MiB of zeros behind its content.
func streamOf(of string, content []byte, mib int) string {
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	_, _ = w.Write(content)
	for zeros := make([]byte, 1<<20); mib > 0; mib-- {
		_, _ = w.Write(zeros)
	}
	_ = w.Close()
	return fmt.Sprintf("<<%s/Filter/FlateDecode/Length %d>>\nstream\n%s\nendstream", of, z.Len(), z.Bytes())
}

// documents are small ones, of several programs.
func documents(t testing.TB) [][]byte {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/pdfcpu/pdfcpu").Output()
	if err != nil {
		t.Fatal("finding the library's own documents:", err)
	}
	all := [][]byte{judge.Document, append([]byte("@PJL\n"), judge.Document...), packed(0), packed(1)}
	names, _ := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "pkg", "testdata", "*.pdf"))
	for _, name := range names {
		if b, err := os.ReadFile(name); err == nil && len(b) < 1<<14 {
			all = append(all, b)
		}
	}
	return all
}

// FuzzDocument is FuzzClean for documents alone. The last long run, of five
// minutes on two busy cores (-fuzz FuzzDocument -fuzztime 5m -fuzzminimizetime 5x), tried 331430 inputs.
func FuzzDocument(f *testing.F) {
	for _, b := range documents(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if Detect(b) == PDF {
			staysClean(t, b)
		}
	})
}
