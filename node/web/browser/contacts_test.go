//go:build linux

package browser_test

import (
	"slices"
	"strings"
	"testing"

	"rushlight/node/api"
)

// Safety numbers are compared by typing the other one's.
func TestVerifyByNumber(t *testing.T) {
	t.Parallel()
	_, _, a, b := friends(t)
	a.press("More about Bob")
	a.press("Verify")
	a.wait(`document.querySelectorAll(".number li").length === 12`)
	number := a.text(`[...document.querySelectorAll(".number li")].map((x) => x.textContent).join(" ")`)
	b.press("More about Ann")
	b.press("Verify")
	b.wait(`document.querySelectorAll(".number li").length === 12`)

	wrong := []byte(number)
	wrong[0] = '0' + (wrong[0]-'0'+1)%10
	b.fill("#their-number", string(wrong))
	b.press("Compare")
	b.says("The numbers differ.")
	b.fill("#their-number", "123")
	b.press("Compare")
	b.says("A safety number has 60 digits.")
	b.fill("#their-number", number)
	b.press("Compare")
	b.says("The numbers are the same")
	b.wait(`document.querySelector(".thread header .title svg[aria-label=Verified]")`)
	b.calm()
}

// Nothing comes from somebody who is blocked, until they no longer are.
func TestBlock(t *testing.T) {
	t.Parallel()
	ann, _, a, b := friends(t)
	a.press("More about Bob")
	a.press("Block")
	a.press("Block")
	a.says("You have blocked Bob.")
	a.wait(`!document.querySelector("#composer")`)
	b.write("do you hear me?")
	b.says("do you hear me?")
	a.press("Unblock")
	a.wait(`document.querySelector("#composer")`)
	a.write("I do again")
	b.says("I do again")
	var r struct{ Contacts []api.Contact }
	ann.call("contacts", struct{}{}, &r)
	if r.Contacts[0].State != api.ContactApproved {
		t.Errorf("Bob is %s", r.Contacts[0].State)
	}
	a.calm()
	b.calm()
}

// Somebody with an invite that needs approval waits in the inbox.
func TestRequests(t *testing.T) {
	t.Parallel()
	ann, bob := confirmed(t, "Ann"), confirmed(t, "Bob")
	a, b := openPage(t, ann), openPage(t, bob)
	a.press("Invite somebody")
	a.wait(`document.querySelector("[name=approval]")`)
	a.do(`document.querySelector("[name=approval]").click()`)
	a.press("Make an invite")
	a.wait(`document.querySelector("#link")`)
	link := a.text(`document.querySelector("#link").value`)
	a.keys(escape)
	a.wait(`!document.querySelector("dialog")`)
	a.wait(`document.activeElement === ` + button("Invite somebody")) // the focus returns
	b.press("Accept an invite")
	b.fill("#add-link", link)
	b.fill("#add-message", "we met\u202e <b>yesterday</b>")
	b.press("Accept")
	b.says("They decide first whether to accept you")
	b.wait(`document.querySelector("[data-chat]").innerText.includes("Waiting for approval")`)
	b.chat("Ann")
	b.wait(`document.querySelector(".notice")?.textContent.includes("Ann decides first")`)
	b.looks("awaits")
	a.wait(`document.querySelector(".row.requests")`)
	a.do(`document.querySelector(".row.requests").click()`)
	a.says("we met\ufffd <b>yesterday</b>")
	a.press("Accept Bob")
	a.wait(`document.querySelector("#composer")`)
	a.write("welcome")
	b.chat("Ann")
	b.says("welcome")
	b.wait(`!document.querySelector(".notice")`)
	a.calm()
	b.calm()
}

// Search finds in all conversations and in one, and jumps to what it found.
func TestSearch(t *testing.T) {
	t.Parallel()
	ann, _, a, _ := friends(t)
	for _, text := range slices.Concat([]string{"the needle is here"}, strings.Split(strings.Repeat("hay ", 150), " ")) {
		if text != "" {
			ann.call("send", map[string]string{"recipient": "Bob", "message": text}, nil)
		}
	}
	a.fill("#search", "needle")
	a.wait(`document.querySelector("[data-result]")`)
	a.keys(arrowDown, enter)
	a.wait(message("the needle is here") + " === document.activeElement")
	if n := get[int](a, `document.querySelectorAll("li[data-message]").length`); n > 200 {
		t.Errorf("%d messages are in the document", n)
	}
	a.fill("#search", "nothing like this")
	a.says("Nothing found")
	a.press("Search this conversation")
	a.fill("#search", "needle")
	a.wait(`document.querySelector("[data-result]")`)
	a.calm()
}

// Everything that is done often works without a mouse.
func TestKeyboardOnly(t *testing.T) {
	t.Parallel()
	ann, bob := confirmed(t, "Ann"), confirmed(t, "Bob")
	befriend(t, ann, bob)
	a, b := openPage(t, ann), openPage(t, bob)
	b.chat("Ann")
	a.wait(`document.querySelector("[data-chat]")`)
	for range 12 { // to the list of conversations
		a.keys(tab)
		if get[bool](a, `document.activeElement.matches("[data-chat]")`) {
			break
		}
	}
	a.keys(enter)
	a.wait(`document.activeElement?.id === "composer"`)
	for _, r := range "hi" {
		a.keys(letter(r))
	}
	a.keys(enter)
	b.says("hi")
	a.wait(message("hi"))
	a.keys(arrowUp) // the last message of one's own
	a.wait(`document.querySelector(".about")`)
	a.keys(letter('x'), enter)
	b.wait(message("hix"))

	a.wait(`document.querySelector("#composer").value === ""`)
	a.stroke(tab, shift) // back from the composer to its buttons, and to the messages
	for range 6 {
		if get[bool](a, `document.activeElement.matches("li[data-message], li[data-message] *")`) {
			break
		}
		a.stroke(tab, shift)
	}
	a.do(message("hix") + `.focus()`)
	a.keys(enter)
	a.wait(`document.activeElement?.getAttribute("role") === "menuitem"`)
	a.keys(escape)
	a.wait(message("hix") + ` === document.activeElement`)
	a.keys(letter('r'))
	a.wait(`document.activeElement?.id === "composer" && document.querySelector(".about")`)
	a.keys(letter('y'), enter)
	b.wait(message("y") + `.querySelector(".quote")`)
	a.do(message("hix") + `.focus()`)
	a.keys(deleteKey)
	a.wait(`document.activeElement?.getAttribute("role") === "menuitem"`)
	a.keys(enter)
	b.says("This message was taken back.")
	a.calm()
	b.calm()
}

// Enter that ends what an input method composes doesn't send.
func TestComposing(t *testing.T) {
	t.Parallel()
	_, _, a, b := friends(t)
	a.fill("#composer", "にほんご")
	a.do(`document.querySelector("#composer").dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", isComposing: true, bubbles: true, cancelable: true }))`)
	a.do(`document.querySelector("#composer").dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", keyCode: 229, bubbles: true, cancelable: true }))`)
	if s := a.text(`document.querySelector("#composer").value`); s != "にほんご" {
		t.Fatalf("the field has %q", s)
	}
	a.keys(enter)
	b.says("にほんご")

	// Emoji by name.
	a.fill("#composer", "well :tad")
	a.wait(`document.querySelector("#suggestions")`)
	a.keys(enter)
	a.wait(`document.querySelector("#composer").value === "well 🎉 "`)
	a.keys(enter)
	b.says("well 🎉")
	a.write("so :heart: it is")
	b.says("so ❤️ it is")
	a.calm()
}
