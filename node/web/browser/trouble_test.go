//go:build linux

package browser_test

import (
	"fmt"
	"net"
	"testing"

	cdppage "github.com/chromedp/cdproto/page"

	"rushlight/node/api"
)

// Somebody who was verified and comes back with another key gets nothing until
// the numbers were compared again, and the page says so.
func TestKeyChange(t *testing.T) {
	t.Parallel()
	ann, bob := confirmed(t, "Ann"), confirmed(t, "Bob")
	befriend(t, ann, bob)
	number := func(d *daemon) string {
		t.Helper()
		var v api.Verification
		d.call("verify", map[string]string{"who": "Ann"}, &v)
		return v.Number
	}
	ann.call("rename", map[string]string{"who": "Bob", "as": "Bob"}, nil)
	ann.call("verify", map[string]string{"who": "Bob", "number": number(bob)}, nil)
	a := openPage(t, ann)
	a.chat("Bob")
	a.wait(`document.querySelector(".thread header svg[aria-label=Verified]") && document.querySelector("#composer")`)
	bob.stop()

	other := confirmed(t, "Bob")
	var inv api.Invite
	other.call("invite", struct{}{}, &inv)
	ann.call("add", map[string]any{"link": inv.Link, "as": "Bob", "replace": true}, nil)
	until(t, "the other one is a contact", func() bool {
		var r struct{ Contacts []api.Contact }
		other.call("contacts", struct{}{}, &r)
		return len(r.Contacts) == 1 && r.Contacts[0].State == api.ContactApproved
	})
	row := `document.querySelector("[data-chat=` + other.account + `]")`
	a.wait(row)
	a.do(row + ".click()")
	a.wait(`document.querySelector(".notice[role=alert]")?.textContent.includes("Bob has another key than the one you verified")`)
	a.wait(`!document.querySelector("#composer")`)
	a.looks("key-change")
	a.do(`document.querySelector(".notice button").click()`)
	a.fill("#their-number", number(other))
	a.press("Compare")
	a.wait(`document.querySelector("#composer") && !document.querySelector(".notice")`)
	a.write("is it you?")
	o := openPage(t, other)
	o.chat("Ann")
	o.says("is it you?")
	a.calm()
	o.calm()
}

// A message that was refused says so and can be tried again; nothing of it is
// lost, and it arrives once when that has become possible.
func TestFailedMessage(t *testing.T) {
	t.Parallel()
	ann, bob, carol := confirmed(t, "Ann"), confirmed(t, "Bob"), confirmed(t, "Carol")
	// Bob is where his invite says, also later.
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", ln.Addr().(*net.TCPAddr).Port)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	bob.stop()
	bob.start("--listen", at)
	var inv api.Invite
	bob.call("invite", struct{}{}, &inv)
	carol.call("add", map[string]string{"link": inv.Link}, nil)
	until(t, "the invite is used", func() bool {
		var r struct{ Contacts []api.Contact }
		bob.call("contacts", struct{}{}, &r)
		return len(r.Contacts) == 1
	})
	bob.stop()

	// Ann has the same one, and writes before she can know.
	a := openPage(t, ann)
	a.press("Accept an invite")
	a.fill("#add-link", inv.Link)
	a.fill("#add-as", "Bob")
	a.press("Accept")
	a.says("Bob hasn’t answered the invite yet.")
	a.write("let me in")
	a.wait(message("let me in") + `.querySelector(".state.queued")`)
	ann.call("send", map[string]any{"recipient": "Bob", "message": "passed on", "forwarded": true}, nil)
	a.wait(message("passed on") + `.querySelector(".forwarded")`)
	path := file(t, "ticket.txt", "row 7, seat 4")
	a.pick(path)
	a.inTray(1)
	a.fill("#composer", "and **this**")
	a.keys(enter)
	a.wait(message("and this") + `.querySelector(".state.queued")`)
	bob.start("--listen", at)
	ann.stop()
	ann.start() // now she tries again at once
	a.wait(message("let me in") + `.querySelector(".state.failed") && ` + message("let me in") + `.querySelector(".trouble")`)
	a.looks("failed-message")

	// Not yet; and then it is.
	a.press("Try again")
	a.wait(`document.querySelector(".pending .trouble")?.textContent.includes("answered your invite")`)
	bob.call("invite", struct{}{}, &inv)
	ann.call("add", map[string]string{"link": inv.Link}, nil)
	b := openPage(t, bob)
	b.chat("Ann")
	a.do(`document.querySelector(".pending .trouble button").click()`)
	b.says("let me in")
	a.wait(message("let me in") + `.querySelector(".state.delivered")`)
	for _, p := range []*page{a, b} {
		if n := get[int](p, `[...document.querySelectorAll(".log .text")].filter((x) => x.textContent === "let me in").length`); n != 1 {
			t.Errorf("it is there %d times", n)
		}
	}

	// So does one that somebody else wrote, which still says so.
	a.wait(message("passed on") + `.querySelector(".state.failed")`)
	a.do(message("passed on") + `.querySelector(".trouble button").click()`)
	b.wait(message("passed on") + `.querySelector(".forwarded")`)

	// So does one with a file, which is read and sent once more.
	a.wait(message("and this") + `.querySelector(".state.failed")`)
	a.do(message("and this") + `.querySelector(".trouble button").click()`)
	b.wait(message("and this") + `.querySelector(".text strong, .text b")?.textContent === "this"`)
	saves := b.savedTo()
	b.press("Save ticket.txt")
	if got := b.saved(saves, "ticket.txt"); string(got) != "row 7, seat 4" {
		t.Errorf("saved: %q", got)
	}
	a.wait(message("and this") + `.querySelector(".state.delivered, .state.read") && !document.querySelector(".message .trouble")`)
	for _, p := range []*page{a, b} {
		if n := get[int](p, `document.querySelectorAll("li[data-message] .chip").length`); n != 1 {
			t.Errorf("the file is there %d times", n)
		}
	}

	// What can't be sent at all is given back, or thrown away.
	a.do(`document.querySelector("#composer").focus()`)
	a.do(`document.execCommand("insertText", false, "x".repeat(70000))`)
	a.keys(enter)
	a.wait(`document.querySelector(".pending .trouble")?.textContent.includes("too long")`)
	a.press("Discard")
	a.wait(`!document.querySelector(".pending")`)
	a.calm()
	b.calm()
}

// A message that shows that earlier ones are missing says so no longer when the
// daemon says that these have come, and nothing else that is seen with them.
// What the daemon says is made up here; engine.TestGapIsFilled has the true one.
func TestWaitingEnds(t *testing.T) {
	t.Parallel()
	ann, bob := confirmed(t, "Ann"), confirmed(t, "Bob")
	befriend(t, ann, bob)
	ann.call("send", map[string]string{"recipient": "Bob", "message": "later"}, nil)
	b := newTab(t)
	call(b, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: `((was) => {
		let gap = true
		JSON.parse = (s) => {
			const v = was(s)
			for (const m of v?.result?.messages ?? []) { m.waiting = gap; window.last = m }
			if (v?.params?.type === "reaction") {
				gap = false
				v.params.type = "placed"
				v.params.placed = { ...window.last, waiting: false }
			}
			return v
		}
	})(JSON.parse)`})
	b.open(bob.newLink())
	b.chat("Ann")
	const mark = `document.querySelector("li[data-message] [title='Something before this message has not arrived yet.']")`
	b.wait(message("later"))
	b.wait(mark)
	var r struct{ Messages []api.Message }
	ann.call("read", map[string]string{"who": "Bob"}, &r)
	ann.call("react", map[string]string{"id": r.Messages[0].ID, "emoji": "👍"}, nil)
	b.wait("!" + mark)
	b.wait(message("later") + `.innerText.includes("👍")`) // it was read again, where it has its place
	b.calm()
}
