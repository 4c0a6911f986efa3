//go:build linux

package browser_test

import "testing"

// Two people, two pages: from the first run to a deleted message.
func TestTwoPeople(t *testing.T) {
	ann, bob := newDaemon(t, "Ann"), newDaemon(t, "Bob")
	a, b := openPage(t, ann), openPage(t, bob)
	link := a.firstRun(ann, "Ann")
	b.firstRun(bob, "Bob")
	b.picture("empty")

	b.press("Accept an invite")
	b.fill("#add-link", link)
	b.press("Accept")
	b.wait(`document.querySelector("#composer")`)
	a.chat("Bob")

	a.write("hello Bob")
	b.says("hello Bob")
	b.write("hello Ann")
	a.says("hello Ann")
	a.wait(message("hello Bob") + `.querySelector(".state.delivered, .state.read")`)

	// A reply, and a jump to what it answers.
	b.menuOf("hello Bob")
	b.press("Reply")
	b.wait(`document.querySelector(".about")`)
	b.write("how are you?")
	a.wait(message("how are you?") + `.querySelector(".quote").textContent.includes("hello Bob")`)
	a.do(message("how are you?") + `.querySelector(".quote").click()`)
	a.wait(message("hello Bob") + ` === document.activeElement`)

	// A reaction, by the picker; and taken back.
	a.menuOf("how are you?")
	a.press("React")
	a.fill("#emoji-search", "heart")
	a.keys(enter)
	b.wait(message("how are you?") + `.querySelector(".reaction")?.textContent.includes("❤️")`)
	a.wait(message("how are you?") + `.querySelector(".reaction.mine")`)
	a.do(message("how are you?") + `.querySelector(".reaction").click()`)
	b.wait("!" + message("how are you?") + `.querySelector(".reaction")`)

	// An edit.
	a.menuOf("hello Bob")
	a.press("Edit")
	a.wait(`document.querySelector("#composer").value === "hello Bob"`)
	a.write("hello *dear* Bob")
	b.wait(message("hello dear Bob") + `.querySelector("em").textContent === "dear"`)
	b.wait(message("hello dear Bob") + `.querySelector(".meta").textContent.includes("edited")`)

	// Deleted for everyone, then here alone.
	a.menuOf("hello dear Bob")
	a.press("Delete")
	a.press("For everyone")
	b.says("This message was taken back.")
	b.gone("hello dear Bob")
	b.menuOf("hello Ann")
	b.press("Delete")
	b.press("For me")
	b.gone("hello Ann")
	a.says("hello Ann")

	a.calm()
	b.calm()
}

// firstRun does what a new profile asks for and returns the invite.
func (p *page) firstRun(d *daemon, name string) (link string) {
	p.t.Helper()
	p.says("Your recovery code")
	if got := p.text(`[...document.querySelectorAll(".number li")].map((x) => x.textContent).join("-")`); got != d.code {
		p.t.Fatalf("the page shows %s, the terminal %s", got, d.code)
	}
	p.picture("first-code")
	p.press("I have written it down")
	p.wait(`document.querySelector("form input")`)

	// What is typed wrongly is refused.
	p.do(`document.querySelectorAll("form input").forEach((x) => { x.value = "aaaa" })`)
	p.press("Next")
	p.says("That isn’t what the code says")
	p.do(`document.querySelectorAll("form input").forEach((x) => { x.value = ` + quote(d.code) + `.split("-")[x.name.slice(4)] })`)
	p.press("Next")
	p.wait(`document.querySelector("#first-name")`)
	p.fill("#first-name", name)
	p.press("Next")
	p.wait(`document.querySelector("#link")?.value.startsWith("rushlight:")`)
	p.wait(`document.querySelector("svg.qr")`)
	p.picture("first-invite")
	link = p.text(`document.querySelector("#link").value`)
	p.press("Start")
	p.wait(`document.querySelector(".shell")`)
	return link
}
