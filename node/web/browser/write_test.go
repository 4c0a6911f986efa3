//go:build linux

package browser_test

import (
	"testing"

	"rushlight/node/api"
)

// tell opens what somebody is told about a contact, and changes one of them.
func (p *page) tellThem(who, what string) {
	p.t.Helper()
	p.press("More about " + who)
	p.press("About")
	box := `[...document.querySelectorAll("dialog .check")].find((x) => x.textContent.startsWith(` + quote(what) + `))?.querySelector("input")`
	p.wait(box)
	p.do(box + ".click()")
	p.wait(box + ".checked")
	p.press("Close")
	p.wait(`!document.querySelector("dialog")`)
}

// That something was read, or is being written, is told only if one wants that.
func TestOptIn(t *testing.T) {
	t.Parallel()
	ann, bob, a, b := friends(t)
	wants := func(d *daemon, who string) api.Chat {
		t.Helper()
		var r struct{ Conversation api.Chat }
		d.call("conversation", map[string]string{"who": who}, &r)
		return r.Conversation
	}
	if c := wants(bob, "Ann"); c.Receipts || c.Typing {
		t.Fatalf("it is told from the start: %+v", c)
	}
	a.write("read in secret")
	b.says("read in secret")
	until(t, "Bob has read it", func() bool { return wants(bob, "Ann").Unread == 0 })
	b.tellThem("Ann", "That I have read")
	until(t, "the daemon knows", func() bool { return wants(bob, "Ann").Receipts })
	a.write("read openly")
	a.wait(message("read openly") + `.querySelector(".state.read")`)
	a.wait(message("read in secret") + `.querySelector(".state.delivered")`)

	b.listen()
	b.fill("#composer", "shh")
	b.tellThem("Ann", "When I am writing")
	a.tellThem("Bob", "When I am writing")
	until(t, "both daemons know", func() bool { return wants(bob, "Ann").Typing && wants(ann, "Bob").Typing })
	if get[bool](b, tells("sendTyping")) {
		t.Error("it was told before it was wanted")
	}
	b.wait(`(document.querySelector("#composer").focus(), true)`)
	b.keys(letter('h'))
	b.wait(tells("sendTyping"))
	a.wait(`document.querySelector(".thread header .below").textContent === "is writing …"`)
	b.write("here it is")
	a.says("here it is")
	a.wait(`document.querySelector(".thread header .below").textContent !== "is writing …"`)
	a.calm()
	b.calm()
}

// Emoji are picked, people are mentioned by the first letters of their names,
// and what was begun is there after the daemon's restart.
func TestWriting(t *testing.T) {
	t.Parallel()
	ann, _, a, b := friends(t)
	a.press("Emoji")
	a.fill("#emoji-search", "rocket")
	a.keys(enter)
	a.wait(`document.querySelector("#composer").value === "🚀" && document.activeElement.id === "composer"`)
	a.keys(enter)
	b.wait(message("🚀") + `.querySelector(".text.big")`)

	b.fill("#composer", "ask @an")
	b.wait(`document.querySelector("#suggestions [aria-selected=true]")?.textContent.includes("Ann")`)
	b.keys(enter)
	b.wait(`document.querySelector("#composer").value === "ask @Ann "`)
	b.keys(letter('x'), enter)
	a.wait(message("ask @Ann x") + `.querySelector(".mention.me").textContent === "@Ann"`)
	b.wait(message("ask @Ann x") + `.querySelector(".mention:not(.me)").textContent === "@Ann"`)

	a.menuOf("ask @Ann x")
	a.press("Reply")
	a.fill("#composer", "half a thou")
	ann.drafted("Bob", "half a thou")
	ann.stop()
	a.says("Rushlight isn’t running")
	ann.start()
	again := openPage(t, ann)
	again.wait(`document.querySelector("[data-chat] .last").textContent === "Draft: half a thou"`)
	again.chat("Bob")
	again.wait(`document.querySelector("#composer").value === "half a thou"`)
	again.wait(`document.querySelector(".about").textContent.includes("ask @Ann x")`)
	again.keys(letter('t'), enter)
	b.wait(message("half a thout") + `.querySelector(".quote")`)
	again.wait(`document.querySelector("[data-chat] .last").textContent === "You: half a thout"`)
	a.calm()
	b.calm()
}
