package files

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unicode"

	"rushlight/protocol/message"
)

func TestSafeName(t *testing.T) {
	jpeg, elf, text, pdf := "image/jpeg", "application/x-executable", "text/plain", "application/pdf"
	for _, c := range []struct{ name, kind, want string }{
		{"photo.jpg", jpeg, "photo.jpg"},
		{"photo.JPEG", jpeg, "photo.JPEG"},
		{"Größe 東京.pdf", pdf, "Größe 東京.pdf"},
		{"notes", text, "notes"},
		{"archive.tar.gz", "application/x-gzip", "archive.tar.gz"},
		{"data.csv", text, "data.csv"},
		// It is something else.
		{"photo.jpg", elf, "photo.jpg.elf.download"},
		{"photo.jpg", "text/html", "photo.jpg.download"},
		{"photo.png", jpeg, "photo.png.jpg"},
		{"film.mp4", "application/octet-stream", "film.mp4.download"},
		{"report.pdf", "application/vnd.microsoft.portable-executable", "report.pdf.exe.download"},
		{"run.exe", jpeg, "run.exe.jpg"},
		// It would run.
		{"setup.exe", "application/vnd.microsoft.portable-executable", "setup.exe.download"},
		{"a.sh", "text/x-shellscript", "a.sh.download"},
		{"x.desktop", "application/x-desktop", "x.desktop.download"},
		{"macro.docm", "application/zip", "macro.docm.download"},
		{"page.html", "text/html", "page.html.download"},
		{"a.lnk", "", "a.lnk.download"},
		// It goes elsewhere, or hides.
		{"../../.bashrc", text, "_.._.bashrc"},
		{"/etc/passwd", text, "_etc_passwd"},
		{`..\..\autoexec.bat`, text, `_.._autoexec.bat.download`},
		{"C:evil.txt", text, "C_evil.txt"},
		{".profile", text, "profile"},
		{"..", text, "file"},
		{"", text, "file"},
		{"-rf", text, "_rf"},
		{"a\x00b\nc.txt", text, "a_b_c.txt"},
		{"con.txt", text, "_con.txt"},
		{"NUL", text, "_NUL"},
		{"aux .txt", text, "_aux.txt"},
		{"trailing. . .", text, "trailing"},
		// The ending is hidden.
		{"invoice\u202efdp.exe", "", "invoicefdp.exe.download"},
		{"invoice.pdf" + strings.Repeat(" ", 90) + ".exe", "", "invoice.pdf .exe.download"},
		{"a.p\u200bdf", pdf, "a.pdf"},
		{"a.exe.", "", "a.exe.download"},
		{"a.exe \u00a0", "", "a.exe.download"},
		{"a\uff0eexe", "", "a_exe"},
		{strings.Repeat("x", 255) + ".exe", "", ""},
	} {
		got := SafeName(c.name, c.kind)
		if c.want != "" && got != c.want {
			t.Errorf("%q of %s is saved as %q, not %q", c.name, c.kind, got, c.want)
		}
	}
}

// harmfulName says what is wrong with a name that a file is saved under.
func harmfulName(name string) string {
	switch {
	case name == "" || len(name) > 255 || filepath.Base(name) != name || !filepath.IsLocal(name) || strings.ContainsAny(name, `/\:*?"<>|`):
		return "it is no name in a folder"
	case strings.HasPrefix(name, ".") || strings.HasPrefix(name, "-"):
		return "it is hidden, or an option"
	case strings.TrimRight(name, " .") != name:
		return "some systems don't keep its end"
	case runs[strings.ToLower(filepath.Ext(name))]:
		return "it would run"
	case strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }):
		return "it has characters that aren't seen"
	case strings.Contains(name, "  "):
		return "its ending may be out of sight"
	case reserved[strings.ToLower(before(name))]:
		return "it is a device"
	}
	return ""
}

func FuzzSafeName(f *testing.F) {
	f.Add("photo.jpg", "image/jpeg")
	f.Add("..\\a\u202e.exe", "")
	f.Add("con .txt", "text/plain")
	f.Fuzz(func(t *testing.T, name, kind string) {
		got := SafeName(name, kind)
		if why := harmfulName(got); why != "" {
			t.Errorf("%q of %q is saved as %q: %s", name, kind, got, why)
		}
		if again := SafeName(got, ""); again != got {
			t.Errorf("%q becomes %q", got, again)
		}
	})
}

// The names as they come are what the check refuses.
func TestHarmfulNamesControl(t *testing.T) {
	for _, name := range []string{"../a", "a.exe", ".a", "a ", "a\u202eb", "a   b", "con.txt", "", "a:b"} {
		if harmfulName(name) == "" {
			t.Errorf("%q passes", name)
		}
	}
}

func TestKind(t *testing.T) {
	pe := make([]byte, 256)
	copy(pe, "MZ")
	pe[60] = 128
	copy(pe[128:], "PE\x00\x00")
	for _, c := range []struct{ head, want string }{
		{"", "application/x-empty"},
		{"hello", "text/plain"},
		{"\xff\xd8\xff\xe0", "image/jpeg"},
		{"\x89PNG\r\n\x1a\n", "image/png"},
		{"\x7fELF\x02", "application/x-executable"},
		{string(pe), "application/vnd.microsoft.portable-executable"},
		{"#!/bin/sh", "text/x-shellscript"},
		{"%PDF-1.7", "application/pdf"},
		{"\x00\x00\x00\x18ftypheic", "image/heic"},
		{"\x00\x00\x00\x18ftypisom", "video/mp4"},
		{"<?xml version=\"1.0\"?><svg xmlns=", "image/svg+xml"},
		{"\xef\xbb\xbf \n<SVG onload=x>", "image/svg+xml"},
		{"<!DOCTYPE html><script>", "text/html"},
		{"[Desktop Entry]\nExec=sh", "application/x-desktop"},
		{"PK\x03\x04", "application/zip"},
		{"\x01\x02\x03", "application/octet-stream"},
	} {
		if got := Kind([]byte(c.head)); got != c.want {
			t.Errorf("%q is %s, not %s", c.head[:min(len(c.head), 20)], got, c.want)
		}
	}
}

func TestSave(t *testing.T) {
	a := newNode(t)
	id := message.ID{1}
	a.sealed(id, []byte("hello"))
	dir := t.TempDir()
	name, err := a.Save(t.Context(), id, 0, dir)
	if err != nil || name != filepath.Join(dir, "file.bin.download") {
		t.Fatal(name, err)
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, []byte("hello")) {
		t.Errorf("%q %v", got, err)
	}
	if _, err := a.Save(t.Context(), id, 0, dir); !errors.Is(err, ErrExists) {
		t.Errorf("saved twice: %v", err)
	}
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), filepath.Join(dir, "link")); err == nil {
		if _, err := a.Save(t.Context(), id, 0, filepath.Join(dir, "link")); !errors.Is(err, ErrExists) {
			t.Errorf("saved through a link that leads nowhere: %v", err)
		}
	}
	if _, err := a.Save(t.Context(), id, 0, filepath.Join(dir, "no", "such")); err == nil {
		t.Error("saved in no folder")
	}
	if list, _ := os.ReadDir(dir); len(list) > 2 {
		t.Errorf("%d files are left", len(list))
	}
}

// Nobody but the owner may open what is saved, and nobody may run it, whatever
// it is and is said to be, and whatever the process would give.
func TestSavedIsNotRun(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no such permissions on Windows")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "control"), nil, 0o777); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(filepath.Join(dir, "control")); err != nil || st.Mode().Perm()&0o111 == 0 {
		t.Skip("control: nothing can be run in this folder")
	}
	a := newNode(t)
	for i, c := range []struct{ name, kind, content string }{
		{"run.sh", "text/x-shellscript", "#!/bin/sh\necho gotcha\n"},
		{"run", "application/x-executable", "\x7fELF\x02\x01\x01"},
		{"holiday.jpg", "image/jpeg", "#!/usr/bin/env python3\n"},
		{"setup.exe", "application/vnd.microsoft.portable-executable", "MZ\x90\x00"},
		{"start.desktop", "application/x-desktop", "[Desktop Entry]\nExec=sh\n"},
		{"letter.txt", "text/plain", "Dear reader\n"},
	} {
		id := message.ID{byte(i + 1)}
		f := a.sealed(id, []byte(c.content))[0]
		f.Name, f.Type = c.name, c.kind
		a.e.put(id, true, f)
		for _, path := range []string{dir, filepath.Join(dir, "as-"+c.name)} { // a name of ours, and of the person's
			name, err := a.Save(t.Context(), id, 0, path)
			if err != nil {
				t.Fatal(c.name, err)
			}
			if st, err := os.Lstat(name); err != nil || st.Mode() != 0o600 {
				t.Errorf("%s saved as %s: %v, %v", c.name, filepath.Base(name), st.Mode(), err)
			}
			if path == dir && c.name != "letter.txt" && !strings.HasSuffix(name, harmless) {
				t.Errorf("%s saved as %s", c.name, filepath.Base(name))
			}
		}
	}
	// On a file system without links it is the same.
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	if err := os.WriteFile(from, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := claimAndRename(from, to); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Lstat(to); err != nil || st.Mode() != 0o600 {
		t.Error(st, err)
	}
}
