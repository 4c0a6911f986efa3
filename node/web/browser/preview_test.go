//go:build linux

package browser_test

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/jpeg"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"

	"rushlight/node/api"
)

// answers makes the daemon's answers to preview: it asks no page on the loopback
// address, so what it would find there is put in. window.asked is what it was
// asked for.
func (p *page) answers(title string) {
	p.t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 40, 40)), nil); err != nil {
		p.t.Fatal(err)
	}
	p.do(`(() => {
		window.asked = []
		const send = WebSocket.prototype.send
		WebSocket.prototype.send = function (s) {
			const m = JSON.parse(s)
			if (m.method !== "preview") return send.call(this, s)
			window.asked.push(m.params.url)
			const result = { url: m.params.url, title: ` + quote(title) + `, description: "of a <b>walk</b>", host: "lake.example", image: ` + quote(base64.StdEncoding.EncodeToString(b.Bytes())) + ` }
			setTimeout(() => this.onmessage(new MessageEvent("message", { data: JSON.stringify({ jsonrpc: "2.0", id: m.id, result }) })))
		}
	})()`)
}

const card = `document.querySelector(".composer .card")`

// The preview of a link is made once the link is complete, shown before it is
// sent, and left out if one likes; the other side sees it as it was sent.
func TestPreview(t *testing.T) {
	t.Parallel()
	_, bob, a, b := friends(t)
	script := `<img src=x onerror="window.hit=1">`
	a.answers(script)
	a.focus("#composer")
	const link = "https://lake.example/walk_1_2?x=1"
	for _, r := range "see " + link {
		call(a, input.InsertText, input.InsertTextParams{Text: string(r)})
	}
	a.wait(`document.querySelector("#composer").value.endsWith("?x=1")`)
	if s := a.text("window.asked.join()"); s != "" {
		t.Errorf("while it was typed, the daemon was asked for %s", s)
	}
	a.keys(letter(' '))
	a.wait(card + `?.querySelector("img")?.naturalWidth === 40`)
	if s := a.text("window.asked.join()"); s != link {
		t.Errorf("the daemon was asked for %s", s)
	}
	a.looks("preview")
	a.press("Send")
	b.wait(`document.querySelector("li[data-message] .card img")?.naturalWidth === 40`)
	if s := b.text(`document.querySelector("li[data-message] .card .name").textContent`); s != script {
		t.Errorf("the title is %s", s)
	}
	if s := b.text(`((x) => [x.href, x.target, x.rel].join())(document.querySelector("a.card"))`); s != link+",_blank,noopener noreferrer nofollow" {
		t.Errorf("the card is %s", s)
	}
	if get[bool](b, `"hit" in window || document.querySelectorAll(".card b, .card img[onerror]").length > 0`) {
		t.Error("what a page calls itself has run")
	}
	b.looks("preview-there")

	// Left out, with the keyboard.
	a.fill("#composer", "again "+link+" ")
	a.wait(card)
	a.focus(`[aria-label="Leave the preview out"]`)
	a.keys(enter)
	a.wait("!" + card + ` && document.activeElement.id === "composer"`)
	a.keys(enter)
	b.says("again " + link)
	var r struct{ Messages []api.Message }
	bob.call("read", map[string]any{"who": "Ann", "limit": 1, "peek": true}, &r)
	if len(r.Messages) != 1 || r.Messages[0].Preview != nil || !strings.Contains(r.Messages[0].Text, link) {
		t.Errorf("%+v", r.Messages)
	}

	// Pasted, it is complete.
	a.do(`((d) => { d.setData("text/plain", ` + quote(link) + `); document.querySelector("#composer").dispatchEvent(new ClipboardEvent("paste", { clipboardData: d, bubbles: true, cancelable: true })) })(new DataTransfer())`)
	a.fill("#composer", link)
	a.wait(card)
	a.fill("#composer", "")
	a.calm()
	b.calm()
}

// One switch turns previews off, and the daemon asks for nothing then.
func TestPreviewsOff(t *testing.T) {
	t.Parallel()
	ann, _, a, _ := friends(t)
	a.press("Settings")
	a.wait(`document.querySelector("#previews").checked`)
	a.focus("#previews")
	a.keys(key{" ", "Space", " ", 32})
	until(t, "it is off", func() bool {
		var s struct{ Previews bool }
		ann.call("settings", struct{}{}, &s)
		return !s.Previews
	})
	a.keys(escape)
	a.do(`(() => {
		const hear = Object.getOwnPropertyDescriptor(WebSocket.prototype, "send").value
		WebSocket.prototype.send = function (s) {
			const m = JSON.parse(s)
			if (m.method === "preview") this.addEventListener("message", (e) => { const r = JSON.parse(e.data); if (r.id === m.id) window.refused = r.error?.data?.code })
			return hear.call(this, s)
		}
	})()`)
	a.fill("#composer", "https://lake.example/ ")
	a.wait(`window.refused === "not_allowed"`)
	a.wait("!" + card + ` && !document.querySelector(".looking")`)
	a.calm()
}
