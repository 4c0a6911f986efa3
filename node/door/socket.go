package door

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/coder/websocket"

	"rushlight/node/api"
)

// Of WebSockets.
const (
	authTime    = 5 * time.Second // for the first message
	hangUpTime  = 500 * time.Millisecond
	statusToken = 4401 // the socket is closed so without a good token
)

// webSocket speaks JSON-RPC, a value a message, once the first message has
// brought a token. No other page gets here: the library compares Origin with
// the host, which the guard has checked.
func (d *Door) webSocket(w http.ResponseWriter, r *http.Request) {
	d.wg.Add(1)
	defer d.wg.Done()
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // it has answered
	}
	defer func() { _ = ws.CloseNow() }()
	ws.SetReadLimit(maxBody)
	ctx := r.Context()
	s := d.authenticate(ctx, ws)
	if s == nil {
		_ = ws.Close(statusToken, "no token") // a client that is gone needs no reason
		return
	}
	ctx, cancel := s.until(ctx)
	defer cancel()
	d.Server.ServeConn(ctx, newMessages(ctx, ws), s.Grant)
}

// authenticate reads the first message, which brings the token, and answers it.
func (d *Door) authenticate(ctx context.Context, ws *websocket.Conn) *Session {
	ctx, cancel := context.WithTimeout(ctx, authTime)
	defer cancel()
	_, b, err := ws.Read(ctx)
	if err != nil {
		return nil
	}
	var m struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
		Params struct {
			Token string `json:"token"`
		} `json:"params"`
	}
	var s *Session
	if json.Unmarshal(b, &m) == nil && m.Method == "authenticate" {
		s = d.Tokens.Session(m.Params.Token)
	}
	if len(m.ID) == 0 {
		m.ID = json.RawMessage("null")
	}
	type result struct {
		Scopes       []string `json:"scopes"`
		Conversation string   `json:"conversation,omitempty"`
	}
	type failure struct {
		Code    int        `json:"code"`
		Message string     `json:"message"`
		Data    *api.Error `json:"data"`
	}
	out := struct {
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Result  *result         `json:"result,omitempty"`
		Error   *failure        `json:"error,omitempty"`
	}{Version: "2.0", ID: m.ID}
	if s != nil {
		out.Result = &result{s.Grant.Scopes, s.Grant.Conversation}
	} else {
		out.Error = &failure{-1, errToken.Message, errToken}
	}
	if b, err = json.Marshal(out); err != nil || ws.Write(ctx, websocket.MessageText, b) != nil {
		return nil
	}
	return s
}

// messages makes a connection of lines out of a WebSocket: each message is a
// line. Cancelling a read would end the socket, so a goroutine reads, until the
// socket is closed.
type messages struct {
	ws   *websocket.Conn
	in   chan []byte // closed when nothing more comes
	left []byte

	over    chan struct{} // closed when nobody wants to read any more
	overOne sync.Once

	mu       sync.Mutex
	deadline time.Time // of writing

	cancel context.CancelFunc
	ctx    context.Context // ends with Close
	done   chan struct{}   // closed when the goroutine has ended
}

// newMessages takes ctx for its values: in the end what is queued is written.
func newMessages(ctx context.Context, ws *websocket.Conn) *messages {
	m := &messages{ws: ws, in: make(chan []byte), over: make(chan struct{}), done: make(chan struct{})}
	m.ctx, m.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go m.read()
	return m
}

func (m *messages) read() {
	defer close(m.done)
	defer close(m.in)
	for {
		_, b, err := m.ws.Read(m.ctx)
		if err != nil {
			return
		}
		for i, c := range b { // between tokens, or it is no JSON
			if c == '\n' || c == '\r' {
				b[i] = ' '
			}
		}
		select {
		case m.in <- append(b, '\n'):
		case <-m.ctx.Done():
			return
		}
	}
}

// Read implements net.Conn.
func (m *messages) Read(b []byte) (int, error) {
	if len(m.left) == 0 {
		select {
		case <-m.over:
			return 0, os.ErrDeadlineExceeded
		case line, ok := <-m.in:
			if !ok {
				return 0, io.EOF
			}
			m.left = line
		}
	}
	n := copy(b, m.left)
	m.left = m.left[n:]
	return n, nil
}

// Write implements net.Conn; b is whole lines.
func (m *messages) Write(b []byte) (int, error) {
	m.mu.Lock()
	until := m.deadline
	m.mu.Unlock()
	if until.IsZero() {
		until = time.Now().Add(writeTime)
	}
	ctx, cancel := context.WithDeadline(m.ctx, until)
	defer cancel()
	for line := range bytes.Lines(b) {
		if err := m.ws.Write(ctx, websocket.MessageText, bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// Close implements net.Conn. A client has a moment to say goodbye.
func (m *messages) Close() error {
	_ = m.SetReadDeadline(time.Time{})
	t := time.AfterFunc(hangUpTime, m.cancel)
	defer t.Stop()
	_ = m.ws.Close(websocket.StatusNormalClosure, "") // it may be gone
	m.cancel()
	<-m.done
	return nil
}

// SetReadDeadline implements net.Conn: the only one that is ever set is over.
func (m *messages) SetReadDeadline(time.Time) error {
	m.overOne.Do(func() { close(m.over) })
	return nil
}

// SetWriteDeadline implements net.Conn.
func (m *messages) SetWriteDeadline(t time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.deadline = t
	return nil
}

// SetDeadline implements net.Conn.
func (m *messages) SetDeadline(t time.Time) error { return m.SetWriteDeadline(t) }

// LocalAddr implements net.Conn.
func (m *messages) LocalAddr() net.Addr { return nil }

// RemoteAddr implements net.Conn.
func (m *messages) RemoteAddr() net.Addr { return nil }
