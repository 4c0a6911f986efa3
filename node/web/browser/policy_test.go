//go:build linux

package browser_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/runtime"
)

// What the page itself can't do, were it made to, and the part of its policy that
// forbids it. FROM is another page's address.
var forbidden = []struct{ directive, act string }{
	{"img-src", `new Image().src = FROM + "/a.png"`},
	{"media-src", `new Audio(FROM + "/a.mp3").load()`},
	{"font-src", `new FontFace("x", "url(" + FROM + "/a.woff2)").load().catch(() => {})`},
	{"connect-src", `fetch(FROM + "/").catch(() => {})`},
	{"connect-src", `new WebSocket(FROM.replace("http", "ws"))`},
	{"connect-src", `navigator.sendBeacon(FROM + "/", "x")`},
	{"style-src-elem", `document.head.append(Object.assign(document.createElement("style"), { textContent: "p { color: red }" }))`},
	{"style-src-elem", `document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href: FROM + "/a.css" }))`},
	{"style-src-attr", `document.body.setAttribute("style", "color: red")`},
	{"script-src-elem", `import(FROM + "/a.js").catch(() => {})`},
	{"script-src-elem", `import("data:text/javascript,1").catch(() => {})`},
	{"frame-src", `document.body.append(Object.assign(document.createElement("iframe"), { src: FROM + "/" }))`},
	{"base-uri", `document.head.append(Object.assign(document.createElement("base"), { href: FROM + "/" }))`},
	{"form-action", `((f) => { document.body.append(Object.assign(document.createElement("iframe"), { name: "x" }), f); f.submit() })(Object.assign(document.createElement("form"), { action: FROM + "/", target: "x" }))`},
	{"require-trusted-types-for", `document.body.insertAdjacentHTML("beforeend", "<p>x</p>")`},
	{"require-trusted-types-for", `Object.assign(document.createElement("iframe"), { srcdoc: "x" })`},
	{"require-trusted-types-for", `Object.assign(document.createElement("script"), { text: "1" })`},
	{"require-trusted-types-for", `new Worker("data:text/javascript,1")`},
	{"trusted-types", `trustedTypes.createPolicy("x", {})`},
}

// Each part of the policy refuses what it is there for; without the policy
// nothing is refused.
func TestPolicy(t *testing.T) {
	t.Parallel()
	d := confirmed(t, "Ann")
	from := evil(t)
	listens := `window.refused = []; document.addEventListener("securitypolicyviolation", (e) => refused.push(e.effectiveDirective))`
	act := func(p *page, what string) {
		t.Helper()
		p.do(fmt.Sprintf(`((FROM) => { try { %s } catch {} })(%s)`, what, quote(from)))
	}
	a := openPage(t, d) // its faults are what is wanted
	a.do("(() => { " + listens + " })()")
	for _, f := range forbidden {
		a.do("refused.length = 0")
		act(a, f.act)
		a.wait("refused.includes(" + quote(f.directive) + ")")
	}

	bare := newTab(t)
	bare.open(naked(t, d) + "/")
	bare.wait(`document.querySelector("#app > *")`)
	bare.do("(() => { " + listens + " })()")
	for _, f := range forbidden {
		act(bare, f.act)
	}
	get[bool](bare, "new Promise((yes) => setTimeout(() => yes(true), 1000))")
	if s := bare.text("refused.join()"); s != "" {
		t.Errorf("the control: the unprotected page refuses %s", s)
	}
}

// The page shares nothing with a window that opened it, nor memory with what
// comes from elsewhere.
func TestIsolation(t *testing.T) {
	t.Parallel()
	d := confirmed(t, "Ann")
	a := openPage(t, d)
	if !get[bool](a, "crossOriginIsolated") {
		t.Error("the page isn't isolated")
	}
	a.calm()
	a.open(naked(t, d) + "/")
	if get[bool](a, "crossOriginIsolated") {
		t.Error("the control: the unprotected page is isolated")
	}

	tab := newTab(t)
	tab.open(evil(t))
	tab.wait(`document.title === "elsewhere"`)
	for _, keep := range []string{"Cross-Origin-Opener-Policy", ""} {
		// The script is asked for once it is decided who belongs to whom.
		var asked atomic.Bool
		to := watched(t, d, func(r *http.Request) {
			if strings.HasSuffix(r.URL.Path, ".js") {
				asked.Store(true)
			}
		}, keep)
		gesture := true
		call(tab, runtime.Evaluate, runtime.EvaluateParams{Expression: `window.w = open(` + quote(to) + `), 0`, UserGesture: &gesture})
		until(t, "the page is there", asked.Load)
		if keep != "" {
			tab.wait("w.closed") // as far as whoever opened it can see
		} else if get[bool](tab, "w.closed") {
			t.Error("the control: whoever opened the unprotected page has lost it")
		}
	}
}

// A socket of the page's own is of no use without a token, in its first message.
func TestSocketWithoutToken(t *testing.T) {
	t.Parallel()
	d := confirmed(t, "Ann")
	a := openPage(t, d)
	const ask = `new Promise((yes) => {
		const w = new WebSocket("/api/v1/ws"), heard = []
		w.onopen = () => w.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: %s, params: %s }))
		w.onmessage = (e) => { heard.push(e.data); if (e.data.includes('"scopes"')) w.close() }
		w.onclose = (e) => yes(e.code + " " + heard.join())
	})`
	for _, s := range []string{fmt.Sprintf(ask, `"id"`, "{}"), fmt.Sprintf(ask, `"authenticate"`, `{ token: "x" }`)} {
		if got := get[string](a, s); !strings.HasPrefix(got, "4401 ") || !strings.Contains(got, "not_allowed") || strings.Contains(got, d.account) {
			t.Errorf("without a token: %s", got)
		}
	}
	if got := get[string](a, fmt.Sprintf(ask, `"authenticate"`, `{ token: sessionStorage.getItem("token") }`)); !strings.Contains(got, `"scopes"`) {
		t.Errorf("the control: with one: %s", got)
	}
}
