package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// serveSignal runs the compatible listener for d.
func serveSignal(t *testing.T, d Daemon) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- (&Server{Daemon: d, Version: "v1", Shutdown: cancel}).ServeSignal(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

func dialSignal(t *testing.T, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(90 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

func TestSignalListener(t *testing.T) {
	more := make(chan Event)
	addr := serveSignal(t, &scripted{watch: logOf(0, more)})
	c, r := dialSignal(t, addr)
	ask := func(s string) string {
		t.Helper()
		before := time.Now()
		if _, err := io.WriteString(c, s+"\n"); err != nil {
			t.Fatal(err)
		}
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(before); took < signalWait {
			t.Errorf("answered after %v", took)
		}
		return line
	}
	if got := ask(`  {"jsonrpc":"2.0","id":"a-1","method":"version"}`); got != `{"jsonrpc":"2.0","id":"a-1","result":{"version":"v1"}}`+"\n" {
		t.Errorf("got %s", got)
	}
	// It can't be told to stop.
	for _, method := range []string{"shutdown", "wipe", "lock", "createToken", "page", "add", "backup"} {
		if got := ask(`{"jsonrpc":"2.0","id":1,"method":"` + method + `"}`); !strings.Contains(got, `"code":"not_allowed"`) {
			t.Errorf("%s: %s", method, got)
		}
	}
	if got := ask(`{"jsonrpc":"2.0","id":1,"method":"block","params":{"recipient":["` + bobUUID + `"]}}`); strings.Contains(got, "error") {
		t.Errorf("block: %s", got)
	}

	more <- Event{Seq: 1, At: ms, Type: EventMessage, Message: &Message{
		ID: msgID, Conversation: bob, From: bob, Sent: ms, Received: ms + 5, Text: "hi", Expires: ms + 60_000,
		ReplyTo: msgID, Quote: &Quote{From: ann, Text: "q"}, Mentions: List[Mention]{{0, 1, ann}},
		Files: List[File]{{ID: "f", Name: "a.png", Type: "image/png", Size: 3}},
	}}
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var n struct {
		Method string
		Params json.RawMessage
	}
	if err := json.Unmarshal([]byte(line), &n); err != nil || n.Method != "receive" {
		t.Fatalf("%s: %v", line, err)
	}
	envelope := `{"source":"` + bobUUID + `","sourceNumber":null,"sourceUuid":"` + bobUUID + `","sourceName":"bob","sourceDevice":1,` +
		`"timestamp":1700000000123,"serverReceivedTimestamp":1700000000128,"serverDeliveredTimestamp":1700000000128,` +
		`"dataMessage":{"timestamp":1700000000123,"message":"hi","expiresInSeconds":60,"viewOnce":false,` +
		`"quote":{"id":0,"author":"` + annUUID + `","authorUuid":"` + annUUID + `","text":"q"},` +
		`"mentions":[{"start":0,"length":1,"uuid":"` + annUUID + `"}],` +
		`"attachments":[{"id":"f","contentType":"image/png","filename":"a.png","size":3}]},"id":"` + msgID + `","conversation":"` + bob + `"}`
	want := `{"account":"` + annUUID + `","envelope":` + envelope + `,"subscription":0,"result":{"envelope":` + envelope + `}}`
	if string(n.Params) != want {
		t.Errorf("got  %s\nwant %s", n.Params, want)
	}
	for _, e := range []struct {
		event Event
		want  string
	}{
		{Event{Type: EventTyping, Typing: &Typing{bob, bob}}, `"typingMessage":{"action":"STARTED","timestamp":1700000000123}`},
		{Event{Type: EventEdit, Edit: &Message{ID: msgID, Conversation: bob, From: bob, Sent: 5, Text: "new"}}, `"editMessage":{"targetSentTimestamp":5,"dataMessage":{"timestamp":5,"message":"new",`},
		{Event{Type: EventReaction, Reaction: &ReactionChange{msgID, bob, bob, "👍"}}, `"reaction":{"emoji":"👍",`},
		{Event{Type: EventDelete, Delete: &Deleted{msgID, bob, bob}}, `"remoteDelete":{"timestamp":0}`},
	} {
		// What is one's own doesn't come.
		more <- Event{Type: EventMessage, Message: &Message{ID: msgID, Conversation: bob, Mine: true}}
		more <- Event{Type: EventReaction, Reaction: &ReactionChange{msgID, bob, ann, "👍"}}
		more <- Event{Type: EventNetwork, Network: &Network{}}
		e.event.At = ms
		more <- e.event
		if line, err = r.ReadString('\n'); err != nil || !strings.Contains(line, e.want) {
			t.Errorf("%s: %s, %v", e.event.Type, line, err)
		}
	}
}

// TestSignalListenerOfBrowsers: a page can have a browser send anything it likes
// behind a line that is HTTP's.
func TestSignalListenerOfBrowsers(t *testing.T) {
	d := &scripted{watch: logOf(0, nil)}
	addr := serveSignal(t, d)
	for _, first := range []string{"POST / HTTP/1.1\r\nContent-Type: text/plain\r\n\r\n", "\r\nGET / HTTP/1.1\r\n\r\n", "\x16\x03\x01"} {
		c, r := dialSignal(t, addr)
		// It may be closed before all of it is written.
		_, _ = io.WriteString(c, first+`{"jsonrpc":"2.0","id":1,"method":"send","params":{"recipient":"bob","message":"hi"}}`+"\n")
		if line, err := r.ReadString('\n'); err == nil {
			t.Errorf("%q is answered: %s", first, line)
		} else if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
			t.Errorf("%q keeps the connection", first)
		}
	}
	if len(d.entered) > 0 {
		t.Error("a browser has sent a message")
	}
	c, r := dialSignal(t, addr)
	if _, err := io.WriteString(c, `{"jsonrpc":"2.0","id":1,"method":"send","params":{"recipient":"bob","message":"hi"}}`+"\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, `"timestamp":1700000000123,"results":[{"recipientAddress":{"uuid":"`+bobUUID) {
		t.Errorf("control: %s, %v", line, err)
	}
}

// The methods that name a message by author and time.
func TestByTime(t *testing.T) {
	for _, c := range []struct{ method, params, want string }{
		{"sendReaction", `{"recipient":["bob"],"emoji":"👍","targetAuthor":"` + bobUUID + `","targetTimestamp":1700000000123}`, "react " + msgID + " 👍"},
		{"sendReaction", `{"recipient":"bob","emoji":"👍","remove":true,"targetAuthor":"bob","targetSentTimestamp":1700000000123}`, "react " + msgID + " "},
		{"remoteDelete", `{"recipients":["bob"],"targetTimestamp":1700000000123}`, "unsend " + msgID},
	} {
		d := &scripted{}
		out := (&Server{Daemon: d}).Answer(t.Context(), []byte(`{"jsonrpc":"2.0","id":1,"method":"`+c.method+`","params":`+c.params+`}`), Owner)
		if d.last != c.want || !strings.Contains(string(out), `"type":"SUCCESS"`) {
			t.Errorf("%s: %v, %s", c.method, d.last, out)
		}
	}
	for _, params := range []string{
		`{"recipient":"bob","emoji":"👍","targetAuthor":"bob","targetTimestamp":1}`,
		`{"groupId":"abc=","emoji":"👍","targetAuthor":"bob","targetTimestamp":1700000000123}`,
		`{"recipient":"bob","emoji":"","targetAuthor":"bob","targetTimestamp":1700000000123}`,
		`{"emoji":"👍","targetAuthor":"bob","targetTimestamp":1700000000123}`,
	} {
		if out := (&Server{Daemon: &scripted{}}).Answer(t.Context(), []byte(`{"jsonrpc":"2.0","id":1,"method":"sendReaction","params":`+params+`}`), Owner); !strings.Contains(string(out), `"error"`) {
			t.Errorf("%s: %s", params, out)
		}
	}
}
