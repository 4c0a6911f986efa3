//go:build linux

package browser_test

import (
	"flag"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// history is how long the history of [TestLongHistory] is. With 10000 messages,
// the last time, on a very busy machine: 1464 steps of 1500 pixels, no jump (0.3
// pixels at worst), at most 20 messages in the document.
var history = flag.Int("history", 1500, "messages of a long history")

// A long history is scrolled to its beginning and back. Whatever is loaded and
// measured meanwhile, what is on the screen moves exactly as far as it was
// scrolled, and only a small part of it all is in the document.
func TestLongHistory(t *testing.T) {
	t.Parallel()
	messages := *history
	ann, bob := confirmed(t, "Ann"), confirmed(t, "Bob")
	befriend(t, ann, bob)
	bob.stop() // nothing is delivered: that isn't what is measured
	fillHistory(t, ann, messages)
	a := openPage(t, ann)
	a.chat("Bob")
	a.wait(message(fmt.Sprintf("message %d ", messages)))

	// A step scrolls by so many pixels, lets the page do what it does, and tells
	// how far the message in the middle of the screen was moved beside that.
	const step = `(async (by) => {
		const log = document.querySelector(".log")
		const frame = () => new Promise((yes) => requestAnimationFrame(() => setTimeout(yes)))
		const middle = log.getBoundingClientRect().top + log.clientHeight / 2
		const li = [...log.querySelectorAll("li[data-message]")].find((x) => x.getBoundingClientRect().bottom > middle)
		if (!li) return { jump: 0, nodes: log.querySelectorAll("li").length, empty: true, room: log.scrollTop + " of " + log.scrollHeight + ", " + [...log.querySelectorAll("li")].map((x) => Math.round(x.getBoundingClientRect().top)).join(" ") }
		const before = li.getBoundingClientRect().top, from = log.scrollTop
		const room = by < 0 ? -Math.min(-by, from) : Math.min(by, log.scrollHeight - log.clientHeight - from)
		log.scrollTop += by
		await frame(); await frame()
		const now = document.querySelector('[data-key="' + li.dataset.key + '"]')
		const jump = now ? Math.abs(now.getBoundingClientRect().top - before + room) : 0
		const nodes = log.querySelectorAll("li").length
		const text = log.innerText
		const busy = log.getAttribute("aria-busy") === "true"
		return { jump, nodes, busy, gone: !now, first: text.includes("message 1 "), last: text.includes("message %d ") }
	})(%d)`
	type result struct {
		Jump        float64
		Nodes       int
		Busy, Gone  bool
		Empty       bool   // nothing was on the screen
		Room        string // what was there instead
		First, Last bool
	}
	walk := func(by int, there func(result) bool) {
		t.Helper()
		worst, most, steps := 0.0, 0, 0
		for ; steps < 20_000; steps++ {
			r := get[result](a, fmt.Sprintf(step, messages, by))
			worst, most = max(worst, r.Jump), max(most, r.Nodes)
			if r.Empty {
				t.Fatalf("step %d by %d px: the screen was empty: %s", steps, by, r.Room)
			}
			if r.Jump > 2 && steps > 0 && !there(r) {
				t.Fatalf("step %d by %d px: what was read jumped by %.1f px", steps, by, r.Jump)
			}
			if there(r) {
				break
			}
		}
		t.Logf("%d steps of %d px; worst jump %.1f px, at most %d messages in the document", steps, by, worst, most)
		if most >= 200 || most == 0 {
			t.Errorf("%d messages in the document", most)
		}
	}
	walk(-1500, func(r result) bool { return r.First && !r.Busy })
	a.picture("history-begin")
	walk(1500, func(r result) bool { return r.Last })
	a.calm()
}

// fillHistory writes messages of different lengths, in their order.
func fillHistory(t testing.TB, d *daemon, n int) {
	t.Helper()
	var lines strings.Builder
	for i := 1; i <= n; i++ {
		text := fmt.Sprintf("message %d %s", i, strings.Repeat("and so on ", i*7%40))
		fmt.Fprintf(&lines, `{"jsonrpc":"2.0","id":%d,"method":"send","params":{"recipient":"Bob","message":%s}}`+"\n", i, quote(text))
	}
	cmd := exec.Command(program, "rpc", "--dir", d.dir)
	cmd.Stdin = strings.NewReader(lines.String())
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(out), `"result"`); got != n {
		t.Fatalf("%d of %d messages were taken", got, n)
	}
}
