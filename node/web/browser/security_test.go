//go:build linux

package browser_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
)

// A naked proxy is the daemon without what protects it: it makes every request
// look like the page's own and takes the policy out of the answers, but for the
// headers to keep. What an attack does through it, it would do to the daemon
// without that protection.
func naked(t *testing.T, d *daemon, keep ...string) string {
	t.Helper()
	return watched(t, d, func(*http.Request) {}, keep...)
}

// watched is a naked proxy that tells what it is asked for.
func watched(t *testing.T, d *daemon, asked func(*http.Request), keep ...string) string {
	t.Helper()
	to, err := url.Parse(d.origin())
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			asked(r.In)
			r.SetURL(to)
			for _, h := range []string{"Origin", "Referer", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"} {
				if !slices.Contains(keep, h) {
					r.Out.Header.Del(h)
				}
			}
			if r.Out.Method == http.MethodPost && !slices.Contains(keep, "Content-Type") {
				r.Out.Header.Set("Content-Type", "application/json")
			}
		},
		ModifyResponse: func(r *http.Response) error {
			for _, h := range []string{
				"Content-Security-Policy", "Cross-Origin-Resource-Policy", "Cross-Origin-Opener-Policy",
				"Cross-Origin-Embedder-Policy", "X-Frame-Options",
			} {
				if !slices.Contains(keep, h) {
					r.Header.Del(h)
				}
			}
			return nil
		},
	}
	s := httptest.NewServer(proxy)
	t.Cleanup(s.Close)
	return s.URL
}

// evil is a page of somebody else, on another port of this machine.
func evil(t *testing.T) (origin string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(elsewhere))
	t.Cleanup(s.Close)
	return s.URL
}

func elsewhere(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	fmt.Fprint(w, "<!doctype html><title>elsewhere</title><p>elsewhere</p>")
}

// good tells whether a code still is: whoever asks first gets in.
func good(t *testing.T, d *daemon, code string) bool {
	t.Helper()
	r, err := http.Post(d.origin()+"/api/v1/session", "application/json", strings.NewReader(`{"code":`+quote(code)+`}`))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	return r.StatusCode == http.StatusOK
}

// post is what a page can send anywhere without leave of the browser's: it would
// use up a code.
func (p *page) post(to, code string) {
	p.t.Helper()
	get[string](p, fmt.Sprintf(`fetch(%s, { method: "POST", mode: "no-cors", headers: { "Content-Type": "text/plain" }, body: JSON.stringify({ code: %s }) }).then(() => "", () => "")`,
		quote(to+"/api/v1/session"), quote(code)))
}

// socket tells whether a WebSocket opens.
func (p *page) socket(to string) bool {
	p.t.Helper()
	return get[bool](p, fmt.Sprintf(`new Promise((yes) => { const w = new WebSocket(%s); w.onopen = () => yes(true); w.onerror = () => yes(false) })`,
		quote(strings.Replace(to, "http", "ws", 1)+"/api/v1/ws")))
}

// loads tells whether a picture of the page's is loaded.
func (p *page) loads(to string) bool {
	p.t.Helper()
	return get[bool](p, fmt.Sprintf(`new Promise((yes) => { const i = new Image(); i.onload = () => yes(true); i.onerror = () => yes(false); i.src = %s })`, quote(to+"/icon.svg")))
}

// frame tells whether the page is shown in a frame.
func (p *page) frame(to string) bool {
	p.t.Helper()
	get[bool](p, fmt.Sprintf(`new Promise((yes) => { document.querySelector("iframe")?.remove(); const i = document.createElement("iframe"); i.onload = () => yes(true); i.src = %s; document.body.append(i) })`, quote(to+"/")))
	tree := call(p, cdppage.GetFrameTree, cdp.Empty{}).FrameTree
	if len(tree.ChildFrames) != 1 {
		p.t.Fatalf("there are %d frames", len(tree.ChildFrames))
	}
	f := tree.ChildFrames[0].Frame
	return strings.HasPrefix(f.URL, to) && f.MimeType == "text/html" // and not why it was refused
}

// Another page can't use a code that it knows, nor the socket, nor load what
// belongs to the page, nor put it in a frame: each of what forbids it is enough,
// and without any of it, it can.
func TestOtherPages(t *testing.T) {
	t.Parallel()
	d := confirmed(t, "Ann")
	tab := newTab(t)
	tab.open(evil(t))
	tab.wait(`document.title === "elsewhere"`)
	// works tells whether an attack does, with what is kept of the protection.
	works := map[string]func(to string) bool{
		"POST": func(to string) bool {
			code := codeOf(d.newLink())
			tab.post(to, code)
			return !good(t, d, code)
		},
		"WebSocket": tab.socket,
		"picture":   tab.loads,
		"frame":     tab.frame,
	}
	for attack, protections := range map[string][]string{
		"POST":      {"Origin", "Sec-Fetch-Site", "Content-Type"},
		"WebSocket": {"Origin"},
		"picture":   {"Sec-Fetch-Site", "Cross-Origin-Resource-Policy"},
		"frame":     {"Sec-Fetch-Site", "X-Frame-Options", "Content-Security-Policy"},
	} {
		if works[attack](d.origin()) {
			t.Errorf("another page's %s", attack)
		}
		for _, keep := range protections {
			if works[attack](naked(t, d, keep)) {
				t.Errorf("another page's %s, in spite of %s", attack, keep)
			}
		}
		if !works[attack](naked(t, d)) {
			t.Errorf("the control: another page's %s has no effect without protection", attack)
		}
	}
}

// A page at the right port, under a name of its own that was made to point here,
// doesn't get the page.
func TestRebinding(t *testing.T) {
	t.Parallel()
	d := confirmed(t, "Ann")
	tab := newTab(t)
	under := func(origin string) string {
		t.Helper()
		_, port, err := net.SplitHostPort(strings.TrimPrefix(origin, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		tab.open("http://attacker.localhost:" + port + "/")
		return tab.text("document.documentElement.outerHTML")
	}
	if s := under(d.origin()); strings.Contains(s, `id="app"`) || !strings.Contains(s, "not_allowed") {
		t.Errorf("the page under another name: %.200s", s)
	}
	if s := under(naked(t, d)); !strings.Contains(s, `id="app"`) {
		t.Errorf("the control: the unprotected page under another name: %.200s", s)
	}
}

// The link works once; a page that was let in stays so without a cookie, and a
// second page that has seen the link does not get in.
func TestStolenLink(t *testing.T) {
	t.Parallel()
	d := confirmed(t, "Ann")
	link := d.newLink()
	first, second := newTab(t), newTab(t)
	first.open(link)
	first.wait(`document.querySelector(".shell")`)
	if s := first.text("location.href"); strings.Contains(s, "code") {
		t.Errorf("the code is still in the address: %s", s)
	}
	second.open(link)
	second.says("This link was used already")
	if n := get[int](second, "Object.keys(sessionStorage).length"); n != 0 {
		t.Error("the second page has something in its storage")
	}
	if s := first.text("document.cookie"); s != "" {
		t.Errorf("there is a cookie: %s", s)
	}
	if s := first.text(`JSON.stringify(localStorage)`); strings.Contains(s, first.text(`sessionStorage.getItem("token")`)) {
		t.Error("the token is where it outlives the tab")
	}
	first.reload()
	first.wait(`document.querySelector(".shell")`)
	other := newTab(t)
	other.open(d.origin())
	other.says("The page opens with a link")
	first.calm()

	// The control: a link that nobody has used yet does let the second one in.
	second.open("about:blank")
	second.open(d.newLink())
	second.wait(`document.querySelector(".shell")`)

	// A page on another port of this machine gets whatever is in a cookie, which
	// is the control, and nothing of what the page keeps.
	second.do(`document.cookie = "seen=1"`)
	second.open(evil(t))
	second.wait(`document.title === "elsewhere"`)
	if s := second.text("document.cookie"); s != "seen=1" {
		t.Errorf("the control: the cookie of another port is %q", s)
	}
	if n := get[int](second, "sessionStorage.length + localStorage.length"); n != 0 {
		t.Errorf("another port has %d things of the page", n)
	}
}

// The page is at loopback addresses alone: whoever shares the network with this
// machine finds nothing at its port.
func TestOtherMachines(t *testing.T) {
	t.Parallel()
	d := confirmed(t, "Ann")
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	outside := ""
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			outside = n.IP.String()
		}
	}
	if outside == "" {
		t.Skip("this machine has no address but loopback ones")
	}
	to := strings.Replace(d.origin(), "127.0.0.1", outside, 1)
	tab := newTab(t)
	tab.open(to)
	if s := tab.text("location.href"); !strings.HasPrefix(s, "chrome-error:") {
		t.Errorf("something answers at %s: %s", s, tab.text("document.documentElement.outerHTML"))
	}

	// The control: what listens everywhere is found there.
	ln, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(elsewhere))
	if err := s.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	s.Listener = ln
	s.Start()
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	tab.open("http://" + net.JoinHostPort(outside, port) + "/")
	tab.wait(`document.title === "elsewhere"`)
}

// A link is good for a minute.
func TestExpiredLink(t *testing.T) {
	t.Parallel()
	d := confirmed(t, "Ann")
	link := d.newLink()
	fresh := newTab(t)
	fresh.open(d.newLink())
	fresh.wait(`document.querySelector(".shell")`) // the control: within the minute
	ctx, cancel := context.WithTimeout(t.Context(), 61*time.Second)
	defer cancel()
	<-ctx.Done()
	tab := newTab(t)
	tab.open(link)
	tab.says("This link was used already, or is older than a minute.")
}
