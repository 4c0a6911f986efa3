//go:build linux

package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// page is a tab with the page of a daemon.
type page struct {
	t   testing.TB
	ctx context.Context

	faults []string // what the page complained about
}

// newTab opens an empty tab that shares nothing with others.
func newTab(t testing.TB) *page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	p := &page{t: t, ctx: ctx}
	chromedp.ListenTarget(ctx, func(ev any) {
		switch ev := ev.(type) {
		case *runtime.EventExceptionThrown:
			p.faults = append(p.faults, ev.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			if ev.Type == runtime.APITypeError && len(ev.Args) > 0 {
				p.faults = append(p.faults, string(ev.Args[0].Value))
			}
		}
	})
	p.run(emulation.SetFocusEmulationEnabled(true))
	return p
}

// openPage opens the page of a daemon and waits until it is there.
func openPage(t testing.TB, d *daemon) *page {
	t.Helper()
	p := newTab(t)
	p.open(d.newLink())
	p.wait(`document.querySelector(".shell, .first")`)
	return p
}

func (p *page) run(actions ...chromedp.Action) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

// open goes to an address; the daemon may refuse it.
func (p *page) open(url string) {
	p.t.Helper()
	p.run(chromedp.ActionFunc(func(ctx context.Context) error {
		err := chromedp.Navigate(url).Do(ctx)
		if err != nil && strings.Contains(err.Error(), "net::ERR_") {
			return nil
		}
		return err
	}))
}

// eval runs an expression in the page; a promise is waited for.
func (p *page) eval(js string, result any) {
	p.t.Helper()
	await := func(e *runtime.EvaluateParams) *runtime.EvaluateParams { return e.WithAwaitPromise(true) }
	if result == nil {
		var drop json.RawMessage
		p.run(chromedp.Evaluate("("+js+"), 0", &drop, await))
		return
	}
	p.run(chromedp.Evaluate(js, result, await))
}

func (p *page) text(js string) (s string) {
	p.t.Helper()
	p.eval("String("+js+")", &s)
	return s
}

// wait waits until an expression is true.
func (p *page) wait(js string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	poll := fmt.Sprintf(`new Promise((yes) => { const look = () => { let v; try { v = (%s) } catch {} v ? yes(true) : setTimeout(look, 25) }; look() })`, js)
	var ok bool
	err := chromedp.Run(ctx, chromedp.Evaluate(poll, &ok, func(e *runtime.EvaluateParams) *runtime.EvaluateParams { return e.WithAwaitPromise(true) }))
	if err != nil {
		p.picture("failed")
		p.t.Fatalf("waited for %s: %v\nthe page says:\n%s\nfaults: %v", js, err, p.text("document.body.innerText.slice(0, 1500)"), p.faults)
	}
}

// says waits until a text is somewhere on the page; gone until it isn't.
func (p *page) says(text string) { p.t.Helper(); p.wait(visible(text)) }
func (p *page) gone(text string) { p.t.Helper(); p.wait("!(" + visible(text) + ")") }

func visible(text string) string {
	return fmt.Sprintf("document.body.innerText.includes(%s)", quote(text))
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// button is the first button or link in view with a name, inside of a dialog if
// one is open.
func button(name string) string {
	return fmt.Sprintf(`[...(document.querySelector("dialog[open]") ?? document).querySelectorAll("button, a, [role=menuitem]")]
		.find((x) => (x.getAttribute("aria-label") ?? x.textContent).trim() === %s && x.checkVisibility() && !x.disabled)`, quote(name))
}

// press clicks a button by its name.
func (p *page) press(name string) {
	p.t.Helper()
	p.wait(button(name))
	p.eval(button(name)+".click()", nil)
}

// focus puts the focus on what a selector finds.
func (p *page) focus(selector string) {
	p.t.Helper()
	p.wait(fmt.Sprintf("document.querySelector(%s)", quote(selector)))
	p.eval(fmt.Sprintf("document.querySelector(%s).focus()", quote(selector)), nil)
}

// keys presses keys as a person does; see package kb for those without a letter.
func (p *page) keys(keys string, mods ...chromedp.KeyOption) {
	p.t.Helper()
	p.run(chromedp.KeyEvent(keys, mods...))
}

// fill puts a text where a selector finds a field.
func (p *page) fill(selector, text string) {
	p.t.Helper()
	p.focus(selector)
	p.eval(fmt.Sprintf(`document.execCommand("selectAll") || true`), nil)
	p.run(chromedp.ActionFunc(func(ctx context.Context) error { return insert(ctx, text) }))
}

// write sends a message.
func (p *page) write(text string) {
	p.t.Helper()
	p.fill("#composer", text)
	p.keys(kb.Enter)
	p.wait(`document.querySelector("#composer").value === ""`)
}

// chat opens the conversation with somebody.
func (p *page) chat(name string) {
	p.t.Helper()
	row := fmt.Sprintf(`[...document.querySelectorAll("[data-chat]")].find((x) => x.querySelector(".name").textContent === %s)`, quote(name))
	p.wait(row)
	p.eval(row+".click()", nil)
	p.wait(`document.querySelector(".thread")`)
}

// message is the bubble that has a text.
func message(text string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("li[data-message]")].find((x) => x.querySelector(".text")?.textContent.includes(%s))`, quote(text))
}

// menuOf opens what can be done with a message.
func (p *page) menuOf(text string) {
	p.t.Helper()
	p.wait(message(text))
	p.eval(message(text)+".focus()", nil)
	p.keys(kb.Enter)
	p.wait(`document.querySelector("dialog[open] [role=menu]")`)
}

// picture keeps what the page looks like, if somebody wants to see it.
func (p *page) picture(name string) {
	if *pictures == "" {
		return
	}
	var b []byte
	p.run(chromedp.CaptureScreenshot(&b))
	if err := os.WriteFile(filepath.Join(*pictures, name+".png"), b, 0o644); err != nil {
		p.t.Error(err)
	}
}

// calm fails a test whose page complained about something.
func (p *page) calm() {
	p.t.Helper()
	for _, f := range p.faults {
		p.t.Errorf("the page complained: %s", f)
	}
}
