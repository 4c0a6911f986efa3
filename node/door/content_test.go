package door

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"rushlight/node/api"
)

const uploadID = "00112233445566778899aabbccddeeff"

// shelf is a fake that takes files in and gives one out.
type shelf struct {
	*fake
	name  string        // of the last upload
	size  int64         // of it
	cause error         // why it ended early
	file  []byte        // of the message
	began chan struct{} // has a token for an upload that began, if there is room
}

func (s *shelf) Upload(_ context.Context, name string, _ int64, r io.Reader) (api.Upload, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.name = name
	select {
	case s.began <- struct{}{}:
	default:
	}
	s.size, s.cause = io.Copy(io.Discard, r)
	return api.Upload{ID: uploadID, Name: name, Size: s.size, Change: api.ChangeNone}, s.cause
}

func (s *shelf) DropUpload(_ context.Context, id string) error {
	if id != uploadID {
		return api.Errorf(api.CodeNoFile, "there is no such upload")
	}
	return nil
}

func (s *shelf) Message(_ context.Context, id string) (api.Message, error) {
	if id != msgID {
		return api.Message{}, api.Errorf(api.CodeUnknownMessage, "there is no such message")
	}
	page := api.File{Name: "a.html", Type: "text/html", Size: int64(len(s.file)), Have: int64(len(s.file)), State: api.TransferDone}
	return api.Message{ID: id, Conversation: bob, Files: []api.File{page, {Name: "b", Size: 5, State: api.TransferWaiting}}}, nil
}

func (s *shelf) Attachment(_ context.Context, _ string, _ int, offset int64, length int) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		return nil, s.cause
	}
	return s.file[offset:min(offset+int64(length), int64(len(s.file)))], nil
}

func openShelf(t *testing.T) (*place, *shelf) {
	t.Helper()
	s := &shelf{fake: newFake(), began: make(chan struct{}, 1), file: []byte("<script>alert(1)</script>")}
	p := &place{t: t, daemon: s.fake, serves: s, path: t.TempDir() + "/" + FileName, key: &[32]byte{1}}
	p.start()
	return p, s
}

func (p *place) upload(name, body string, header ...string) (int, string) {
	p.t.Helper()
	status, text, _ := p.do("POST", "/api/v1/files?name="+name, body, append([]string{"Content-Type", "application/octet-stream"}, header...)...)
	return status, text
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

// TestFileRights: who may hand files in, and read them out.
func TestFileRights(t *testing.T) {
	p, s := openShelf(t)
	made := func(g api.Grant) string { token, _ := p.made(g); return token }
	for _, c := range []struct {
		name            string
		token           string
		up, down, drops int
	}{
		{"page", p.token(), 200, 200, 204},
		{"send", made(api.Grant{Scopes: []string{api.ScopeSend}}), 200, 403, 204},
		{"read", made(api.Grant{Scopes: []string{api.ScopeRead}}), 403, 200, 403},
		{"conversation", made(api.Grant{Scopes: []string{api.ScopeRead, api.ScopeSend}, Conversation: bob}), 200, 200, 204},
		{"another conversation", made(api.Grant{Scopes: []string{api.ScopeRead, api.ScopeSend}, Conversation: eve}), 200, 404, 204},
		{"no scope", made(api.Grant{}), 403, 403, 403},
		{"none", "x", 401, 401, 401},
	} {
		s.size = -1
		if status, text := p.upload("a%20b.png", "content", bearer(c.token)...); status != c.up {
			t.Errorf("%s hands in: %d %s", c.name, status, text)
		} else if status == 200 && (s.size != 7 || s.name != "a b.png" || !strings.Contains(text, uploadID)) {
			t.Errorf("%s handed in %d bytes as %q: %s", c.name, s.size, s.name, text)
		} else if status != 200 && s.size != -1 {
			t.Errorf("%s was refused after it was read", c.name)
		}
		if status, text, _ := p.do("GET", "/api/v1/files/"+msgID+"-0", "", bearer(c.token)...); status != c.down || status == 200 && text != string(s.file) {
			t.Errorf("%s reads: %d %s", c.name, status, text)
		}
		if status, text, _ := p.do("DELETE", "/api/v1/files/"+uploadID, "", bearer(c.token)...); status != c.drops {
			t.Errorf("%s drops: %d %s", c.name, status, text)
		}
	}
}

// TestFileHeaders: nothing that others made is shown, run or kept by a browser.
func TestFileHeaders(t *testing.T) {
	p, s := openShelf(t)
	_, _, h := p.do("GET", "/api/v1/files/"+msgID+"-0", "", bearer(p.token())...)
	for k, v := range map[string]string{
		"Content-Type": "application/octet-stream", "Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
		"Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'", "Cross-Origin-Resource-Policy": "same-origin", "X-Frame-Options": "DENY",
	} {
		if h.Get(k) != v {
			t.Errorf("%s: %q", k, h.Get(k))
		}
	}
	status, text, h := p.do("GET", "/api/v1/files/"+msgID+"-0", "", append(bearer(p.token()), "Range", "bytes=8-12")...)
	if status != http.StatusPartialContent || text != string(s.file[8:13]) || h.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("a part: %d %q", status, text)
	}
}

// TestHostileFiles: what can be asked for wrongly.
func TestHostileFiles(t *testing.T) {
	p, s := openShelf(t)
	token := p.token()
	auth := bearer(token)
	for path, want := range map[string]int{
		msgID + "-1": 409, msgID + "-2": 404, msgID + "-16": 400, msgID + "--1": 400, msgID + "-00": 400, msgID: 400, strings.ToUpper(msgID) + "x-0": 400,
		"ffffffffffffffffffffffffffffffff-0": 404, "..%2f..%2fdoor.json": 400, msgID + "-0%00": 400,
	} {
		if status, text, _ := p.do("GET", "/api/v1/files/"+path, "", auth...); status != want {
			t.Errorf("GET %s: %d %s", path, status, text)
		}
	}
	for path, want := range map[string]int{"x": 400, "..%2f..%2f" + uploadID[:26]: 400, uploadID[:31] + "0": 404} {
		if status, text, _ := p.do("DELETE", "/api/v1/files/"+path, "", auth...); status != want {
			t.Errorf("DELETE %s: %d %s", path, status, text)
		}
	}
	s.size = -1
	for name, header := range map[string][]string{
		"a form":                {"Content-Type", "multipart/form-data; boundary=x"},
		"a plain form":          {"Content-Type", "text/plain"},
		"another site":          {"Sec-Fetch-Site", "cross-site"},
		"another port":          {"Sec-Fetch-Site", "same-site"},
		"a name of this server": {"Host", "evil.example"},
	} {
		if status, text := p.upload("a", "b", append(header, auth...)...); status < 400 {
			t.Errorf("%s hands in: %d %s", name, status, text)
		}
		if strings.HasPrefix(name, "a form") || strings.HasPrefix(name, "a plain") {
			continue
		}
		if status, text, _ := p.do("GET", "/api/v1/files/"+msgID+"-0", "", append(header, auth...)...); status < 400 || strings.Contains(text, "script") {
			t.Errorf("%s reads: %d %s", name, status, text)
		}
	}
	if status, _ := p.upload(strings.Repeat("x", 2000), "b", auth...); status != 400 || s.size != -1 {
		t.Errorf("a long name: %d, %d bytes read", status, s.size)
	}
	// The token is good in the header alone.
	if status, _, _ := p.do("GET", "/api/v1/files/"+msgID+"-0?token="+token, "", "Cookie", "token="+token); status != 401 {
		t.Errorf("a token in the address: %d", status)
	}
	// A message that ends while its file is read.
	s.file = make([]byte, 64<<20) // more than waits in buffers
	r := p.request("GET", "/api/v1/files/"+msgID+"-0", http.NoBody, token)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadFull(res.Body, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.cause = api.Errorf(api.CodeUnknownMessage, "gone")
	s.mu.Unlock()
	if n, err := io.Copy(io.Discard, res.Body); err == nil {
		t.Errorf("%d bytes of a file that ended look whole", n)
	}
}

func (p *place) request(method, path string, body io.Reader, token string) *http.Request {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, body)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/octet-stream")
	return r
}

// TestCutUpload: a file of which not all came is told from one that ended.
func TestCutUpload(t *testing.T) {
	p, s := openShelf(t)
	token := p.token()
	for _, head := range []string{"Content-Length: 100\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"} {
		var d net.Dialer
		c, err := d.DialContext(t.Context(), "tcp", p.host)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "POST /api/v1/files?name=a HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/octet-stream\r\n%s", p.host, token, head)
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, c)
		c.Close()
		s.mu.Lock()
		if s.size != 3 || s.cause == nil {
			t.Errorf("%.20s: %d bytes, %v", head, s.size, s.cause)
		}
		s.mu.Unlock()
	}
}

// TestRevokedUpload: with the token ends what it does.
func TestRevokedUpload(t *testing.T) {
	p, s := openShelf(t)
	token, id := p.made(api.Grant{Scopes: []string{api.ScopeSend}})
	in, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		res, err := http.DefaultClient.Do(p.request("POST", "/api/v1/files?name=a", in, token))
		if err == nil {
			err = errors.Join(res.Body.Close(), errors.New(res.Status))
		}
		done <- err
	}()
	if _, err := out.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	<-s.began
	if err := p.tokens.Revoke(id); err != nil {
		t.Fatal(err)
	}
	for ended := false; !ended; {
		select {
		case err := <-done:
			if err == nil || strings.Contains(err.Error(), "200") {
				t.Error(err)
			}
			ended = true
		default:
			_, err := out.Write(make([]byte, 1000)) // until it is noticed
			if err != nil {
				if <-done == nil {
					t.Error("it was taken")
				}
				ended = true
			}
		}
	}
	out.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause == nil {
		t.Error("the file came to its end")
	}
}

// TestLargeFiles: memory doesn't grow with what passes, in either direction.
func TestLargeFiles(t *testing.T) {
	p, s := openShelf(t)
	token := p.token()
	const size = 96 << 20
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	res, err := http.DefaultClient.Do(p.request("POST", "/api/v1/files?name=a", io.LimitReader(rand.Reader, size), token))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if s.size != size {
		t.Fatalf("%d of %d bytes came", s.size, size)
	}
	runtime.ReadMemStats(&now)
	if n := now.TotalAlloc - before.TotalAlloc; n > 24<<20 {
		t.Errorf("%d bytes were allocated for %d", n, size)
	}
	s.file = bytes.Repeat([]byte{1}, 8<<20)
	runtime.GC()
	runtime.ReadMemStats(&before)
	if res, err = http.DefaultClient.Do(p.request("GET", "/api/v1/files/"+msgID+"-0", http.NoBody, token)); err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	n, err := io.Copy(io.Discard, res.Body)
	runtime.ReadMemStats(&now)
	if err != nil || n != int64(len(s.file)) || now.TotalAlloc-before.TotalAlloc > 4<<20 {
		t.Errorf("%d bytes came out, %d were allocated: %v", n, now.TotalAlloc-before.TotalAlloc, err)
	}
	if res.Header.Get("Content-Length") != fmt.Sprint(n) {
		t.Error("no length")
	}
}
