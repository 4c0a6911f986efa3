//go:build linux

package browser_test

import (
	"testing"
)

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
