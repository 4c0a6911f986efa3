//go:build linux

package browser_test

import (
	"strings"
	"testing"
)

// friends are two people who are contacts, each with their page open.
func friends(t *testing.T) (ann, bob *daemon, a, b *page) {
	t.Helper()
	ann, bob = confirmed(t, "Ann"), confirmed(t, "Bob")
	befriend(t, ann, bob)
	a, b = openPage(t, ann), openPage(t, bob)
	a.chat("Bob")
	b.chat("Ann")
	return ann, bob, a, b
}

// The daemon goes away and comes back under the page; what is written meanwhile
// arrives once, and so does what the other side wrote. A reload in the middle
// needs no new link, and keeps what was begun to be written.
func TestDaemonRestartsUnderThePage(t *testing.T) {
	t.Parallel()
	ann, _, a, b := friends(t)
	a.write("one")
	b.says("one")

	ann.stop()
	a.says("Rushlight isn’t running")
	a.write("written while nobody listens")
	a.wait(message2(a, "written while nobody listens") + `.classList.contains("pending")`)
	a.says("one message waits")
	b.write("from the other side")
	ann.start()
	a.wait("!document.querySelector('.pending')")
	a.says("from the other side")
	b.says("written while nobody listens")

	a.fill("#composer", "half a thou")
	ann.drafted("Bob", "half a thou")
	a.reload()
	a.wait(`document.querySelector(".shell")`)
	a.chat("Bob")
	a.wait(`document.querySelector("#composer").value === "half a thou"`)
	a.says("written while nobody listens")
	for _, p := range []*page{a, b} {
		p.wait(message("written while nobody listens"))
		if n := get[int](p, `[...document.querySelectorAll(".text")].filter((x) => x.textContent.includes("nobody listens")).length`); n != 1 {
			t.Errorf("the message is there %d times", n)
		}
	}
	b.write("after it all")
	a.says("after it all")
	a.calm()
	b.calm()
}

// message2 is [message], also of one that only the page has.
func message2(_ *page, text string) string {
	return strings.Replace(message(text), "li[data-message]", "li[data-key]", 1)
}

// Timers count down, and at their end there is nothing on either page.
func TestTimersCountDown(t *testing.T) {
	t.Parallel()
	_, _, a, b := friends(t)
	a.press("More about Bob")
	a.press("Timers")
	a.wait(`document.querySelector("#expires")`)
	a.choose("#expires", "30s")
	a.press("Save")
	for _, p := range []*page{a, b} {
		p.says("changed how long messages live: 30 seconds after sending")
	}

	// One that expires in five seconds, instead of thirty.
	a.press("Timers of the next message: 30 seconds after sending")
	a.wait(`document.querySelector("#expires")`)
	a.choose("#expires", "5s")
	a.press("Use for this message")
	a.write("gone in five")
	for _, p := range []*page{a, b} {
		p.wait(message("gone in five") + `.querySelector("[role=timer]")`)
	}
	first := a.text(message("gone in five") + `.querySelector("[role=timer]").textContent`)
	a.wait(message("gone in five") + `.querySelector("[role=timer]").textContent !== ` + quote(first))
	for _, p := range []*page{a, b} {
		p.gone("gone in five")
	}

	// One that burns a second after Bob has seen it.
	a.press("Timers of the next message: 30 seconds after sending")
	a.wait(`document.querySelector("#burn")`)
	a.choose("#expires", "off")
	a.choose("#burn", "1s")
	a.press("Use for this message")
	a.write("burn after reading")
	a.says("burn after reading")
	a.gone("burn after reading")
	b.gone("burn after reading")
	a.calm()
	b.calm()
}

// choose picks from a list.
func (p *page) choose(selector, value string) {
	p.t.Helper()
	p.do(`((x) => { x.value = ` + quote(value) + `; x.dispatchEvent(new Event("change", { bubbles: true })) })(document.querySelector(` + quote(selector) + `))`)
}

// A locked profile shows nothing until its passphrase is given.
func TestLock(t *testing.T) {
	t.Parallel()
	_, _, a, b := friends(t)
	b.write("a secret")
	a.says("a secret")
	a.press("Settings")
	a.press("Lock now")
	a.press("Lock now")
	a.says("Rushlight is locked")
	if s := a.text("document.documentElement.outerHTML"); strings.Contains(s, "a secret") || strings.Contains(s, "Bob") {
		t.Error("the locked page still has what was said")
	}
	a.fill("#passphrase", "not it")
	a.press("Unlock")
	a.says("That isn’t the passphrase.")
	a.fill("#passphrase", passphrase)
	a.press("Unlock")
	a.wait(`document.querySelector(".shell")`)
	a.chat("Bob")
	a.says("a secret")
	a.calm()
}
