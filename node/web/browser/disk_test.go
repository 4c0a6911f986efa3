//go:build linux

package browser_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"

	"rushlight/node/api"
)

// file is one with a text in it.
func file(t testing.TB, name, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// photo is a JPEG file that tells where it was made, and with what.
func photo(t testing.TB, name string, w, h int, shade uint8) (path string, plain []byte) {
	t.Helper()
	if _, err := exec.LookPath("exiftool"); err != nil {
		t.Skip("exiftool is missing: apt-get install libimage-exiftool-perl")
	}
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	grain := rand.New(rand.NewPCG(uint64(w), uint64(shade)))
	for y := range h {
		for x := range w {
			img.Set(x, y, color.RGBA{uint8(x*255/w) ^ uint8(grain.IntN(16)), uint8(y * 255 / h), shade, 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("exiftool", "-q", "-overwrite_original", "-GPSLatitude=52.5", "-GPSLatitudeRef=N", "-GPSLongitude=13.4", "-GPSLongitudeRef=E",
		"-Make=SecretCam", "-SerialNumber=4711", "-DateTimeOriginal=2026:01:02 03:04:05", "-XMP:Creator=Ann", "-Comment=from home", path).CombinedOutput()
	if err != nil {
		t.Fatalf("exiftool: %v\n%s", err, out)
	}
	return path, b.Bytes()
}

// told is what exiftool finds in a file beside what is needed to show it.
func told(t testing.TB, path string) string {
	t.Helper()
	out, err := exec.Command("exiftool", "-s", "-G", "-EXIF:all", "-XMP:all", "-IPTC:all", "-MakerNotes:all", "-Comment", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// pick chooses files as the system's dialog does.
func (p *page) pick(paths ...string) {
	p.t.Helper()
	p.wait(`document.querySelector("#attach")`)
	r := call(p, runtime.Evaluate, runtime.EvaluateParams{Expression: `document.querySelector("#attach")`})
	call(p, dom.SetFileInputFiles, dom.SetFileInputFilesParams{Files: paths, ObjectID: r.Result.ObjectID})
}

// drop drags files from elsewhere over the conversation and lets them go.
func (p *page) drop(paths ...string) {
	p.t.Helper()
	for _, kind := range []input.DispatchDragEventType{input.DispatchDragEventTypeDragEnter, input.DispatchDragEventTypeDragOver, input.DispatchDragEventTypeDrop} {
		call(p, input.DispatchDragEvent, input.DispatchDragEventParams{
			Type: kind, X: 700, Y: 300, Data: &input.DragData{Items: []*input.DragDataItem{}, Files: paths, DragOperationsMask: 1},
		})
		if kind == input.DispatchDragEventTypeDragOver {
			p.wait(`document.querySelector(".drop-here")`)
			p.picture("files-drop")
		}
	}
}

// pasteFile pastes a file as a screenshot or a copied picture is.
func (p *page) pasteFile(name, kind string, content []byte) {
	p.t.Helper()
	p.do(fmt.Sprintf(`((d) => {
		d.items.add(new File([Uint8Array.from(atob(%s), (c) => c.charCodeAt(0))], %s, { type: %s }))
		document.querySelector("#composer").dispatchEvent(new ClipboardEvent("paste", { clipboardData: d, bubbles: true, cancelable: true }))
	})(new DataTransfer())`, quote(base64.StdEncoding.EncodeToString(content)), quote(name), quote(kind)))
}

// inTray waits until so many files are ready to be sent.
func (p *page) inTray(n int) {
	p.t.Helper()
	p.wait(fmt.Sprintf(`document.querySelectorAll(".tray li").length === %d && document.querySelectorAll(".tray li [role=status]").length === %d`, n, n))
}

// savedTo makes the browser save to a folder.
func (p *page) savedTo() (dir string) {
	p.t.Helper()
	dir = p.t.TempDir()
	tab := call(p, target.GetTargetInfo, target.GetTargetInfoParams{})
	call(p, cdpbrowser.SetDownloadBehavior, cdpbrowser.SetDownloadBehaviorParams{
		Behavior: cdpbrowser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir, BrowserContextID: tab.TargetInfo.BrowserContextID,
	})
	return dir
}

// saved waits for the next file that was saved.
func (p *page) saved(dir, name string) []byte {
	p.t.Helper()
	var b []byte
	until(p.t, "it is saved as "+name, func() bool {
		var err error
		b, err = os.ReadFile(filepath.Join(dir, name))
		return err == nil && len(b) > 0
	})
	return b
}

// lastFile is the newest file that a daemon has a message with.
func (d *daemon) lastFile(who string) (api.Message, api.File) {
	d.t.Helper()
	var r struct{ Messages []api.Message }
	d.call("read", map[string]any{"who": who, "limit": 1, "peek": true}, &r)
	if len(r.Messages) != 1 || len(r.Messages[0].Files) == 0 {
		d.t.Fatalf("no file in %+v", r.Messages)
	}
	return r.Messages[0], r.Messages[0].Files[0]
}

// filesIn counts the files in a folder.
func filesIn(t testing.TB, dir string) int {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
