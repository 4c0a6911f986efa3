//go:build linux

package browser_test

import (
	"compress/gzip"
	"io"
	"os"
	"testing"

	"github.com/chromedp/cdproto/emulation"
)

// The ways in which the page can look.
var modes = []struct {
	name     string
	language string
	features []*emulation.MediaFeature
}{
	{"light", "en", []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "light"}}},
	{"dark", "en", []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}},
	{"forced", "en", []*emulation.MediaFeature{{Name: "forced-colors", Value: "active"}, {Name: "prefers-reduced-motion", Value: "reduce"}}},
	{"rtl", "ar", []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "light"}}},
}

// axe runs axe-core on what is shown and reports what it says.
const axe = `axe.run(document, { resultTypes: ["violations"], runOnly: { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] } })
	.then((r) => r.violations.map((v) => v.id + ": " + v.help + "\n" + v.nodes.slice(0, 3).map((n) => "    " + n.html.slice(0, 160) + "\n    " + n.failureSummary.replaceAll("\n", " ")).join("\n")))`

// Nothing is wrong with any view for those who see, hear or work otherwise, in
// light, dark, forced colours and from right to left.
func TestEveryView(t *testing.T) {
	t.Parallel()
	ann, bob := newDaemon(t, "Ann"), confirmed(t, "Bob")
	a := openPage(t, ann)
	check := a.looks
	a.says("Your recovery code")
	check("first")
	ann.call("recovery", map[string]bool{"confirmed": true}, nil)
	a.reload()
	a.wait(`document.querySelector(".nobody")`)
	check("empty")

	befriend(t, ann, bob)
	talk(t, ann, bob)
	a.chat("Bob")
	a.says("See you there")
	check("chat")
	if *docs {
		a.press("To the newest message")
		a.wait(message("See you there") + `.getBoundingClientRect().bottom < innerHeight`)
		for _, m := range modes {
			a.appear(m.language, m.features)
			if err := os.WriteFile("../../../cmd/rushlight/docs/page-"+m.name+".png", a.shot(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		a.appear("en", modes[0].features)
	}
	a.menuOf("See you there")
	check("menu")
	a.press("React")
	a.wait(`document.querySelector(".emoji")`)
	check("emoji")
	a.keys(escape)
	for _, v := range []struct{ name, by, has string }{
		{"invite-form", "Invite somebody", "[name=approval]"},
		{"invite", "Make an invite", "svg.qr"},
		{"add", "Accept an invite", "#add-link"},
		{"settings", "Settings", "#own-name"},
	} {
		if v.name == "add" || v.name == "settings" {
			a.keys(escape)
			a.wait(`!document.querySelector("dialog")`)
		}
		a.press(v.by)
		a.wait(`document.querySelector(` + quote(v.has) + `)`)
		check(v.name)
	}
	a.keys(escape)
	for _, v := range []struct{ name, by, has string }{
		{"verify", "Verify", "svg.qr"}, {"timers", "Timers", "#burn"}, {"person", "About", ".person"},
	} {
		a.wait(`!document.querySelector("dialog")`)
		a.press("More about Bob")
		a.press(v.by)
		a.wait(`document.querySelector(` + quote(v.has) + `)`)
		check(v.name)
		a.keys(escape)
	}
	a.fill("#search", "there")
	a.wait(`document.querySelector("[data-result]")`)
	check("search")
	a.fill("#search", "")
	ann.stop()
	a.says("Rushlight isn’t running")
	check("down")
	a.calm()
}

// looks checks a view in all modes.
func (p *page) looks(view string) {
	p.t.Helper()
	axe := axeOf(p)
	for _, m := range modes {
		p.appear(m.language, m.features)
		for _, v := range get[[]string](p, axe) {
			p.t.Errorf("%s, %s: %s", view, m.name, v)
		}
		p.picture(view + "-" + m.name)
	}
	p.appear("en", modes[0].features)
}

// appear changes how the page looks and waits until it does.
func (p *page) appear(language string, features []*emulation.MediaFeature) {
	p.t.Helper()
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
	p.do(`localStorage.setItem("language", ` + quote(language) + `) ?? dispatchEvent(new StorageEvent("storage", { key: "language", newValue: ` + quote(language) + ` }))`)
	p.wait(`document.documentElement.lang === ` + quote(language))
	// What moves begins with the next picture.
	get[bool](p, `new Promise((yes) => { setTimeout(() => yes(true), 1000); requestAnimationFrame(() => requestAnimationFrame(() => yes(true))) })`)
	p.wait(`document.getAnimations().every((x) => x.playState !== "running")`)
}

// axeSource is axe-core.
func axeSource(t testing.TB) string {
	t.Helper()
	f, err := os.Open("testdata/axe.min.js.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return "(() => {" + string(b) + "})()"
}

// talk is a conversation with a bit of everything.
func talk(t testing.TB, ann, bob *daemon) {
	t.Helper()
	type sent struct{ ID string }
	say := func(d *daemon, to, text string, more map[string]any) string {
		t.Helper()
		p := map[string]any{"recipient": to, "message": text, "markdown": true}
		for k, v := range more {
			p[k] = v
		}
		var s sent
		d.call("send", p, &s)
		var r struct{ State string }
		d.call("wait", map[string]any{"id": s.ID, "state": "delivered", "timeout": "60s"}, &r)
		return s.ID
	}
	walk := say(bob, "Ann", "Morning! Are we still going up to the lake on Saturday?", nil)
	yes := say(ann, "Bob", "Yes, **if the weather holds**. The forecast says sun until four.", map[string]any{"replyTo": walk})
	bob.call("react", map[string]string{"id": yes, "emoji": "☀️"}, nil)
	say(bob, "Ann", "Then let’s take the early bus. I’ll bring coffee and the blue thermos.", nil)
	say(bob, "Ann", "The code for the cabin is ||4711||, don’t write it down", map[string]any{"expires": "1d"})
	last := say(ann, "Bob", "Won’t. *Perfect*, I have bread and the old map 🗺️", nil)
	bob.call("react", map[string]string{"id": last, "emoji": "❤️"}, nil)
	say(ann, "Bob", "See you there at seven", map[string]any{"expires": "8h"})
}
