//go:build linux

package browser_test

import (
	"slices"
	"testing"
	"time"

	cdppage "github.com/chromedp/cdproto/page"

	"rushlight/node/api"
)

// What is chosen in the settings holds in the daemon, and after its restart,
// except for what the command line says.
func TestSettings(t *testing.T) {
	t.Parallel()
	d := confirmed(t, "Ann")
	p := openPage(t, d)
	holds := func() (s api.Choices) {
		t.Helper()
		d.call("settings", struct{}{}, &s)
		return s
	}
	shows := func(notify, lock string) {
		t.Helper()
		p.press("Settings")
		p.wait(`document.querySelector("#notify")?.value === ` + quote(notify) + ` && document.querySelector("#lock-after").value === ` + quote(lock))
	}
	shows("plain", "off")
	p.choose("#notify", "content")
	p.choose("#lock-after", "15m")
	until(t, "the daemon has both", func() bool {
		s := holds()
		return s.Notify == api.NotifyContent && time.Duration(s.LockAfter) == 15*time.Minute
	})
	p.reload()
	shows("content", "15m")

	d.stop()
	d.start("--lock-after", "1h", "--notify", "off")
	p.wait(`document.querySelector(".shell")`)
	p.reload()
	shows("off", "1h")
	if !get[bool](p, `document.querySelector("#notify").disabled && document.querySelector("#lock-after").disabled`) {
		t.Error("what the command line says can be chosen")
	}
	p.says("was said when Rushlight was started")
	d.stop()
	d.start()
	p.wait(`document.querySelector(".shell")`)
	p.reload()
	shows("content", "15m")
	if s := holds(); s.Notify != api.NotifyContent || len(s.Fixed) > 0 {
		t.Errorf("%+v", s)
	}

	// Another language is spoken at once, also by what is open, and a question.
	title := func(is string) {
		t.Helper()
		p.wait(`document.querySelector("#dialog-title").textContent === ` + quote(is))
	}
	title("Settings")
	p.choose("#language", "ar")
	title("الإعدادات")
	p.wait(`((why) => why && /^[^a-z]+$/i.test(why.nextSibling.textContent))([...document.querySelectorAll("dt")].find((x) => x.textContent === "السبب"))`)
	p.choose("#language", "en")
	title("Settings")
	p.press("Lock now")
	title("Lock")
	p.appear("ar", modes[0].features)
	p.wait(`document.documentElement.dir === "rtl" && !/[a-z]/i.test(document.querySelector("dialog").textContent)`)
	p.appear("en", modes[0].features)
	p.press("Cancel")
	p.wait(`!document.querySelector("dialog")`)

	// The page says that somebody is there, and a profile that nobody uses locks
	// itself.
	p.listen()
	if get[bool](p, tells("active")) {
		t.Error("somebody is there, who isn't")
	}
	p.keys(tab)
	p.wait(tells("active"))
	d.call("settings", map[string]string{"lockAfter": "3s"}, nil)
	p.says("Rushlight is locked")
	p.calm()
}

// An invite can be accepted as a picture of its QR code, chosen or pasted; a
// picture of something else is not one.
func TestInvitePicture(t *testing.T) {
	t.Parallel()
	ann, bob := confirmed(t, "Ann"), confirmed(t, "Bob")
	a, b := openPage(t, ann), openPage(t, bob)
	a.press("Invite somebody")
	a.press("Make an invite")
	a.wait(`document.querySelector("svg.qr")`)
	link := a.text(`document.querySelector("#link").value`)
	shot := a.shot()
	a.picture("invite-shot")

	b.press("Accept an invite")
	b.wait(`document.querySelector("#add-picture")`)
	b.give("#add-picture", "nothing.png", "image/png", blank)
	b.says("There is no QR code to be read in that picture.")
	b.give("#add-picture", "text.png", "image/png", []byte("no picture"))
	b.says("There is no QR code to be read in that picture.")
	b.paste("#add-link", "screen.png", "image/png", shot)
	b.wait(`document.querySelector("#add-link").value.toLowerCase() === ` + quote(link))
	b.fill("#add-link", "")
	b.give("#add-picture", "screen.png", "image/png", shot)
	b.wait(`document.querySelector("#add-link").value.toLowerCase() === ` + quote(link))
	b.press("Accept")
	b.wait(`document.querySelector("#composer")`)
	var r struct{ Contacts []api.Contact }
	bob.call("contacts", struct{}{}, &r)
	if !slices.ContainsFunc(r.Contacts, func(c api.Contact) bool { return c.ID == ann.account }) {
		t.Errorf("Ann isn't a contact: %+v", r.Contacts)
	}
	a.calm()
	b.calm()
}

// How the connection is stands on the page in plain words.
func TestConnectionInWords(t *testing.T) {
	t.Parallel()
	d := confirmed(t, "Ann")
	for words, status := range map[string]string{
		"2 relays, 14 peers, reachable from outside": `{ reachability: "public", peers: 14, relays: 2 }`,
		"1 relay, 1 peer, reachable through a relay": `{ reachability: "relayed", peers: 1, relays: 1 }`,
		"0 peers, not reachable from outside":        `{ reachability: "private", peers: 0, relays: 0 }`,
		"0 peers, finding out how to be reached":     `{ reachability: "unknown", peers: 0, relays: 0 }`,
	} {
		p := newTab(t)
		call(p, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{
			Source: `((was) => { JSON.parse = (s) => { const v = was(s); if (v?.result?.network) v.result.network = ` + status + `; return v } })(JSON.parse)`,
		})
		p.open(d.newLink())
		p.wait(`document.querySelector(".connection [role=status]")?.textContent === ` + quote(words))
		p.calm()
	}
}

// While the clock is in doubt the settings say so, and somebody who knows better
// can say so there. That it is in doubt is made up.
func TestClockInDoubt(t *testing.T) {
	t.Parallel()
	d := confirmed(t, "Ann")
	p := newTab(t)
	call(p, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{
		Source: `((was) => { let doubt = true; JSON.parse = (s) => { const v = was(s); if (v?.result?.confirmed) doubt = false; if (v?.result?.clock) v.result.clock.doubt = doubt; return v } })(JSON.parse)`,
	})
	p.open(d.newLink())
	p.wait(`document.querySelector(".shell")`)
	p.press("Settings")
	p.says("what has expired is hidden and not yet destroyed")
	p.press("The time is right")
	p.gone("what has expired is hidden and not yet destroyed")
	p.calm()
}
