//go:build linux

package browser_test

import (
	"bytes"
	"encoding/base64"
	"image/jpeg"
	"path/filepath"
	"testing"

	"rushlight/node/internal/judge"
)

// What the daemon can't read and the browser can is seen at once all the same:
// pictures in AVIF, and films, which are never more than something to be saved.
func TestThumbnailsOfThePage(t *testing.T) {
	t.Parallel()
	ann, bob, a, b := friends(t)
	film, err := filepath.Abs(filepath.Join("..", "..", "media", "testdata", "film.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"picture": filepath.Join(judge.Corpus(t), "bep", "sunset.avif"), "film": film} {
		a.pick(path)
		a.inTray(1)
		a.wait(`document.querySelector(".tray img")?.naturalWidth > 0`)
		a.write("a " + name)
		b.says("a " + name)
		until(t, name+" is there", func() bool { _, f := bob.lastFile("Ann"); return f.State == "done" })
		_, f := bob.lastFile("Ann")
		small, err := base64.StdEncoding.DecodeString(f.Thumbnail)
		if err != nil {
			t.Fatal(err)
		}
		img, err := jpeg.Decode(bytes.NewReader(small))
		if err != nil {
			t.Fatalf("%s: a thumbnail of %d bytes: %v", name, len(small), err)
		}
		if s := img.Bounds(); len(small) > 12<<10 || max(s.Dx(), s.Dy()) > 320 || min(s.Dx(), s.Dy()) < 16 {
			t.Errorf("%s: a thumbnail of %d bytes, %v", name, len(small), s)
		}
	}
	b.wait(`document.querySelector(".chip > img")?.naturalWidth > 0 && document.querySelector(".chip [aria-label^='Save']")`)
	b.wait(shots + `.length === 1 && !document.querySelector("video")`)
	// Without the page there is none.
	ann.call("send", map[string]any{"recipient": "Bob", "attachments": []string{filepath.Join(judge.Corpus(t), "bep", "sunset.avif")}}, nil)
	until(t, "the other one is there", func() bool { m, f := bob.lastFile("Ann"); return m.Text == "" && f.State == "done" })
	if _, f := bob.lastFile("Ann"); f.Thumbnail != "" {
		t.Error("control: the daemon reads AVIF")
	}
	a.calm()
	b.calm()
}

// Nothing is wrong with what shows files for those who see, hear or work
// otherwise, in light, dark, forced colours and from right to left.
func TestFileViews(t *testing.T) {
	t.Parallel()
	_, bob, a, b := friends(t)
	check := a.looks
	path, _ := photo(t, "lake.jpg", 640, 420, 120)
	doc := file(t, "packing list.txt", "bread\nmap\n")
	bob.call("send", map[string]any{"recipient": "Ann", "attachments": []string{path, doc}, "message": "From the lake"}, nil)
	bob.send("Ann", "holiday.png", documents["page.html"], nil)
	a.wait(shots + `.length === 1 && document.querySelectorAll(".chip").length === 2`)
	a.wait(`document.querySelector(".shot img")?.naturalWidth === 640`)
	a.pick(path, doc)
	a.inTray(2)
	check("files")
	a.do(`((x) => { x.value = "original"; x.dispatchEvent(new Event("change", { bubbles: true })) })(document.querySelector("#send-as"))`)
	a.says("The original may tell")
	check("files-original")
	a.do(`document.querySelector(".shot").click()`)
	a.wait(`document.querySelector("dialog.viewer .stage img")?.naturalWidth === 640`)
	check("viewer")
	a.calm()
	b.calm()
}
