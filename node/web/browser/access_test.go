//go:build linux

package browser_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
)

// What axe-core is there for, it finds: a control of every view's check.
func TestAxe(t *testing.T) {
	t.Parallel()
	needBrowser(t)
	p := newTab(t)
	p.open(evil(t))
	p.wait(`document.title === "elsewhere"`)
	p.do(axeSource(t))
	p.do(`document.body.innerHTML = '<p style="color: #aaa; background: #fff">faint</p><img src="/x">' +
		'<button style="width: 9px; height: 9px; padding: 0; border: 0" aria-label="a"></button>'.repeat(3) + '<button></button><input>'`)
	found := strings.Join(get[[]string](p, axe), "\n")
	for _, rule := range []string{"color-contrast:", "image-alt:", "target-size:", "button-name:", "label:", "html-has-lang:"} {
		if !strings.Contains(found, rule) {
			t.Errorf("axe-core doesn't find %s\n%s", rule, found)
		}
	}
}

// The messages are a log around a list: what was there is in it before it is
// live, so that only what comes is said. Of its entries one can be reached by the
// tabulator, and the arrows move among them; each says who, when and how far.
func TestLog(t *testing.T) {
	t.Parallel()
	ann, bob := confirmed(t, "Ann"), confirmed(t, "Bob")
	befriend(t, ann, bob)
	talk(t, ann, bob)
	ann.call("read", map[string]string{"who": "Bob"}, nil) // so it opens at its end
	a := openPage(t, ann)
	a.do(`(() => {
		window.seen = []
		new MutationObserver(() => {
			const log = document.querySelector("[role=log]")
			if (log) seen.push(log.getAttribute("aria-live") + " " + (log.querySelectorAll("li").length > 0))
		}).observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ["aria-live"] })
	})()`)
	a.chat("Bob")
	a.wait(`seen.includes("polite true")`)
	if s := get[[]string](a, "seen"); slices.Index(s, "off true") < 0 || slices.Index(s, "off true") > slices.IndexFunc(s, func(x string) bool { return strings.HasPrefix(x, "polite") }) {
		t.Errorf("the log turns live before its history is there: %q", s)
	}
	if s := a.text(`((x) => [x.getAttribute("aria-relevant"), x.querySelectorAll("ol").length, x.closest("ol") === null, [...x.querySelectorAll("ol > *")].every((y) => y.tagName === "LI")].join())(document.querySelector("[role=log]"))`); s != "additions,1,true,true" {
		t.Errorf("the log is %s", s)
	}

	stops := `[...document.querySelectorAll(".log li[data-key]")].filter((x) => x.tabIndex === 0)`
	a.do(stops + `[0].focus()`)
	for _, k := range []key{arrowUp, arrowUp, arrowDown} {
		was := a.text(`document.activeElement.dataset.key`)
		a.keys(k)
		a.wait(fmt.Sprintf(`document.activeElement.matches("li[data-key]") && document.activeElement.dataset.key !== %s && %s.length === 1 && %s[0] === document.activeElement`, quote(was), stops, stops))
	}
	for text, want := range map[string]string{"See you there": `^You, \d\d:\d\d.*, delivered$`, "early bus": `^Bob, \d\d:\d\d.*[^d]$`} {
		if !get[bool](a, fmt.Sprintf(`new RegExp(%s).test(%s.getAttribute("aria-label"))`, quote(want), message(text))) {
			t.Errorf("%s is said as %s", text, a.text(message(text)+`.getAttribute("aria-label")`))
		}
	}
	if n := get[int](a, `[...document.querySelectorAll(".log .text, .log .quote > span")].filter((x) => x.getAttribute("dir") !== "auto").length`); n != 0 {
		t.Errorf("%d texts don't find their own direction", n)
	}

	// Nothing moves for long where somebody doesn't want that; for others, the
	// lamp of a recording does.
	moves := `document.getAnimations().some((x) => x.effect.getComputedTiming().endTime > 1000)`
	a.press("Record a voice memo")
	a.wait(moves)
	call(a, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}}})
	a.wait("!(" + moves + ")")
	for _, v := range get[[]string](a, axeOf(a)) {
		t.Errorf("while recording: %s", v)
	}
	a.picture("voice-recording-still")
	a.calm()
}

// axeOf loads axe-core where it isn't, and is what asks it.
func axeOf(p *page) string {
	p.t.Helper()
	if !get[bool](p, `"axe" in window`) {
		p.do(axeSource(p.t))
	}
	return axe
}
