//go:build linux

package browser_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"image"
	"image/png"

	"github.com/chromedp/chromedp"
)

// blank is a picture of nothing.
var blank = func() []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 300, 200))); err != nil {
		panic(err)
	}
	return b.Bytes()
}()

// shot is a picture of what is on the screen, a PNG.
func (p *page) shot() []byte {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	b, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

// transfer is an expression for a file as the page gets one from a person.
func transfer(name, kind string, content []byte) string {
	return fmt.Sprintf(`((d) => { d.items.add(new File([Uint8Array.from(atob(%s), (c) => c.codePointAt(0))], %s, { type: %s })); return d })(new DataTransfer())`,
		quote(base64.StdEncoding.EncodeToString(content)), quote(name), quote(kind))
}

// give chooses a file in a field for files.
func (p *page) give(selector, name, kind string, content []byte) {
	p.t.Helper()
	p.wait(fmt.Sprintf("document.querySelector(%s)", quote(selector)))
	p.do(fmt.Sprintf(`((x) => { x.files = %s.files; x.dispatchEvent(new Event("change", { bubbles: true })) })(document.querySelector(%s))`,
		transfer(name, kind, content), quote(selector)))
}

// paste pastes a file.
func (p *page) paste(selector, name, kind string, content []byte) {
	p.t.Helper()
	p.wait(fmt.Sprintf("document.querySelector(%s)", quote(selector)))
	p.do(fmt.Sprintf(`document.querySelector(%s).dispatchEvent(new ClipboardEvent("paste", { clipboardData: %s, bubbles: true, cancelable: true }))`,
		quote(selector), transfer(name, kind, content)))
}

// listen keeps what the page says to the daemon from now on.
func (p *page) listen() {
	p.t.Helper()
	p.do(`((was) => { window.told = []; WebSocket.prototype.send = function (x) { told.push(JSON.parse(x)); return was.call(this, x) } })(WebSocket.prototype.send)`)
}

// tells is true once the page has called a method.
func tells(method string) string {
	return fmt.Sprintf("told.some((x) => x.method === %s)", quote(method))
}
