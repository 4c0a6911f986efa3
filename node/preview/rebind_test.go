package preview

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// names answers every question for an address with the next of a list, and then
// with the last.
func names(t *testing.T, addresses ...[4]byte) (*net.Resolver, *atomic.Int32) {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := new(atomic.Int32)
	var serving sync.WaitGroup
	t.Cleanup(func() { _ = c.Close(); serving.Wait() })
	serving.Go(func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			m.Response, m.Additionals = true, nil
			if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
				at := addresses[min(int(asked.Add(1)), len(addresses))-1]
				m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}, Body: &dnsmessage.AResource{A: at}}}
			}
			if b, err := m.Pack(); err == nil {
				_, _ = c.WriteTo(b, from)
			}
		}
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp4", c.LocalAddr().String())
	}}, asked
}

// A name that is a public address when it is asked for first, and one of this
// machine when it is asked for again, leads nowhere. The control is the same
// with an address that stays.
func TestRebinding(t *testing.T) {
	mux := http.NewServeMux()
	s, _ := site(t, mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/page", http.StatusFound) })
	mux.HandleFunc("/page", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<title>t</title>")
	})
	u, _ := url.Parse(s.URL)
	// What is inside listens at another address with the same port.
	inside, err := net.Listen("tcp", "127.0.0.2:"+u.Port())
	if err != nil {
		t.Skip("this machine has no second address for itself: ", err)
	}
	var called atomic.Bool
	var serving sync.WaitGroup
	t.Cleanup(func() { _ = inside.Close(); serving.Wait() })
	serving.Go(func() {
		for c, err := inside.Accept(); err == nil; c, err = inside.Accept() {
			called.Store(true)
			_ = c.Close()
		}
	})
	outer, inner := [4]byte{127, 0, 0, 1}, [4]byte{127, 0, 0, 2}
	for name, c := range map[string]struct {
		second [4]byte
		want   error
	}{"control": {outer, nil}, "rebound": {inner, ErrLink}} {
		o := options(t, s)
		var asked *atomic.Int32
		o.Resolver, asked = names(t, outer, c.second)
		// The certificate of the server is for this name.
		p, err := New(o).Fetch(t.Context(), "https://example.com:"+u.Port()+"/")
		if !errors.Is(err, c.want) || c.want == nil && p.Title != "t" {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		if n := asked.Load(); n < 2 {
			t.Errorf("%s: control: the name was asked for %d times", name, n)
		}
	}
	if called.Load() {
		t.Error("the inside was called")
	}
}
