package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if runAsChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

// scripted is a Daemon whose answers a test sets.
type scripted struct {
	mu      sync.Mutex
	entered []string // texts, in the order of Send's Entered
	send    func(ctx context.Context, req SendRequest, n int) (Sent, error)
	wait    func(ctx context.Context, id, state string) (string, error)
	watch   func(ctx context.Context, after uint64, started func(uint64), fn func(Event) error) error
	last    any   // the last request of any other kind
	err     error // what every other method returns
}

const (
	ann     = "rl1annannannannannannannannannannannannannannannannannannannannann"
	annUUID = "11111111-1111-8111-8111-111111111111"
	bob     = "rl1bobbobbobbobbobbobbobbobbobbobbobbobbobbobbobbobbobbobbobbobbob"
	bobUUID = "22222222-2222-8222-8222-222222222222"
	msgID   = "0123456789abcdef0123456789abcdef"
	ms      = 1_700_000_000_123
)

var bobContact = Contact{ID: bob, UUID: bobUUID, Name: "Robert", Petname: "bob", State: ContactApproved, Verified: true}

func (s *scripted) note(req any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = req
	return s.err
}

func (s *scripted) Self(context.Context) (Self, error) {
	return Self{Account: ann, Device: "dev", Fingerprint: "fp", UUID: annUUID, Peer: "12D3"}, s.note(nil)
}

func (s *scripted) SetName(_ context.Context, name string) (Self, error) {
	return Self{Account: ann, UUID: annUUID, Name: name}, s.note(nil)
}

func (s *scripted) Status(context.Context) (Status, error) {
	return Status{Ready: true, Reachability: "private", Peers: 3, Outbox: 1, Bytes: Traffic{1, 2}, CPU: 0.5}, s.note(nil)
}

func (s *scripted) CreateInvite(_ context.Context, req InviteRequest) (Invite, error) {
	return Invite{"rushlight:abc", ms}, s.note(req)
}

func (s *scripted) Add(_ context.Context, req AddRequest) (Contact, error) {
	return bobContact, s.note(req)
}

func (s *scripted) Contacts(context.Context) ([]Contact, error) {
	return []Contact{bobContact}, s.note(nil)
}

func (s *scripted) Find(_ context.Context, who string) (Contact, error) {
	if who != bob && who != "bob" {
		return Contact{}, Errorf(CodeUnknownContact, "there is no such contact")
	}
	return bobContact, nil
}

func (s *scripted) Message(_ context.Context, id string) (Message, error) {
	if id != msgID {
		return Message{}, Errorf(CodeUnknownMessage, "there is no such message")
	}
	return Message{ID: msgID, Conversation: bob}, nil
}

func (s *scripted) MarkRead(_ context.Context, ids []string) error { return s.note(ids) }

func (s *scripted) SentAt(_ context.Context, who, from string, at Time) (Message, error) {
	if at != ms {
		return Message{}, Errorf(CodeUnknownMessage, "there is no such message")
	}
	return Message{ID: msgID, Conversation: bob, From: from}, s.note([]any{who, from, at})
}

func (s *scripted) Rename(_ context.Context, who, petname string) (Contact, error) {
	return bobContact, s.note([2]string{who, petname})
}

func (s *scripted) Approve(_ context.Context, who string) (Contact, error) {
	return bobContact, s.note("approve " + who)
}

func (s *scripted) Decline(_ context.Context, who string) error { return s.note("decline " + who) }

func (s *scripted) Block(_ context.Context, who string) (Contact, error) {
	return bobContact, s.note("block " + who)
}

func (s *scripted) Unblock(_ context.Context, who string) (Contact, error) {
	return bobContact, s.note("unblock " + who)
}

func (s *scripted) Remove(_ context.Context, who string) error { return s.note(who) }

func (s *scripted) Verify(_ context.Context, req VerifyRequest) (Verification, error) {
	return Verification{Number: "123", QR: "q"}, s.note(req)
}

func (s *scripted) Check(context.Context) (CheckReport, error) {
	return CheckReport{OK: true, Checked: map[string]int{"messages": 2}}, s.note(nil)
}

func (s *scripted) Delete(_ context.Context, id string) error { return s.note("delete " + id) }

func (s *scripted) Unsend(_ context.Context, id string) error { return s.note("unsend " + id) }

func (s *scripted) Edit(_ context.Context, r EditRequest) error { return s.note(r) }

func (s *scripted) React(_ context.Context, id, emoji string) error {
	return s.note("react " + id + " " + emoji)
}

func (s *scripted) Timer(_ context.Context, r TimerRequest) (Timers, error) {
	return Timers{Expires: Duration(time.Hour)}, s.note(r)
}

func (s *scripted) Chats(context.Context) ([]Chat, error) {
	return []Chat{{ID: bob, Name: "bob"}}, s.note(nil)
}

func (s *scripted) Chat(_ context.Context, r ChatRequest) (Chat, error) {
	return Chat{ID: bob, Name: "bob", Unread: 2, Muted: ms, Draft: &Draft{Text: "he"}}, s.note(r)
}

func (s *scripted) Search(_ context.Context, r SearchRequest) ([]Message, error) {
	return nil, s.note(r)
}

func (s *scripted) Draft(_ context.Context, r DraftRequest) (Draft, error) {
	return Draft{Text: "he"}, s.note(r)
}

func (s *scripted) Typing(_ context.Context, who string) error { return s.note("typing " + who) }

func (s *scripted) Save(_ context.Context, r SaveRequest) ([]Saved, error) {
	return []Saved{{File: 1, Path: r.Path + "/a.txt", Type: "text/plain", Size: 3}}, s.note(r)
}

func (s *scripted) Transfers(context.Context) ([]Transfer, error) {
	return []Transfer{{ID: msgID, Name: "a", State: TransferRunning, Direction: TransferIn}}, s.note("transfers")
}

func (s *scripted) Look(_ context.Context, r LookRequest) (Preview, error) {
	return Preview{URL: r.URL, Title: "T", Description: "D", Host: "example.org", Image: "aGk="}, s.note(r)
}

func (s *scripted) Settings(_ context.Context, r SettingsRequest) (Settings, error) {
	return Settings{Previews: r.Previews != nil && *r.Previews}, s.note(r)
}

func (s *scripted) CancelTransfer(_ context.Context, id string, file int) error {
	return s.note(fmt.Sprintf("cancel %s %d", id, file))
}

func (s *scripted) Attachment(_ context.Context, id string, file int, offset int64, length int) ([]byte, error) {
	return []byte("abc"), s.note(fmt.Sprintf("attachment %s %d %d %d", id, file, offset, length))
}

func (s *scripted) ConfirmClock(context.Context) error { return s.note("clock") }

func (s *scripted) Read(_ context.Context, req ReadRequest) ([]Message, error) {
	return []Message{{
		ID: msgID, Conversation: bob, From: bob, FromName: "bob", Sent: ms, Received: ms + 1,
		Kind: KindText, Text: "hi\u2028<&>", State: StateRead,
	}}, s.note(req)
}

func (s *scripted) Send(ctx context.Context, req SendRequest) (Sent, error) {
	s.mu.Lock()
	s.entered = append(s.entered, req.Text)
	n := len(s.entered)
	s.mu.Unlock()
	if req.Entered != nil {
		req.Entered()
	}
	if s.send != nil {
		return s.send(ctx, req, n)
	}
	return Sent{ID: msgID, State: StateQueued, Timestamp: ms, To: bob, ToUUID: bobUUID}, s.note(SendRequest{
		To: req.To, Text: req.Text, IdempotencyKey: req.IdempotencyKey, Expires: req.Expires, Burn: req.Burn,
		ReplyTo: req.ReplyTo, Forward: req.Forward, Forwarded: req.Forwarded, Markdown: req.Markdown, Mentions: req.Mentions, Files: req.Files, Preview: req.Preview,
	})
}

func (s *scripted) Wait(ctx context.Context, id, state string) (string, error) {
	if s.wait != nil {
		return s.wait(ctx, id, state)
	}
	return state, nil
}

func (s *scripted) Watch(ctx context.Context, after uint64, started func(uint64), fn func(Event) error) error {
	return s.watch(ctx, after, started, fn)
}

// serve runs a server for d and returns its profile directory and a function
// that stops it.
func serve(t testing.TB, d Daemon) (dir string, stop func()) {
	t.Helper()
	dir = t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	ln, err := Listen(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Daemon: d, Version: "v1", Shutdown: cancel}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error("Serve:", err)
		}
	})
	t.Cleanup(stop)
	return dir, stop
}

// wire is a raw connection.
type wire struct {
	t testing.TB
	c *net.UnixConn
	r *bufio.Reader
}

func dialWire(t testing.TB, dir string) *wire {
	t.Helper()
	c, err := DialRaw(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &wire{t, c.(*net.UnixConn), bufio.NewReaderSize(c, 1<<20)}
}

func (w *wire) write(s string) {
	w.t.Helper()
	if _, err := w.c.Write([]byte(s)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *wire) line() string {
	w.t.Helper()
	if err := w.c.SetReadDeadline(time.Now().Add(90 * time.Second)); err != nil {
		w.t.Fatal(err)
	}
	s, err := w.r.ReadString('\n')
	if err != nil {
		w.t.Fatalf("reading: %v (got %q)", err, s)
	}
	return s[:len(s)-1]
}

// ask sends one request and returns result or error as JSON.
func (w *wire) ask(method, params string) string {
	w.t.Helper()
	w.write(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`+"\n", method, params))
	line := w.line()
	var r struct {
		JSONRPC string
		ID      int
		Result  json.RawMessage
		Error   *struct {
			Code    int
			Message string
			Data    json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(line), &r); err != nil || r.JSONRPC != "2.0" || r.ID != 1 {
		w.t.Fatalf("response %s: %v", line, err)
	}
	if r.Error != nil {
		return string(r.Error.Data)
	}
	return string(r.Result)
}

func code(t testing.TB, err error) string {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("not an api.Error: %v", err)
	}
	return e.Code
}

func (s *scripted) AddRelay(_ context.Context, addrs []string, token string) (Mailbox, error) {
	return Mailbox{Peer: "12D3", State: MailboxWanted}, s.note([]any{addrs, token})
}

func (s *scripted) RemoveRelay(_ context.Context, peer string) error { return s.note(peer) }

func (s *scripted) Mailboxes(context.Context) ([]Mailbox, error) {
	return []Mailbox{{Peer: "12D3", State: MailboxOK}}, s.note(nil)
}

func (s *scripted) ResumeTransfer(_ context.Context, id string, file int) error {
	return s.note(fmt.Sprintf("resume %s %d", id, file))
}

func (s *scripted) Upload(_ context.Context, name string, _ int64, r io.Reader) (Upload, error) {
	n, err := io.Copy(io.Discard, r)
	return Upload{ID: msgID, Name: name, Size: n}, errors.Join(err, s.note("upload "+name))
}

func (s *scripted) DropUpload(_ context.Context, id string) error { return s.note("drop " + id) }
