//go:build linux

package browser_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tellAll is what a script does that has got to run: whoever opened it knows.
const tellAll = `try { opener.hits.push(1) } catch {}; try { parent.hits.push(1) } catch {}; window.hit = 1`

// What runs when a browser opens it as a document: a page, a drawing, and a
// document with a script of its own, which shows a dialog.
var documents = map[string]string{
	"page.html": `<!doctype html><body onload="` + tellAll + `"><p>hello</p>`,
	"draw.svg":  `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9" onload="` + tellAll + `"><rect width="9" height="9"/></svg>`,
	"form.pdf": "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R/OpenAction<</S/JavaScript/JS(app.alert\\(1\\))>>>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n" +
		"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n",
}

// send has a daemon send a file as it is, as somebody would who means harm.
func (d *daemon) send(to, name, content string, more map[string]any) {
	d.t.Helper()
	path := filepath.Join(d.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		d.t.Fatal(err)
	}
	p := map[string]any{"recipient": to, "attachments": []string{path}, "original": true}
	for k, v := range more {
		p[k] = v
	}
	d.call("send", p, nil)
}

// A file of the other side never becomes a document in the page's place, nor a
// picture that isn't one: it can be saved, and that is all.
func TestDocuments(t *testing.T) {
	t.Parallel()
	_, bob, a, _ := friends(t)
	for name, content := range documents {
		bob.send("Ann", name, content, nil)
		bob.send("Ann", "as a picture "+name+".png", content, nil)
	}
	a.wait(`document.querySelectorAll("[data-file] [aria-label^=Save]").length === 6`)
	a.picture("files-documents")
	if n := get[int](a, `document.querySelectorAll(".log img, .log iframe, .log embed, .log object, .log a, .log video, .log audio, .log button.shot").length`); n != 0 {
		t.Errorf("%d elements show what others made", n)
	}
	ids := get[[]string](a, `[...document.querySelectorAll(".chip[data-file]")].map((x) => x.dataset.file)`)
	with := `{ headers: { Authorization: "Bearer " + sessionStorage.getItem("token") } }`
	for _, id := range ids {
		// Its bytes come without a type, and only to who has the token.
		kind := get[string](a, fmt.Sprintf(`fetch("/api/v1/files/%s", %s).then(async (r) => [r.headers.get("Content-Type"), (await r.blob()).type,
			...["Content-Disposition", "X-Content-Type-Options", "Content-Security-Policy"].map((x) => r.headers.get(x))].join(", "))`, id, with))
		if kind != "application/octet-stream, application/octet-stream, attachment, nosniff, default-src 'none'; sandbox; frame-ancestors 'none'" {
			t.Errorf("a file comes as %s", kind)
		}
		if s := get[int](a, fmt.Sprintf(`fetch("/api/v1/files/%s").then((r) => r.status)`, id)); s != 401 {
			t.Errorf("without a token: %d", s)
		}
	}
	// In a frame, by whoever got so far as to run in the page.
	var places []string
	for _, id := range ids {
		places = append(places, quote("/api/v1/files/"+id), fmt.Sprintf(`URL.createObjectURL(await fetch("/api/v1/files/%s", %s).then((r) => r.blob()))`, id, with))
	}
	if n := a.frames(places); n != 0 {
		t.Errorf("%d scripts of the other side ran in frames", n)
	}
	a.mu.Lock()
	a.faults = nil // of the frames, which the policy refused
	a.mu.Unlock()
	if get[bool](a, `"hit" in window`) {
		t.Error("a script of the other side has run")
	}
	a.calm()

	// The controls: the same bytes from the same daemon run where they come with
	// the type they claim, and without what forbids it. Each of what forbids it is
	// enough.
	for _, keep := range []string{"Content-Type", "Content-Disposition", "Content-Security-Policy"} {
		bare := newTab(t)
		bare.open(unprotected(t, a, keep) + "/")
		if n := bare.frames(nil, ids...); n != 0 {
			t.Errorf("%d scripts ran in spite of %s", n, keep)
		}
	}
	bare := newTab(t)
	bare.open(unprotected(t, a, "") + "/")
	bare.frames(nil, ids...)
	until(t, "each document runs unprotected", func() bool { return bare.ran() == 6 })
}

// frames opens files in frames, given by expressions or by their ids, and tells
// how many scripts ran by the time they were there, or would have been.
func (p *page) frames(places []string, ids ...string) int {
	p.t.Helper()
	for _, id := range ids {
		places = append(places, quote("/api/v1/files/"+id))
	}
	get[int](p, `(async () => {
		window.hits = []
		await Promise.all([`+strings.Join(places, ", ")+`].map((src) => new Promise((yes) => {
			const f = document.createElement("iframe")
			f.src = src
			f.onload = () => setTimeout(yes, 500)
			setTimeout(yes, 4000) // what is saved never loads
			document.body.append(f)
		})))
		return 0
	})()`)
	return p.ran()
}

// ran counts scripts of frames that have run: those of pages and drawings have
// said so, those of PDF documents have shown a dialog.
func (p *page) ran() int {
	p.t.Helper()
	n := get[int](p, `hits.length`)
	p.mu.Lock()
	defer p.mu.Unlock()
	return n + p.dialogs
}

// unprotected is a server that gives out the files of a page's daemon to
// anybody, as what they look like; of what the daemon says to protect itself,
// one header is kept.
func unprotected(t *testing.T, p *page, keep string) (origin string) {
	t.Helper()
	token, from := p.text(`sessionStorage.getItem("token")`), p.text("location.origin")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if r.URL.Path == "/" {
			fmt.Fprint(w, "<!doctype html><title>elsewhere</title>")
			return
		}
		ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, from+r.URL.Path, http.NoBody)
		if err != nil {
			return
		}
		ask.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(ask)
		if err != nil {
			return
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			return
		}
		for start, kind := range map[string]string{"<svg": "image/svg+xml", "%PDF": "application/pdf"} {
			if bytes.HasPrefix(b, []byte(start)) {
				w.Header().Set("Content-Type", kind)
			}
		}
		if keep != "" {
			w.Header().Set(keep, res.Header.Get(keep))
		}
		_, _ = w.Write(b) // the test notices
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// A file that claims to be something else is shown as what it is; names with
// script in them, or that turn text around, are names.
func TestFileNames(t *testing.T) {
	t.Parallel()
	_, bob, a, _ := friends(t)
	trick := "holiday\u202egpj.exe"
	program := "MZ\x90\x00" + string(make([]byte, 56)) + "\x40\x00\x00\x00PE\x00\x00"
	names := []string{`<img src=x onerror="window.hit=1">`, `"><script>window.hit=1<`, trick, "picture.png"}
	for _, n := range names {
		bob.call("send", map[string]any{
			"recipient": "Ann", "original": true,
			"attachments": []string{"data:image/png;filename=" + url.PathEscape(n) + ";base64," + base64.StdEncoding.EncodeToString([]byte(program))},
		}, nil)
	}
	a.wait(`document.querySelectorAll(".chip [aria-label^=Save]").length === 4`)
	a.picture("files-names")
	for i, want := range []string{names[0], names[1], "holiday\ufffdgpj.exe", names[3]} {
		row := fmt.Sprintf(`document.querySelectorAll(".chip")[%d]`, i)
		if got := a.text(row + `.querySelector(".name").textContent`); got != want {
			t.Errorf("%q is shown as %q", names[i], got)
		}
		if s := a.text(row + `.querySelector(".name").tagName`); s != "BDI" {
			t.Errorf("a name stands in a %s", s)
		}
		if s := a.text(row + `.textContent`); !strings.Contains(s, "application/vnd.microsoft.portable-executable") {
			t.Errorf("%q isn't said to be a program: %s", names[i], s)
		}
	}
	if get[bool](a, `"hit" in window`) {
		t.Error("a name has run")
	}
	// What is saved shows its ending, and doesn't run.
	dir := a.savedTo()
	for i := range names {
		a.do(fmt.Sprintf(`document.querySelectorAll('.chip [aria-label^=Save]')[%d].click()`, i))
		var list []os.DirEntry
		until(t, "it is saved", func() bool {
			var err error
			list, err = os.ReadDir(dir)
			return err == nil && len(list) == i+1 && !slices.ContainsFunc(list, func(f os.DirEntry) bool { return filepath.Ext(f.Name()) == ".crdownload" })
		})
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		if filepath.Ext(f.Name()) != ".download" || strings.Contains(f.Name(), "\u202e") {
			t.Errorf("saved as %q", f.Name())
		}
	}
	a.calm()
}

// A picture ends with its message: on the screen, in the browser and on the
// disk, small and large.
func TestPictureEnds(t *testing.T) {
	t.Parallel()
	ann, bob, a, _ := friends(t)
	path, _ := photo(t, "a.jpg", 300, 200, 3)
	var sent struct{ ID string }
	bob.call("send", map[string]any{"recipient": "Ann", "attachments": []string{path}, "message": "soon gone"}, &sent)
	a.wait(shots + `.length === 1 && document.querySelector(".shot:enabled img")?.naturalWidth === 300`)
	a.do(`document.querySelector(".shot").click()`)
	a.wait(`document.querySelector("dialog.viewer .stage img")?.naturalWidth === 300`)
	src := a.text(`document.querySelector("dialog.viewer .stage img").src`)
	load := fmt.Sprintf(`new Promise((yes) => { const i = new Image(); i.onload = () => yes("there"); i.onerror = () => yes("gone"); i.src = %s })`, quote(src))
	if s := get[string](a, load); s != "there" {
		t.Errorf("the control: the picture is %s before its message ends", s)
	}
	bob.call("unsend", map[string]string{"id": sent.ID}, nil)
	a.wait(`!document.querySelector("dialog") && !document.querySelector(".shot")`)
	if s := get[string](a, load); s != "gone" {
		t.Errorf("the picture is %s after its message ended", s)
	}
	a.mu.Lock()
	a.faults = nil // of that
	a.mu.Unlock()
	until(t, "the file has ended", func() bool { return filesIn(t, filepath.Join(ann.dir, "store", "files")) == 0 })
	a.calm()
}
