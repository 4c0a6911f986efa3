//go:build linux

package browser_test

import (
	"strings"
	"testing"
)

// What runs when it is taken for HTML, in ways that get past simple filters.
var scripts = []string{
	`<img src=x onerror="window.hit=1">`,
	`<script>window.hit=1</script>`,
	`<svg onload="window.hit=1">`,
	`"><iframe srcdoc="<script>parent.hit=1</script>">`,
	"[x](javascript:window.hit=1) **<b onmouseover=window.hit=1>x</b>** `<img src=x onerror=window.hit=1>`",
	`</title><body onload="window.hit=1">`,
}

// No string of the other side is ever HTML.
func TestScriptInStrings(t *testing.T) {
	t.Parallel()
	_, bob, a, b := friends(t)
	for i, s := range scripts {
		if i < 3 { // the name that Bob claims, seen wherever a name is
			bob.call("setName", map[string]string{"name": s}, nil)
		}
		bob.call("send", map[string]any{"recipient": "Ann", "message": s, "markdown": i%2 == 0}, nil)
	}
	last := scripts[len(scripts)-1]
	a.wait(`document.querySelector(".log").innerText.includes(` + quote(last) + `)`)
	a.menuOf(last)
	a.keys(escape)
	b.says(last)
	b.menuOf(scripts[1])
	b.press("Reply")
	b.write(scripts[0])
	a.wait(`document.querySelector(".quote")`)
	a.fill("#search", "onerror")
	a.wait(`document.querySelector("[data-result]")`)
	a.fill("#search", "")

	// The petname, and somebody who has such a name from the start.
	eve := confirmed(t, scripts[0])
	befriend(t, eve, bob)
	b.wait(`[...document.querySelectorAll(".name")].some((x) => x.textContent.includes("onerror"))`)
	for _, p := range []*page{a, b} {
		p.picture("scripts")
		if get[bool](p, `"hit" in window`) {
			t.Error("a script of the other side has run")
		}
		if n := get[int](p, `document.querySelectorAll(".log img, .log script, .log iframe, .log b, .sidebar img, .log a").length`); n != 0 {
			t.Errorf("%d elements were made of text", n)
		}
		p.calm()
	}

	// The controls: taken for HTML it runs, where nothing else forbids it; and
	// the policy alone forbids it here.
	tab := newTab(t)
	tab.open(evil(t))
	tab.do(`document.body.innerHTML = ` + quote(scripts[0]))
	tab.wait(`window.hit === 1`)
	if _, err := value[int](a, `document.body.insertAdjacentHTML("beforeend", `+quote(scripts[0])+`), 0`); err == nil || !strings.Contains(err.Error(), "TrustedHTML") {
		t.Errorf("the page may make HTML out of text: %v", err)
	}
	if get[bool](a, `"hit" in window`) {
		t.Error("the policy lets a script run")
	}
}

// A name can't turn around what stands beside it, nor hide in it.
func TestBidi(t *testing.T) {
	t.Parallel()
	ann, bob, a, _ := friends(t)
	trick := "\u202egnp.exe\u2066"
	bob.call("send", map[string]string{"recipient": "Ann", "message": trick + " said Ann"}, nil)
	a.wait(`document.querySelector(".text")`)
	// What was said keeps its characters, and they end with it: the time after
	// it stands where it always does.
	box := `((x) => x.querySelector(".text").parentElement.querySelector("time").getBoundingClientRect().left > x.getBoundingClientRect().left)`
	if !get[bool](a, box+`(document.querySelector("li[data-message] .bubble"))`) {
		t.Error("the time isn't after the text")
	}
	if s := a.text(`getComputedStyle(document.querySelector(".text")).unicodeBidi`); s != "plaintext" && s != "isolate" {
		t.Errorf("the text isn't isolated: %s", s)
	}
	for _, sel := range []string{".thread header .name", "[data-chat] .name"} {
		if s := a.text(`document.querySelector(` + quote(sel) + `).tagName`); s != "BDI" {
			t.Errorf("%s is a %s", sel, s)
		}
	}
	// A name with such characters is refused before it gets here. If it came all
	// the same, the page would show marks in their place.
	a.do(`((was) => { JSON.parse = (s) => was(s.replaceAll('"Bob"', ` + quote(quote(trick)) + `)) })(JSON.parse)`)
	ann.call("rename", map[string]string{"who": "Bob", "as": "Bob"}, nil)
	marks := strings.Map(func(r rune) rune {
		if r == '\u202e' || r == '\u2066' {
			return '\ufffd'
		}
		return r
	}, trick)
	a.wait(`[".thread header .name", "[data-chat] .name", ".message .from bdi"].every((x) => document.querySelector(x).textContent === ` + quote(marks) + `)`)
	if get[bool](a, `[...document.querySelectorAll("bdi, [aria-label], [title]")].some((x) => /[\u202a-\u202e\u2066-\u2069]/.test(x.getAttribute("aria-label") + x.title + (x.matches("bdi") ? x.textContent : "")))`) {
		t.Error("a name has characters that turn text around")
	}

	// The controls: where the same is put beside other text as it is, what stands
	// after it moves in front of it.
	tab := newTab(t)
	tab.open(evil(t))
	turned := func(element, text string) bool {
		t.Helper()
		return get[bool](tab, `(() => {
			const p = document.body.appendChild(document.createElement("p")), name = document.createElement(`+quote(element)+`), after = document.createElement("span")
			name.textContent = `+quote(text)+`
			after.textContent = "14:05"
			p.append(name, after)
			return after.getBoundingClientRect().left < name.getBoundingClientRect().left
		})()`)
	}
	if !turned("span", trick) {
		t.Error("the control: nothing was turned around")
	}
	if turned("bdi", "\u202egnp.exe") {
		t.Error("an isolated name turns around what stands after it")
	}
	a.calm()
}
