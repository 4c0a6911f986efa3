package api

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

const bobJSON = `{"id":"` + bob + `","uuid":"` + bobUUID + `","name":"Robert","petname":"bob","state":"approved","verified":true,"keyChanged":false,"request":false,"awaits":false}`

// The shapes are those of the interface's description: other people's scripts
// depend on them.
func TestShapes(t *testing.T) {
	d := &scripted{}
	dir, _ := serve(t, d)
	w := dialWire(t, dir)
	for _, c := range []struct {
		method, params, want string
		seen                 any
	}{
		{"version", `{}`, `{"version":"v1"}`, nil},
		{"id", `{}`, `{"account":"` + ann + `","device":"dev","fingerprint":"fp","uuid":"` + annUUID + `","peer":"12D3","name":""}`, nil},
		{
			"status", `{}`, `{"ready":true,"reachability":"private","addrs":[],"peers":3,"dht":{"enabled":false,"peers":0},"relays":[],` +
				`"outbox":1,"bytes":{"in":1,"out":2},"cpu":0.5,"disk":0,"uptime":0,"contacts":0,"unread":0,"version":"",` +
				`"text":"","network":{"reachability":"","peers":0,"relays":0,"text":""},"why":"","whyCode":"","transports":[],"day":{"in":0,"out":0,"cpu":0,"hours":0},"idle":{"cap":0,"used":0,"state":""},"connections":[],` +
				`"erasure":{"level":"","why":""},"clock":{"doubt":false,"hint":""}}`, nil,
		},
		{
			"invite", `{}`, `{"link":"rushlight:abc","expires":"2023-11-14T22:13:20.123Z"}`,
			InviteRequest{Uses: 1, Expires: 7 * 24 * time.Hour},
		},
		{
			"invite", `{"uses":3,"expires":"2d","needsApproval":true,"note":"x"}`, `{"link":"rushlight:abc","expires":"2023-11-14T22:13:20.123Z"}`,
			InviteRequest{Uses: 3, Expires: 48 * time.Hour, NeedsApproval: true, Note: "x"},
		},
		{"invite", `{"expires":90}`, `{"link":"rushlight:abc","expires":"2023-11-14T22:13:20.123Z"}`, InviteRequest{Uses: 1, Expires: 90 * time.Second}},
		{"approve", `{"who":"bob"}`, `{"contact":` + bobJSON + `}`, "approve bob"},
		{"decline", `{"who":"bob"}`, `{"declined":true}`, "decline bob"},
		{"block", `{"recipient":["bob"]}`, `{"contact":` + bobJSON + `}`, "block bob"},
		{"unblock", `{"recipient":"bob"}`, `{"contact":` + bobJSON + `}`, "unblock bob"},
		{"setName", `{"name":"Anna"}`, `{"account":"` + ann + `","device":"","fingerprint":"","uuid":"` + annUUID + `","peer":"","name":"Anna"}`, nil},
		{"requests", `{}`, `{"contacts":[]}`, nil},
		{"add", `{"link":"rushlight:x","message":"` + strings.Repeat("ä", MaxRequest) + `"}`, `{"contact":` + bobJSON + `,"needsApproval":false}`, AddRequest{Link: "rushlight:x", Message: strings.Repeat("ä", MaxRequest)}},
		{"add", `{"link":"rushlight:x","as":"bob"}`, `{"contact":` + bobJSON + `,"needsApproval":false}`, AddRequest{Link: "rushlight:x", Petname: "bob"}},
		{"contacts", `{}`, `{"contacts":[` + bobJSON + `]}`, nil},
		{"rename", `{"who":"bob","as":"rob"}`, `{"contact":` + bobJSON + `}`, [2]string{"bob", "rob"}},
		{"remove", `{"who":"bob"}`, `{"removed":true}`, "bob"},
		{"verify", `{"who":"bob","number":"12 3"}`, `{"number":"123","verified":false,"qr":"q"}`, VerifyRequest{"bob", "123"}},
		{
			"send", `{"recipient":"bob","message":"hi","idempotencyKey":"k"}`,
			`{"id":"` + msgID + `","state":"queued","timestamp":1700000000123,"results":[{"recipientAddress":{"uuid":"` + bobUUID +
				`","number":null,"username":null},"type":"SUCCESS","id":"` + msgID + `","state":"queued","timestamp":1700000000123}]}`,
			SendRequest{To: "bob", Text: "hi", IdempotencyKey: "k"},
		},
		{
			"send", `{"recipient":"bob","message":"hi","expires":"1d","burn":"off"}`,
			`{"id":"` + msgID + `","state":"queued","timestamp":1700000000123,"results":[{"recipientAddress":{"uuid":"` + bobUUID +
				`","number":null,"username":null},"type":"SUCCESS","id":"` + msgID + `","state":"queued","timestamp":1700000000123}]}`,
			SendRequest{To: "bob", Text: "hi", Expires: new(24 * time.Hour), Burn: new(time.Duration(0))},
		},
		{
			"send", `{"recipient":"bob","message":"*hi* @Ann","replyTo":"` + msgID + `","forwarded":true,"markdown":true,"mentions":[{"start":3,"length":4,"who":"me"}]}`,
			`{"id":"` + msgID + `","state":"queued","timestamp":1700000000123,"results":[{"recipientAddress":{"uuid":"` + bobUUID +
				`","number":null,"username":null},"type":"SUCCESS","id":"` + msgID + `","state":"queued","timestamp":1700000000123}]}`,
			SendRequest{To: "bob", Text: "*hi* @Ann", ReplyTo: msgID, Forwarded: true, Markdown: true, Mentions: []MentionRequest{{3, 4, "me"}}},
		},
		{
			"send", `{"recipient":"bob","attachments":["/a","data:text/plain;filename=b%20c;base64,aGk="],"thumbnails":["","aGk="],"original":true}`,
			`{"id":"` + msgID + `","state":"queued","timestamp":1700000000123,"results":[{"recipientAddress":{"uuid":"` + bobUUID +
				`","number":null,"username":null},"type":"SUCCESS","id":"` + msgID + `","state":"queued","timestamp":1700000000123}]}`,
			SendRequest{To: "bob", Files: []Attachment{{Path: "/a", Original: true, Thumbnail: []byte{}}, {Name: "b c", Data: []byte("hi"), Original: true, Thumbnail: []byte("hi")}}},
		},
		{
			"send", `{"recipient":"bob","message":"https://x.org","preview":{"url":"https://x.org","title":"T","host":"x.org","image":"aGk="}}`,
			`{"id":"` + msgID + `","state":"queued","timestamp":1700000000123,"results":[{"recipientAddress":{"uuid":"` + bobUUID +
				`","number":null,"username":null},"type":"SUCCESS","id":"` + msgID + `","state":"queued","timestamp":1700000000123}]}`,
			SendRequest{To: "bob", Text: "https://x.org", Preview: &PreviewRequest{URL: "https://x.org", Title: "T", Image: []byte("hi")}},
		},
		{
			"send", `{"recipient":"bob","message":"https://x.org","previewUrl":"https://x.org","previewTitle":"T","previewDescription":"D","previewImage":"data:image/jpeg;base64,aGk="}`,
			`{"id":"` + msgID + `","state":"queued","timestamp":1700000000123,"results":[{"recipientAddress":{"uuid":"` + bobUUID +
				`","number":null,"username":null},"type":"SUCCESS","id":"` + msgID + `","state":"queued","timestamp":1700000000123}]}`,
			SendRequest{To: "bob", Text: "https://x.org", Preview: &PreviewRequest{URL: "https://x.org", Title: "T", Description: "D", Image: []byte("hi")}},
		},
		{
			"preview", `{"url":"https://x.org"}`, `{"url":"https://x.org","title":"T","description":"D","host":"example.org","image":"aGk="}`,
			LookRequest{URL: "https://x.org"},
		},
		{"settings", `{"previews":true}`, `{"previews":true}`, SettingsRequest{Previews: new(true)}},
		{"settings", `{}`, `{"previews":false}`, SettingsRequest{}},
		{
			"save", `{"id":"` + msgID + `","file":1,"path":"/tmp"}`, `{"files":[{"file":1,"path":"/tmp/a.txt","type":"text/plain","size":3}]}`,
			SaveRequest{ID: msgID, File: 1, Path: "/tmp"},
		},
		{"save", `{"id":"` + msgID + `","path":"/tmp"}`, `{"files":[{"file":1,"path":"/tmp/a.txt","type":"text/plain","size":3}]}`, SaveRequest{ID: msgID, File: -1, Path: "/tmp"}},
		{
			"transfers", `{}`, `{"transfers":[{"id":"` + msgID + `","file":0,"conversation":"","direction":"in","name":"a","size":0,"have":0,"rate":0,"left":0,"state":"running"}]}`,
			"transfers",
		},
		{"cancelTransfer", `{"id":"` + msgID + `","file":2}`, `{}`, "cancel " + msgID + " 2"},
		{"getAttachment", `{"id":"` + msgID + `-3","offset":2,"length":5}`, `{"data":"YWJj"}`, "attachment " + msgID + " 3 2 5"},
		{"delete", `{"id":"` + msgID + `"}`, `{"deleted":true}`, "delete " + msgID},
		{"unsend", `{"id":"` + msgID + `"}`, `{"id":"` + msgID + `"}`, "unsend " + msgID},
		{"edit", `{"id":"` + msgID + `","message":"new","markdown":true}`, `{"id":"` + msgID + `"}`, EditRequest{ID: msgID, Text: "new", Markdown: true}},
		{
			"edit", `{"id":"` + msgID + `","message":"new","preview":{"url":""}}`, `{"id":"` + msgID + `"}`,
			EditRequest{ID: msgID, Text: "new", Preview: &PreviewRequest{Image: []byte{}}},
		},
		{"react", `{"id":"` + msgID + `","emoji":"👍"}`, `{"id":"` + msgID + `"}`, "react " + msgID + " 👍"},
		{
			"timer", `{"who":"bob","expires":"1h","burn":"off"}`, `{"expires":"1h","burn":null}`,
			TimerRequest{Who: "bob", Expires: new(time.Hour), Burn: new(time.Duration(0))},
		},
		{
			"conversations", `{}`, `{"conversations":[{"id":"` + bob + `","name":"bob","unread":0,"last":null,"pinned":false,"archived":false,` +
				`"muted":null,"receipts":false,"typing":false,"timer":{"expires":null,"burn":null},"draft":null}]}`, nil,
		},
		{
			"conversation", `{"who":"bob","mute":"8h","pinned":true,"typing":false}`,
			`{"conversation":{"id":"` + bob + `","name":"bob","unread":2,"last":null,"pinned":false,"archived":false,` +
				`"muted":"2023-11-14T22:13:20.123Z","receipts":false,"typing":false,"timer":{"expires":null,"burn":null},"draft":{"text":"he","replyTo":null}}}`,
			ChatRequest{Who: "bob", Mute: new(8 * time.Hour), Pinned: new(true), Typing: new(false)},
		},
		{"search", `{"query":"x y","in":"bob","limit":7}`, `{"messages":[]}`, SearchRequest{Query: "x y", In: "bob", Limit: 7}},
		{"draft", `{"who":"bob","text":"he"}`, `{"text":"he","replyTo":null}`, DraftRequest{Who: "bob", Text: new("he")}},
		{"sendTyping", `{"recipient":["bob"]}`, `{}`, "typing bob"},
		{"confirmClock", `{}`, `{"confirmed":true}`, "clock"},
		{"wait", `{"id":"` + msgID + `","state":"delivered"}`, `{"id":"` + msgID + `","state":"delivered"}`, nil},
		{
			"read", `{"who":"bob","limit":5,"before":"` + msgID + `","unread":true,"peek":true}`,
			`{"messages":[{"id":"` + msgID + `","conversation":"` + bob + `","from":"` + bob + `","fromName":"bob","mine":false,` +
				`"sent":"2023-11-14T22:13:20.123Z","received":"2023-11-14T22:13:20.124Z","kind":"text","text":"hi\u2028\u003c\u0026\u003e","state":"read",` +
				`"expires":null,"burn":null,"burnsAt":null,"replyTo":null,"edited":false,"deleted":false,"reactions":[],"files":[],"preview":null,"waiting":false,` +
				`"quote":null,"forwarded":false,"styles":[],"mentions":[],"timer":null}]}`,
			ReadRequest{Who: "bob", Limit: 5, Before: msgID, Unread: true, Peek: true},
		},
		{"check", `{}`, `{"ok":true,"checked":{"messages":2},"problems":[]}`, nil},
		{
			"listContacts", `{"account":"` + annUUID + `","recipient":["` + bobUUID + `"]}`,
			`[{"number":null,"uuid":"` + bobUUID + `","username":null,"name":"bob","givenName":"Robert","familyName":null,"nickName":"bob",` +
				`"isBlocked":false,"isHidden":false,"messageExpirationTime":0,"profile":{"givenName":"Robert","familyName":null},` +
				`"id":"` + bob + `","petname":"bob","state":"approved","verified":true,"keyChanged":false}]`, nil,
		},
		{"listContacts", `{"recipient":"nobody"}`, `[]`, nil},
		{"unwatch", `{}`, `{"stopped":false}`, nil},
	} {
		d.last = nil
		if got := w.ask(c.method, c.params); got != c.want {
			t.Errorf("%s %s:\n got %s\nwant %s", c.method, c.params, got, c.want)
		}
		if c.seen != nil && !reflect.DeepEqual(d.last, c.seen) {
			t.Errorf("%s %s: the daemon saw %+v, want %+v", c.method, c.params, d.last, c.seen)
		}
	}
}

func TestRefusedParameters(t *testing.T) {
	d := &scripted{}
	dir, _ := serve(t, d)
	w := dialWire(t, dir)
	long := strings.Repeat("a", MaxText+1)
	for _, c := range []struct{ method, params, code string }{
		{"send", `{"recipient":"bob","message":"hi","mesage":"x"}`, CodeUsage},
		{"send", `["bob","hi"]`, CodeUsage},
		{"send", `{"recipient":"bob","attachments":[""]}`, CodeUsage},
		{"send", `{"recipient":"bob","attachments":["data:text/plain,hi"]}`, CodeUsage},
		{"send", `{"recipient":"bob","attachments":["/a"],"thumbnails":["a picture"]}`, CodeUsage},
		{"send", `{"recipient":"bob","attachments":["/a"],"thumbnails":["","aGk="]}`, CodeUsage},
		{"send", `{"recipient":"bob","attachments":["/a"],"thumbnails":["` + strings.Repeat("AAAA", 22000) + `"]}`, CodeUsage},
		{"send", `{"recipient":"bob","attachments":[],"message":""}`, CodeEmptyText},
		{"save", `{"id":"` + msgID + `"}`, CodeUsage},
		{"save", `{"id":"` + msgID + `","path":"/x","file":-1}`, CodeUsage},
		{"getAttachment", `{"id":"` + msgID + `-01"}`, CodeUsage},
		{"send", `{"message":"hi"}`, CodeUsage},
		{"send", `{"recipient":[],"message":"hi"}`, CodeUsage},
		{"send", `{"recipient":"","message":"hi"}`, CodeUsage},
		{"send", `{"recipient":7,"message":"hi"}`, CodeUsage},
		{"send", `{"recipient":"bob","message":""}`, CodeEmptyText},
		{"send", `{"recipient":"bob"}`, CodeEmptyText},
		{"send", `{"recipient":"bob","message":" \n\t"}`, CodeEmptyText},
		{"send", `{"recipient":"bob","message":"` + long + `"}`, CodeTextTooLong},
		{"send", "{\"recipient\":\"bob\",\"message\":\"\xff\"}", CodeNotText},
		{"send", `{"recipient":"bob","message":"\ud800"}`, CodeNotText},
		{"send", `{"recipient":"bob","message":"hi","account":"` + bob + `"}`, CodeUsage},
		{"send", `{"recipient":"bob","message":"hi","idempotencyKey":"` + strings.Repeat("k", 129) + `"}`, CodeUsage},
		{"send", `{"recipient":"bob","message":"hi","expires":"4s"}`, CodeBadDuration},
		{"send", `{"recipient":"bob","message":"hi","expires":"367d"}`, CodeBadDuration},
		{"send", `{"recipient":"bob","message":"hi","expires":"5500ms"}`, CodeBadDuration},
		{"send", `{"recipient":"bob","message":"hi","expires":"soon"}`, CodeBadDuration},
		{"send", `{"recipient":"bob","message":"hi","expires":"0s"}`, CodeBadDuration},
		{"send", `{"recipient":"bob","message":"hi","burn":"0s"}`, CodeBadDuration},
		{"send", `{"recipient":"bob","message":"hi","burn":"999ms"}`, CodeBadDuration},
		{"send", `{"recipient":"bob","message":"hi","burn":"8d"}`, CodeBadDuration},
		{"send", `{"recipient":"bob","message":"hi","burn":-1}`, CodeBadDuration},
		{"send", `{"recipient":"bob","message":"hi","replyTo":"x"}`, CodeUsage},
		{"send", `{"recipient":"bob","message":"hi","forward":"` + msgID + `"}`, CodeUsage},
		{"send", `{"recipient":"bob","message":"hi","mentions":[{"who":""}]}`, CodeUsage},
		{"conversation", `{"who":"bob","mute":"400d"}`, CodeBadDuration},
		{"conversation", `{"who":"bob","pinned":"yes"}`, CodeUsage},
		{"draft", `{"who":"bob","text":"` + long + `"}`, CodeTextTooLong},
		{"sendTyping", `{}`, CodeUsage},
		{"search", `{"query":" "}`, CodeUsage},
		{"search", `{"query":"x","limit":-1}`, CodeUsage},
		{"delete", `{"id":"x"}`, CodeUsage},
		{"edit", `{"id":"x","message":"new"}`, CodeUsage},
		{"edit", `{"id":"` + msgID + `","message":""}`, CodeEmptyText},
		{"unsend", `{}`, CodeUsage},
		{"react", `{"id":"` + msgID + `","emoji":"a b"}`, CodeUsage},
		{"timer", `{"who":"bob","expires":"1s"}`, CodeBadDuration},
		{"invite", `{"uses":0}`, CodeUsage},
		{"invite", `{"expires":"0s"}`, CodeUsage},
		{"invite", `{"expires":"soon"}`, CodeUsage},
		{"invite", `{"expires":"-5m"}`, CodeUsage},
		{"add", `{}`, CodeUsage},
		{"add", `{"link":"x","message":" "}`, CodeEmptyText},
		{"add", `{"link":"x","message":"` + strings.Repeat("ä", MaxRequest+1) + `"}`, CodeTextTooLong},
		{"add", `{"link":"x","as":"a\u001bb"}`, CodeUsage},
		{"rename", `{"who":"bob","as":"` + strings.Repeat("n", MaxPetname+1) + `"}`, CodeUsage},
		{"rename", `{"as":"bob"}`, CodeUsage},
		{"verify", `{"who":"bob","number":"12a"}`, CodeUsage},
		{"wait", `{"id":"x","state":"read"}`, CodeUsage},
		{"wait", `{"id":"` + msgID + `","state":"failed"}`, CodeUsage},
		{"read", `{"who":"bob","limit":-1}`, CodeUsage},
		{"read", `{"who":"bob","before":"` + strings.ToUpper(msgID) + `"}`, CodeUsage},
		{"id", `{"x":1}`, CodeUsage},
		{"nosuch", `{}`, CodeUnknownMethod},
		{"rpc.serverInfo", `{}`, CodeUnknownMethod},
	} {
		if got := w.ask(c.method, c.params); !strings.HasPrefix(got, `{"code":"`+c.code+`","message":`) {
			t.Errorf("%s %.80s: %s, want %s", c.method, c.params, got, c.code)
		}
	}
	if len(d.entered) != 0 {
		t.Errorf("the daemon saw %d messages", len(d.entered))
	}
	// The controls: what is just allowed.
	for _, text := range []string{strings.Repeat("a", MaxText), `\ufffd`, "\ufffd", `\ud83d\ude00`, strings.Repeat(`\u0061`, MaxText)} {
		if got := w.ask("send", `{"recipient":"bob","message":"`+text+`"}`); !strings.HasPrefix(got, `{"id":`) {
			t.Errorf("send %.20s…: %s", text, got)
		}
	}
}

func TestDaemonErrors(t *testing.T) {
	first := uint64(17)
	d := &scripted{err: fmt.Errorf("sending: %w", &Error{CodeGone, "too old", "start over", &first})}
	dir, _ := serve(t, d)
	w := dialWire(t, dir)
	if got, want := w.ask("contacts", `{}`), `{"code":"gone","message":"too old","hint":"start over","first":17}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	d.err = fmt.Errorf("writing the log: %w", fmt.Errorf("boom"))
	if got, want := w.ask("contacts", `{}`), `{"code":"internal","message":"writing the log: boom","hint":""}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// Through the client it is the same Error.
	c, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d.err = Errorf(CodeBlocked, "blocked")
	if got := code(t, c.Call(t.Context(), "contacts", nil, nil)); got != CodeBlocked {
		t.Errorf("code %s", got)
	}
}

func TestSendToSeveral(t *testing.T) {
	d := &scripted{}
	dir, _ := serve(t, d)
	w := dialWire(t, dir)
	d.err = Errorf(CodeUnknownContact, "no such contact")
	if got := w.ask("send", `{"recipient":["x","y"],"message":"hi"}`); !strings.HasPrefix(got, `{"code":"unknown_contact"`) {
		t.Errorf("all failed: %s", got)
	}
	d.err = nil
	got := w.ask("send", `{"recipient":"bob","recipients":["ann"],"message":"hi","idempotencyKey":"k"}`)
	if strings.Count(got, `"type":"SUCCESS"`) != 2 {
		t.Errorf("two recipients: %s", got)
	}
	if k := d.last.(SendRequest).IdempotencyKey; k == "k" {
		t.Error("both messages have one idempotency key")
	}
}

func TestExitCodes(t *testing.T) {
	for code, want := range map[string]int{
		CodeUsage: 2, CodeEmptyText: 2, CodeTextTooLong: 2, CodeFileTooLarge: 2, CodeUnknownContact: 2, CodeAmbiguousContact: 2, CodeMistypedID: 2,
		CodeInviteDamaged: 2, CodeNoPassphrase: 2, CodeNoDaemon: 3, CodeTimeout: 4, CodeWrongPassphrase: 5, CodeInviteExpired: 5,
		CodeInviteUsed: 5, CodeBlocked: 5, CodeNotVerified: 5, CodeNotApproved: 5, CodeDiskFull: 1, CodeAlreadyRunning: 1,
		CodeCorruptStore: 1, CodeInternal: 1, "something new": 1,
	} {
		if got := ExitCode(code); got != want {
			t.Errorf("%s: %d, want %d", code, got, want)
		}
	}
}

func TestDurations(t *testing.T) {
	day := 24 * time.Hour
	for s, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "7d": 7 * day, "2w": 14 * day, "1w2d3h": 9*day + 3*time.Hour, "1.5d": 36 * time.Hour,
		"1h30m": 90 * time.Minute, "0": 0, "0s": 0, "0d": 0, "500ms": 500 * time.Millisecond,
	} {
		got, err := ParseDuration(s)
		if err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", s, got, err, want)
		}
		if back, err := ParseDuration(FormatDuration(want)); err != nil || back != want {
			t.Errorf("%v is written as %q", want, FormatDuration(want))
		}
	}
	for _, s := range []string{"", "7", "d", "-7d", "-1h", "+1h", "1d-1h", "7 d", "1x", "1dd", "1d1", "101y", "99999w", "NaNd", "1e9d", "infd", ".d"} {
		if got, err := ParseDuration(s); err == nil {
			t.Errorf("%q was read as %v", s, got)
		}
	}
}

func TestTimeRoundTrip(t *testing.T) {
	for _, ms := range []Time{0, 1, 1_700_000_000_000, 1_700_000_000_123} {
		b, err := ms.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var back Time
		if err := back.UnmarshalJSON(b); err != nil || back != ms {
			t.Errorf("%d became %s became %d, %v", ms, b, back, err)
		}
	}
}
