//go:build linux

package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// page is a tab with the page of a daemon.
type page struct {
	t   testing.TB
	ctx context.Context

	mu     sync.Mutex
	log    []string // what the browser said about it
	faults []string // what of that is a mistake of the page's

	dialogs int // that scripts have shown
}

// newTab opens an empty tab that shares nothing with others.
func newTab(t testing.TB) *page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	p := &page{t: t, ctx: ctx}
	err := chromedp.Listen(ctx, func(ev any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch ev := ev.(type) {
		case *runtime.EventExceptionThrown:
			what := ev.ExceptionDetails.Text
			if x := ev.ExceptionDetails.Exception; x != nil {
				what += " " + x.Description
			}
			p.faults = append(p.faults, what)
		case *cdppage.EventJavascriptDialogOpening:
			p.dialogs++
			go func() { // the next one waits for it
				_, _ = chromedp.Call(ctx, cdppage.HandleJavaScriptDialog, cdppage.HandleJavaScriptDialogParams{Accept: true})
			}()
		case *log.EventEntryAdded:
			p.log = append(p.log, ev.Entry.Text)
			if ev.Entry.Level == log.EntryLevelError && ev.Entry.Source != log.EntrySourceNetwork && !strings.Contains(ev.Entry.Text, "WebSocket connection to") {
				p.faults = append(p.faults, ev.Entry.Text)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	call(p, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	return p
}

// call runs a command of the DevTools protocol.
func call[P, R any](p *page, cmd cdp.Command[P, R], params P) R {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	r, err := chromedp.Call(ctx, cmd, params)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// openPage opens the page of a daemon and waits until it is there.
func openPage(t testing.TB, d *daemon) *page {
	t.Helper()
	p := newTab(t)
	p.open(d.newLink())
	p.wait(`document.querySelector(".shell, .first")`)
	return p
}

// open goes to an address; the daemon may refuse it.
func (p *page) open(url string) {
	p.t.Helper()
	p.do("window.left = true")
	// Another part of the same document, and what isn't there, loads nothing.
	if r := call(p, cdppage.Navigate, cdppage.NavigateParams{URL: url}); r.ErrorText == "" && r.LoaderID != "" {
		p.arrives()
	}
}

// reload loads the page anew.
func (p *page) reload() {
	p.t.Helper()
	p.do("window.left = true")
	call(p, cdppage.Reload, cdppage.ReloadParams{})
	p.arrives()
}

// arrives waits until another document has loaded. It looks, and doesn't listen:
// on a busy machine, what the browser tells can be missed.
func (p *page) arrives() {
	p.t.Helper()
	until(p.t, "the page is loaded", func() bool {
		there, err := within[bool](p, patience/12, `!window.left && document.readyState === "complete"`)
		return err == nil && there // the old document may end while it is asked
	})
}

// value runs an expression in the page; a promise is waited for.
func value[T any](p *page, js string) (T, error) { return within[T](p, patience, js) }

func within[T any](p *page, limit time.Duration, js string) (T, error) {
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
}

// get is [value] of something that can't fail.
func get[T any](p *page, js string) T {
	p.t.Helper()
	v, err := value[T](p, js)
	if err != nil {
		p.t.Fatalf("%s: %v", js, err)
	}
	return v
}

// do runs a statement in the page.
func (p *page) do(js string) {
	p.t.Helper()
	get[int](p, "void ("+js+"), 0")
}

func (p *page) text(js string) string {
	p.t.Helper()
	return get[string](p, "String("+js+")")
}

// wait waits until an expression is true.
func (p *page) wait(js string) {
	p.t.Helper()
	poll := fmt.Sprintf(`new Promise((yes) => { const look = () => { let v; try { v = (%s) } catch {} v ? yes(true) : setTimeout(look, 25) }; look() })`, js)
	if _, err := value[bool](p, poll); err != nil {
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
	p.do("((x) => { x.focus(); x.click() })(" + button(name) + ")")
}

// focus puts the focus on what a selector finds, once that can have it.
func (p *page) focus(selector string) {
	p.t.Helper()
	p.wait(fmt.Sprintf("((x) => { x.focus(); return x === document.activeElement })(document.querySelector(%s))", quote(selector)))
}

// A key is one on the keyboard; text is what it types.
type key struct {
	name, code, text string
	number           int64
}

var (
	enter     = key{"Enter", "Enter", "\r", 13}
	escape    = key{"Escape", "Escape", "", 27}
	tab       = key{"Tab", "Tab", "", 9}
	arrowUp   = key{"ArrowUp", "ArrowUp", "", 38}
	arrowDown = key{"ArrowDown", "ArrowDown", "", 40}
	deleteKey = key{"Delete", "Delete", "", 46}
)

const (
	ctrl  = 2
	shift = 8
)

func letter(r rune) key {
	return key{string(r), "Key" + strings.ToUpper(string(r)), string(r), int64(unicode.ToUpper(r))}
}

// keys presses keys one after the other, as a person does.
func (p *page) keys(keys ...key) {
	p.t.Helper()
	for _, k := range keys {
		p.stroke(k, 0)
	}
}

// stroke presses one key while others, as a sum of ctrl and shift, are held.
func (p *page) stroke(k key, held int64) {
	p.t.Helper()
	down := input.DispatchKeyEventParams{
		Type: input.DispatchKeyEventTypeKeyDown, Key: k.name, Code: k.code, Text: k.text, Modifiers: held,
		WindowsVirtualKeyCode: k.number, NativeVirtualKeyCode: k.number,
	}
	call(p, input.DispatchKeyEvent, down)
	down.Type, down.Text = input.DispatchKeyEventTypeKeyUp, ""
	call(p, input.DispatchKeyEvent, down)
}

// fill puts a text where a selector finds a field.
func (p *page) fill(selector, text string) {
	p.t.Helper()
	p.focus(selector)
	p.do(`document.execCommand("selectAll")`)
	call(p, input.InsertText, input.InsertTextParams{Text: text})
}

// write sends a message.
func (p *page) write(text string) {
	p.t.Helper()
	p.fill("#composer", text)
	p.keys(enter)
	p.wait(`document.querySelector("#composer").value === ""`)
}

// chat opens the conversation with somebody.
func (p *page) chat(name string) {
	p.t.Helper()
	row := fmt.Sprintf(`[...document.querySelectorAll("[data-chat]")].find((x) => x.querySelector(".name").textContent === %s)`, quote(name))
	p.wait(row)
	p.do(row + ".click()")
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
	p.do(message(text) + ".focus()")
	p.keys(enter)
	p.wait(`document.querySelector("dialog[open] [role=menu]")`)
}

// picture keeps what the page looks like, if somebody wants to see it.
func (p *page) picture(name string) {
	if *pictures == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(*pictures, name+".png"), p.shot(), 0o644); err != nil {
		p.t.Error(err)
	}
}

// calm fails a test whose page complained about something.
func (p *page) calm() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.faults {
		p.t.Errorf("the page complained: %s", f)
	}
}
