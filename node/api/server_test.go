package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Sends written in one go all enter the daemon before the first one is
// committed, in the order in which they were written.
func TestPipelinedSendsKeepTheirOrder(t *testing.T) {
	const n = 300
	all := make(chan struct{})
	d := &scripted{send: func(ctx context.Context, _ SendRequest, i int) (Sent, error) {
		if i == n {
			close(all)
		}
		select {
		case <-all:
		case <-time.After(90 * time.Second):
			return Sent{}, errors.New("the others were held back")
		}
		return Sent{ID: msgID}, nil
	}}
	dir, _ := serve(t, d)
	w := dialWire(t, dir)
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"jsonrpc":"2.0","id":"%d","method":"send","params":{"recipient":"bob","message":"m%d"}}`+"\n", i, i)
	}
	w.write(b.String())
	seen := map[string]bool{}
	for range n {
		var r struct {
			ID    string
			Error *Error
		}
		if err := json.Unmarshal([]byte(w.line()), &r); err != nil || r.Error != nil || seen[r.ID] {
			t.Fatalf("response %+v: %v", r, err)
		}
		seen[r.ID] = true
	}
	for i, text := range d.entered {
		if text != fmt.Sprintf("m%d", i) {
			t.Fatalf("number %d to enter is %s", i, text)
		}
	}
}

// A send that is refused keeps its turn too, and does not stop those behind it.
func TestRefusedSendLetsOthersFollow(t *testing.T) {
	d := &scripted{}
	dir, _ := serve(t, d)
	w := dialWire(t, dir)
	w.write(`[{"jsonrpc":"2.0","id":1,"method":"send","params":{"recipient":"bob","message":""}},` +
		`{"jsonrpc":"2.0","method":"send","params":{"recipient":"bob","message":"note"}},` +
		`{"jsonrpc":"2.0","id":2,"method":"send","params":{"recipient":"bob","message":"hi"}}]` + "\n")
	if got := w.line(); !strings.HasPrefix(got, `[{"jsonrpc":"2.0","id":1,"error":{`) || !strings.Contains(got, `{"jsonrpc":"2.0","id":2,"result":{`) {
		t.Errorf("got %s", got)
	}
	if fmt.Sprint(d.entered) != "[note hi]" {
		t.Errorf("entered: %v", d.entered)
	}
}

func TestLinesThatAreNoRequests(t *testing.T) {
	dir, _ := serve(t, &scripted{})
	w := dialWire(t, dir)
	big := "[" + strings.Repeat(`{"jsonrpc":"2.0","id":1,"method":"id"},`, maxBatch) + `{"jsonrpc":"2.0","id":1,"method":"id"}]`
	for line, code := range map[string]string{
		"{": "-32700", "x": "-32700", "[]": "-32600", "{}": "-32600", "5": "-32700", big: "-32600",
		`{"jsonrpc":"1.0","id":1,"method":"id"}`: "-32600", `{"jsonrpc":"2.0","id":{},"method":"id"}`: "-32600",
	} {
		w.write(line + "\n")
		if got := w.line(); !strings.Contains(got, `"error":{"code":`+code) {
			t.Errorf("%.40s: %s instead of %s", line, got, code)
		}
	}
	w.write("\n \r\n") // empty lines are nothing
	if got := w.ask("version", "{}"); got != `{"version":"v1"}` {
		t.Errorf("afterwards: %s", got)
	}
	w.write(strings.Repeat(" ", 3*maxLine) + "\n")
	if got := w.line(); !strings.Contains(got, "larger than 512 KiB") || !strings.Contains(got, "-32600") {
		t.Errorf("long line: %s", got)
	}
	if got := w.ask("version", "{}"); got != `{"version":"v1"}` {
		t.Errorf("after a long line: %s", got)
	}
}

// What was asked before the client closed its side is answered.
func TestHalfClose(t *testing.T) {
	release := make(chan struct{})
	d := &scripted{wait: func(context.Context, string, string) (string, error) {
		<-release
		return StateRead, nil
	}}
	dir, _ := serve(t, d)
	w := dialWire(t, dir)
	w.write(`{"jsonrpc":"2.0","id":1,"method":"wait","params":{"id":"` + msgID + `","state":"read"}}` + "\n")
	w.write(`{"jsonrpc":"2.0","id":2,"method":"version"}`) // no line end
	if err := w.c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := w.line(); got != `{"jsonrpc":"2.0","id":2,"result":{"version":"v1"}}` {
		t.Errorf("got %s", got)
	}
	close(release)
	if got := w.line(); !strings.HasPrefix(got, `{"jsonrpc":"2.0","id":1,"result":`) {
		t.Errorf("got %s", got)
	}
	if _, err := w.r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("then %v, want the end", err)
	}
}

// A daemon that stops answers what is in flight and gives up waits.
func TestStop(t *testing.T) {
	in := make(chan struct{}, 2)
	release := make(chan struct{})
	d := &scripted{
		wait: func(ctx context.Context, _, _ string) (string, error) {
			in <- struct{}{}
			<-ctx.Done()
			return "", ctx.Err()
		},
		send: func(ctx context.Context, _ SendRequest, _ int) (Sent, error) {
			in <- struct{}{}
			select {
			case <-release:
			case <-ctx.Done():
			}
			return Sent{ID: msgID}, ctx.Err()
		},
	}
	dir, _ := serve(t, d)
	w := dialWire(t, dir)
	w.write(`{"jsonrpc":"2.0","id":1,"method":"wait","params":{"id":"` + msgID + `","state":"read"}}` + "\n")
	w.write(`{"jsonrpc":"2.0","id":2,"method":"send","params":{"recipient":"bob","message":"hi"}}` + "\n")
	<-in
	<-in
	other, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Call(t.Context(), "shutdown", nil, nil); err != nil {
		t.Fatal(err)
	}
	if got := w.line(); !strings.Contains(got, `"id":1,"error":`) || !strings.Contains(got, CodeShuttingDown) {
		t.Errorf("wait: %s", got)
	}
	close(release)
	if got := w.line(); !strings.Contains(got, `"id":2,"result":`) {
		t.Errorf("send: %s", got)
	}
	<-other.gone
	if got := code(t, other.Call(t.Context(), "version", nil, nil)); got != CodeNoDaemon {
		t.Errorf("after the stop: %s", got)
	}
	if _, err := Dial(t.Context(), dir); code(t, err) != CodeNoDaemon {
		t.Errorf("dialling after the stop: %v", err)
	}
}

func TestListen(t *testing.T) {
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 90), strings.Repeat("e", 90))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(ctx, dir); code(t, err) != CodeNoDaemon {
		t.Errorf("empty directory: %v", err)
	}
	if _, err := Dial(ctx, filepath.Join(dir, "none")); code(t, err) != CodeNoDaemon {
		t.Errorf("no directory: %v", err)
	}
	path := filepath.Join(dir, SocketName)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(ctx, dir); err == nil {
		t.Error("a file of the socket's name was taken away")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second one finds the first one's socket
		ln, err := Listen(ctx, dir)
		if err != nil {
			t.Fatal(err)
		}
		for p, want := range map[string]os.FileMode{dir: os.ModeDir | 0o700, path: os.ModeSocket | 0o600} {
			if fi, err := os.Stat(p); err != nil || fi.Mode() != want {
				t.Errorf("mode %v, %v; want %v", fi.Mode(), err, want)
			}
		}
		ln.(*listener).Listener.Close() // as if it had died
	}
	if _, err := Dial(ctx, dir); code(t, err) != CodeNoDaemon {
		t.Errorf("stale socket: %v", err)
	}
	ln, err := Listen(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// Every line that gets a response is counted out again, or the connection
// would hang when the client closes its side.
func FuzzLine(f *testing.F) {
	for _, s := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"version"}`, `{"jsonrpc":"2.0","method":"version"}`, `{"jsonrpc":"2.0","id":null,"method":"id"}`,
		`[]`, `[1]`, `[{}]`, `5`, `{}`, `null`, `"x"`, `{"jsonrpc":"2.0","id":1,"result":1}`, `{"jsonrpc":"2.0","result":1}`,
		`{"jsonrpc":"2.0","id":1,"error":{"code":1}}`, `{"jsonrpc":"2.0","method":"send","params":[]}`, `{"jsonrpc":"2.0","method":"nosuch"}`,
		`{"jsonrpc":"2.0","id":1,"method":"send","params":{"recipient":["bob"],"message":"hi"}}`,
		`[{"jsonrpc":"2.0","method":"send"},{"jsonrpc":"2.0","method":"id"}]`, `{"jsonrpc":"2.0","method":""}`, `{"jsonrpc":"2.0","method":5}`,
		`[{"jsonrpc":"2.0","id":1,"method":"id"},{"jsonrpc":"2.0","id":1,"method":"id"}]`, `{"jsonrpc":"2.0","id":"\n","method":"\n"}`,
		`{"jsonrpc":"2.0","id":1,"method":"watch","params":{"after":5}}`, `{"jsonrpc":"2.0","id":1,"method":"shutdown"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		d := &scripted{watch: func(ctx context.Context, _ uint64, started func(uint64), _ func(Event) error) error {
			started(7)
			<-ctx.Done()
			return ctx.Err()
		}}
		here, there := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			(&Server{Daemon: d}).serveConn(t.Context(), &halfPipe{Conn: there}, Owner, true)
		}()
		go func() {
			// The server may close first.
			_, _ = here.Write(append(line, "\n\x00\n"...))
		}()
		b, err := io.ReadAll(here)
		if err != nil {
			t.Fatal(err)
		}
		<-done
		here.Close()
		for l := range strings.Lines(string(b)) {
			if !json.Valid([]byte(l)) {
				t.Errorf("answer %q", l)
			}
		}
	})
}

// halfPipe ends reading at a line that holds one zero byte: a pipe can't be
// closed in one direction.
type halfPipe struct {
	net.Conn
	over bool
}

func (h *halfPipe) Read(b []byte) (int, error) {
	if h.over {
		return 0, io.EOF
	}
	n, err := h.Conn.Read(b)
	if i := bytes.Index(b[:n], []byte("\n\x00\n")); i >= 0 {
		h.over = true
		return i, nil
	}
	return n, err
}

// BenchmarkSend is pipelined sends over the real socket to a daemon that does
// nothing.
func BenchmarkSend(b *testing.B) {
	dir, _ := serve(b, &scripted{})
	w := dialWire(b, dir)
	req := []byte(`{"jsonrpc":"2.0","id":1234567,"method":"send","params":{"recipient":"bob","message":"` + strings.Repeat("x", 200) + `"}}` + "\n")
	room := make(chan struct{}, 256)
	b.ResetTimer()
	go func() {
		for i := range b.N {
			room <- struct{}{}
			copy(req[22:], fmt.Sprintf("%07d", i+1_000_000))
			if _, err := w.c.Write(req); err != nil {
				return
			}
		}
	}()
	for range b.N {
		if s := w.line(); !strings.Contains(s, `"result"`) {
			b.Fatal(s)
		}
		<-room
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sends/s")
}
