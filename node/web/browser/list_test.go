//go:build linux

package browser_test

import (
	"fmt"
	"strings"
	"testing"

	"rushlight/node/api"
)

// names lists who is in the list of conversations, from the top.
const names = `[...document.querySelectorAll("[data-chat] .name")].map((x) => x.textContent).join()`

// Conversations are pinned, muted and put into the archive; what is unread is
// counted, begins where the line is and is left behind by a jump to the end;
// a message can be passed on, without who wrote it; and what burns is shown
// where it is opened alone.
func TestConversationList(t *testing.T) {
	t.Parallel()
	ann, bob, carol := confirmed(t, "Ann"), confirmed(t, "Bob"), confirmed(t, "Carol")
	befriend(t, ann, bob)
	befriend(t, ann, carol)
	a, c := openPage(t, ann), openPage(t, carol)
	a.chat("Carol")
	chat := func(who string) (k api.Chat) {
		t.Helper()
		var r struct{ Conversation api.Chat }
		ann.call("conversation", map[string]string{"who": who}, &r)
		return r.Conversation
	}
	does := func(who, what string) {
		t.Helper()
		a.chat(who)
		a.press("More about " + who)
		a.press(what)
	}
	row := func(who, has string) string {
		return fmt.Sprintf(`[...document.querySelectorAll("[data-chat]")].find((x) => x.querySelector(".name").textContent === %s)?.querySelector(%s)`, quote(who), quote(has))
	}

	// What is pinned stays on top, whoever writes.
	does("Carol", "Pin to the top")
	a.wait(row("Carol", `svg[aria-label="pinned"]`))
	a.chat("Carol")
	var sent struct{ ID string }
	for i := range 40 {
		bob.call("send", map[string]string{"recipient": "Ann", "message": fmt.Sprintf("line %d %s", i, strings.Repeat("and on ", 20))}, &sent)
	}
	a.wait(row("Bob", ".badge") + `?.textContent.startsWith("40")`)
	a.wait(names + ` === "Carol,Bob"`)

	// Unread: counted, begun with a line, and left behind by a jump.
	a.chat("Bob")
	a.wait(`document.querySelector(".divider")?.closest("li").textContent.includes("line 0 ")`)
	a.wait(`((x, s) => x.top >= s.top && x.bottom <= s.bottom)(document.querySelector(".divider").getBoundingClientRect(), document.querySelector(".log").getBoundingClientRect())`)
	if s := a.text(message("line 39 ")); s != "undefined" && get[bool](a, message("line 39 ")+`.getBoundingClientRect().bottom < innerHeight`) {
		t.Error("the end is on the screen already")
	}
	a.looks("unread")
	a.press("To the newest message")
	a.wait(message("line 39 ") + `?.getBoundingClientRect().bottom < innerHeight`)
	a.wait("!" + row("Bob", ".badge"))
	does("Carol", "Unpin")
	a.wait(names + ` === "Bob,Carol"`)

	does("Bob", "Mute")
	a.wait(row("Bob", `svg[aria-label="muted"]`))
	if chat("Bob").Muted == 0 {
		t.Error("the daemon doesn't know that it is muted")
	}
	does("Bob", "Unmute")
	a.wait("!" + row("Bob", `svg[aria-label="muted"]`))
	if chat("Bob").Muted != 0 {
		t.Error("the daemon doesn't know that it isn't muted any more")
	}

	// Passed on to somebody who is looked for.
	a.menuOf("line 39 ")
	a.press("Forward")
	a.wait(`document.querySelector("dialog [type=search]")`)
	a.fill("dialog [type=search]", "car")
	a.wait(`document.querySelectorAll("dialog .list button").length === 1`)
	a.do(`document.querySelector("dialog .list button").click()`)
	a.says("Forwarded to Carol")
	c.chat("Ann")
	c.wait(message("line 39 ") + `.querySelector(".forwarded")`)
	if s := c.text(message("line 39 ") + ".textContent"); strings.Contains(s, "Bob") {
		t.Errorf("it says who wrote it: %s", s)
	}

	// In the archive, also when something comes.
	does("Bob", "Archive")
	a.wait(names + ` === "Carol"`)
	bob.call("send", map[string]string{"recipient": "Ann", "message": "still here"}, &sent)
	a.says("still here")
	a.press("Archive (1)")
	a.wait(names + ` === "Bob"`)
	does("Bob", "Take out of the archive")
	a.press("Back to the conversations")
	a.wait(names + ` === "Bob,Carol"`)

	// What burns is seen where it is opened, not in passing: nobody would be told.
	a.chat("Carol")
	bob.call("send", map[string]string{"recipient": "Ann", "message": "the secret word", "burn": "1h"}, &sent)
	a.wait(row("Bob", ".last") + `?.textContent === "Burns after reading"`)
	a.fill("#search", "secret")
	a.says("Nothing found")
	a.fill("#search", "")
	if get[bool](a, visible("secret")) {
		t.Error("a message that burns is shown before it is opened")
	}
	a.chat("Bob")
	a.wait(message("the secret word") + `.querySelector("[role=timer]")`)
	a.wait(row("Bob", ".last") + `?.textContent === "the secret word"`)
	a.calm()
	c.calm()
}
