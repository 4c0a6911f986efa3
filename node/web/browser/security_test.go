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
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
)

// A naked proxy is the daemon without what protects it: it makes every request
// look like the page's own and takes the policy out of the answers. What an
// attack does through it, it would do to the daemon without that protection.
func naked(t *testing.T, d *daemon) string {
	t.Helper()
	to, err := url.Parse(d.origin())
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			for _, h := range []string{"Origin", "Referer", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"} {
				r.Out.Header.Del(h)
			}
			if r.Out.Method == http.MethodPost {
				r.Out.Header.Set("Content-Type", "application/json")
			}
		},
		ModifyResponse: func(r *http.Response) error {
			for _, h := range []string{
				"Content-Security-Policy", "Cross-Origin-Resource-Policy", "Cross-Origin-Opener-Policy",
				"Cross-Origin-Embedder-Policy", "X-Frame-Options",
			} {
				r.Header.Del(h)
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

// Another page can't use a code that it knows, nor the socket, nor load what
// belongs to the page: not from another port, and not under a name of its own
// that was made to point here.
func TestOtherPages(t *testing.T) {
	t.Parallel()
	d := confirmed(t, "Ann")
	bare := naked(t, d)
	tab := newTab(t)
	tab.open(evil(t))
	tab.wait(`document.title === "elsewhere"`)

	// A cross-site POST that needs no leave of the browser's uses up the code.
	post := func(to, code string) {
		t.Helper()
		get[string](tab, fmt.Sprintf(`fetch(%s, { method: "POST", mode: "no-cors", headers: { "Content-Type": "text/plain" }, body: JSON.stringify({ code: %s }) }).then(() => "", () => "")`,
			quote(to+"/api/v1/session"), quote(code)))
	}
	for _, c := range []struct {
		to   string
		left bool
	}{{d.origin(), true}, {bare, false}} {
		code := codeOf(d.newLink())
		post(c.to, code)
		if left := good(t, d, code); left != c.left {
			t.Errorf("%s: after a POST of another page the code is good: %v", c.to, left)
		}
	}

	// A WebSocket of another page.
	socket := func(to string) string {
		t.Helper()
		return get[string](tab, fmt.Sprintf(`new Promise((yes) => { const w = new WebSocket(%s); w.onopen = () => yes("open"); w.onerror = () => yes("refused") })`,
			quote(strings.Replace(to, "http", "ws", 1)+"/api/v1/ws")))
	}
	if s := socket(d.origin()); s != "refused" {
		t.Errorf("another page's WebSocket is %s", s)
	}
	if s := socket(bare); s != "open" {
		t.Errorf("the control: an unprotected WebSocket is %s", s)
	}

	// The page in a frame, and its files in another page.
	load := func(to string) string {
		t.Helper()
		return get[string](tab, fmt.Sprintf(`new Promise((yes) => { const i = new Image(); i.onload = () => yes("loaded"); i.onerror = () => yes("refused"); i.src = %s })`, quote(to+"/icon.svg")))
	}
	if s := load(d.origin()); s != "refused" {
		t.Errorf("another page's picture is %s", s)
	}
	if s := load(bare); s != "loaded" {
		t.Errorf("the control: an unprotected picture is %s", s)
	}

	frame := func(to string) string {
		t.Helper()
		get[bool](tab, fmt.Sprintf(`new Promise((yes) => { document.querySelector("iframe")?.remove(); const i = document.createElement("iframe"); i.onload = () => yes(true); i.src = %s; document.body.append(i) })`, quote(to+"/")))
		tree := call(tab, cdppage.GetFrameTree, cdp.Empty{}).FrameTree
		if len(tree.ChildFrames) != 1 {
			t.Fatalf("there are %d frames", len(tree.ChildFrames))
		}
		return tree.ChildFrames[0].Frame.URL
	}
	if s := frame(d.origin()); strings.HasPrefix(s, d.origin()) {
		t.Errorf("another page's frame has the page: %s", s)
	}
	if s := frame(bare); !strings.HasPrefix(s, bare) {
		t.Errorf("the control: the frame with the unprotected page: %s", s)
	}

	// Rebinding: the address of this machine under another name.
	_, port, err := net.SplitHostPort(strings.TrimPrefix(d.origin(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_, barePort, err := net.SplitHostPort(strings.TrimPrefix(bare, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	tab.open("http://attacker.localhost:" + port + "/")
	if s := tab.text("document.documentElement.outerHTML"); strings.Contains(s, `id="app"`) || !strings.Contains(s, "not_allowed") {
		t.Errorf("the page under another name: %.200s", s)
	}
	tab.open("http://attacker.localhost:" + barePort + "/")
	if s := tab.text("document.documentElement.outerHTML"); !strings.Contains(s, `id="app"`) {
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
	if s := tab.text("location.href"); strings.HasPrefix(s, to) && get[bool](tab, `!!document.querySelector("#app")`) {
		t.Errorf("the page is at %s", s)
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
