//go:build linux

package browser_test

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"

	"rushlight/node/api"
)

// The views that are seen once or rarely: every step of the first run, whoever
// has no login, and the locked profile.
func TestRareViews(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, "Ann")
	p := openPage(t, d)
	p.press("I have written it down")
	p.wait(`document.querySelector("form input")`)
	p.do(`document.querySelectorAll("form input").forEach((x) => { x.value = "aaaa" })`)
	p.press("Next")
	p.says("That isn’t what the code says")
	p.looks("first-confirm")
	p.do(`document.querySelectorAll("form input").forEach((x) => { x.value = ` + quote(d.code) + `.split("-")[x.name.slice(4)] })`)
	p.press("Next")
	p.wait(`document.querySelector("#first-name")`)
	p.looks("first-name")
	p.press("Next")
	p.wait(`document.querySelector("svg.qr")`)
	p.looks("first-invite")
	p.press("Start")
	p.wait(`document.querySelector(".shell")`)

	other := newTab(t)
	other.open(d.origin())
	other.says("The page opens with a link")
	other.looks("denied")

	p.press("Settings")
	p.press("Lock now")
	p.wait(`document.querySelector("dialog .buttons")`)
	p.looks("lock")
	p.press("Lock now")
	p.says("Rushlight is locked")
	p.fill("#passphrase", "not it")
	p.press("Unlock")
	p.says("That isn’t the passphrase.")
	p.looks("locked")
	p.calm()
	other.calm()
}

// What can be done with people and messages, and a narrow screen.
func TestViewsOfPeople(t *testing.T) {
	t.Parallel()
	ann, bob, eve := confirmed(t, "Ann"), confirmed(t, "Bob"), confirmed(t, "Eve")
	befriend(t, ann, bob)
	var inv api.Invite
	ann.call("invite", map[string]any{"needsApproval": true}, &inv)
	eve.call("add", map[string]string{"link": inv.Link}, nil)
	talk(t, ann, bob)
	a := openPage(t, ann)
	a.wait(`document.querySelector(".row.requests")`)
	a.do(`document.querySelector(".row.requests").click()`)
	a.wait(button("Decline Eve"))
	a.looks("requests")

	a.chat("Bob")
	a.says("See you there")
	for _, v := range []struct{ view, what, has string }{
		{"forward", "Forward", "dialog [type=search]"}, {"details", "Details", "dialog dl"}, {"delete", "Delete", "dialog [role=menu]"},
	} {
		a.menuOf("See you there")
		a.press(v.what)
		a.wait(`document.querySelector(` + quote(v.has) + `) && !document.querySelector("dialog.menu")`)
		a.looks(v.view)
		a.keys(escape)
		a.wait(`!document.querySelector("dialog")`)
	}
	for _, v := range []struct{ view, what, has string }{
		{"rename", "Rename", "#petname"}, {"remove", "Remove", "dialog .danger"}, {"block", "Block", "dialog .danger"},
	} {
		a.press("More about Bob")
		a.press(v.what)
		a.wait(`document.querySelector(` + quote(v.has) + `)`)
		a.looks(v.view)
		if v.view != "block" {
			a.keys(escape)
			a.wait(`!document.querySelector("dialog")`)
		}
	}
	a.press("Block")
	a.says("You have blocked Bob.")
	a.looks("blocked")
	a.press("Unblock")
	a.wait(`document.querySelector("#composer")`)
	a.fill("#composer", "hello :ro")
	a.wait(`document.querySelector("#suggestions")`)
	a.looks("suggestions")
	a.fill("#composer", "")
	a.press("Timers of the next message")
	a.wait(`document.querySelector("#burn")`)
	a.looks("message-timer")
	a.keys(escape)
	a.wait(`!document.querySelector("dialog")`)

	call(a, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: 360, Height: 640, DeviceScaleFactor: 1})
	a.wait(`innerWidth === 360`)
	a.looks("narrow-chat")
	if n := get[int](a, `document.documentElement.scrollWidth`); n > 360 {
		t.Errorf("the page is %d pixels wide on a screen of 360", n)
	}
	a.press("Back")
	a.wait(`document.querySelector(".sidebar").checkVisibility() && !document.querySelector(".thread")?.checkVisibility()`)
	a.looks("narrow-list")

	// A narrow screen without anybody still says what to do.
	e := openPage(t, confirmed(t, "Zoe"))
	call(e, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: 360, Height: 640, DeviceScaleFactor: 1})
	e.wait(`[...document.querySelectorAll(".nobody button")].every((x) => x.checkVisibility() && x.getBoundingClientRect().bottom < innerHeight)`)
	e.looks("narrow-empty")
	e.calm()
	a.calm()
}
