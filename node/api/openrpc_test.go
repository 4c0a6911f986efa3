package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image/color"
	"maps"
	"slices"
	"strings"
	"testing"
)

// samples are parameters of a call of each method that has any, with every
// parameter there is.
var samples = map[string]string{
	"invite":       `{"uses":2,"expires":"1d","needsApproval":true,"note":"n"}`,
	"add":          `{"link":"rushlight:abc","as":"bob","message":"hello","replace":false}`,
	"listContacts": `{"account":"` + ann + `","recipient":["` + bob + `"],"recipients":[],"allRecipients":true,"blocked":false,"name":null}`,
	"rename":       `{"who":"bob","as":"rob"}`,
	"remove":       `{"who":"bob"}`,
	"approve":      `{"account":"","who":"bob","recipient":null}`,
	"decline":      `{"account":"","who":"bob","recipient":null}`,
	"block":        `{"account":"","who":"bob","recipient":null}`,
	"unblock":      `{"account":"","who":"bob","recipient":null}`,
	"setName":      `{"name":"Anna"}`,
	"recovery":     `{"confirmed":true}`,
	"qr":           `{"text":"x"}`,
	"verify":       `{"who":"bob","number":"123"}`,
	"send": `{"account":"","recipient":"bob","recipients":[],"message":"hi","attachments":["/a"],"attachment":[],"thumbnails":[""],"voice":{"duration":1000,"wave":"AQI="},"original":true,"fullSize":true,"quoteTimestamp":1700000000123,"quoteAuthor":"bob","quoteMessage":"q","groupId":[],"idempotencyKey":"k","expires":"1h","burn":"off",` +
		`"replyTo":"` + msgID + `","forward":"","forwarded":false,"markdown":true,"mentions":[{"start":0,"length":1,"who":"bob"}],` +
		`"preview":{"url":"https://x.org","title":"T","description":"D","host":"x.org","image":"aGk="},"previewUrl":"","previewTitle":"","previewDescription":"","previewImage":""}`,
	"preview":          `{"url":"https://x.org","text":""}`,
	"settings":         `{"previews":true,"lockAfter":"15m","notify":"plain"}`,
	"wait":             `{"id":"` + msgID + `","state":"read","timeout":"5s"}`,
	"read":             `{"who":"bob","limit":3,"before":"` + msgID + `","after":"","around":"","unread":true,"peek":true}`,
	"markRead":         `{"ids":["` + msgID + `"]}`,
	"message":          `{"id":"` + msgID + `"}`,
	"search":           `{"query":"x","in":"bob","limit":3}`,
	"react":            `{"id":"` + msgID + `","emoji":"👍"}`,
	"edit":             `{"id":"` + msgID + `","message":"m","markdown":false,"mentions":[],"preview":{"url":"https://x.org","title":"T","description":"D","host":"x.org","image":"aGk="}}`,
	"unsend":           `{"id":"` + msgID + `"}`,
	"delete":           `{"id":"` + msgID + `"}`,
	"conversation":     `{"who":"bob","mute":"1h","pinned":true,"archived":false,"receipts":true,"typing":false}`,
	"timer":            `{"who":"bob","expires":"1h","burn":"off"}`,
	"draft":            `{"who":"bob","text":"he","replyTo":"` + msgID + `"}`,
	"sendTyping":       `{"account":"","recipient":"bob","recipients":[],"groupId":null,"stop":false,"when":true}`,
	"watch":            `{"after":0}`,
	"save":             `{"id":"` + msgID + `","file":0,"path":"/tmp","timeout":"1m"}`,
	"sendReaction":     `{"account":"","recipient":"bob","recipients":[],"groupId":null,"emoji":"👍","targetAuthor":"bob","targetTimestamp":1700000000123,"targetSentTimestamp":0,"remove":false}`,
	"remoteDelete":     `{"account":"","recipient":"bob","recipients":[],"groupId":null,"targetTimestamp":1700000000123}`,
	"sendReceipt":      `{"account":"","recipient":"bob","recipients":[],"groupId":null,"targetTimestamp":1700000000123,"targetTimestamps":[],"timestamps":[1700000000123],"type":"read"}`,
	"subscribeReceive": `{"account":""}`,
	"listGroups":       `{"account":"","detailed":true,"groupId":[]}`,
	"listIdentities":   `{"account":"","number":null,"recipient":"bob"}`,
	"trust":            `{"account":"","recipient":"bob","verifiedSafetyNumber":"123","safetyNumber":"","trustAllKnownKeys":false,"verified":true}`,
	"updateContact":    `{"account":"","recipient":"bob","name":"rob"}`,
	"addRelay":         `{"addr":"/ip4/1","token":"00"}`,
	"cancelTransfer":   `{"id":"` + msgID + `","file":0}`,
	"resumeTransfer":   `{"id":"` + msgID + `","file":0}`,
	"getAttachment":    `{"account":"","id":"` + msgID + `-0","recipient":"bob","groupId":"","offset":0,"length":5}`,
	"removeRelay":      `{"peer":"12D3"}`,
	"createToken":      `{"name":"n","scopes":["read"],"conversation":"bob"}`,
	"revokeToken":      `{"id":"x"}`,
	"unlock":           `{"passphrase":"p"}`,
	"wipe":             `{"yes":true}`,
	"backup":           `{"path":"/b","passphrase":"p","expiring":true}`,
}

// document is what a client reads of the OpenRPC document.
type document struct {
	OpenRPC string
	Info    struct{ Title, Version string }
	Methods []struct {
		Name, Summary string
		Params        []struct {
			Name     string
			Required bool
			Schema   map[string]any
		}
		Result struct{ Schema map[string]any }
	}
	Components struct{ Schemas map[string]map[string]any }
	Pushed     map[string]map[string]any `json:"x-notifications"`
}

func describe(t *testing.T) *document {
	t.Helper()
	b, err := (&Server{Version: "v1"}).OpenRPC()
	if err != nil {
		t.Fatal(err)
	}
	d := &document{}
	if err := json.Unmarshal(b, d); err != nil {
		t.Fatal(err)
	}
	return d
}

// check returns what is wrong with a value under a schema.
func (d *document) check(s map[string]any, v any, at string) error {
	if ref, ok := s["$ref"].(string); ok {
		def, ok := d.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")]
		if !ok || def == nil {
			return fmt.Errorf("%s: %s isn't there", at, ref)
		}
		return d.check(def, v, at)
	}
	if choices, ok := s["oneOf"].([]any); ok {
		var last error
		for _, one := range choices {
			if last = d.check(one.(map[string]any), v, at); last == nil {
				return nil
			}
		}
		return last
	}
	types, ok := s["type"].([]any)
	if !ok {
		types = []any{s["type"]}
	}
	kind := map[bool]string{true: "null"}[v == nil]
	switch v := v.(type) {
	case bool:
		kind = "boolean"
	case float64:
		if kind = "number"; v == float64(int64(v)) && slices.Contains(types, any("integer")) {
			kind = "integer"
		}
	case string:
		kind = "string"
	case []any:
		kind = "array"
		for i, one := range v {
			if items, ok := s["items"].(map[string]any); ok {
				if err := d.check(items, one, fmt.Sprintf("%s[%d]", at, i)); err != nil {
					return err
				}
			}
		}
	case map[string]any:
		kind = "object"
		properties, _ := s["properties"].(map[string]any)
		required, _ := s["required"].([]any)
		for _, name := range required {
			if _, ok := v[name.(string)]; !ok {
				return fmt.Errorf("%s: %s is missing", at, name)
			}
		}
		for name, one := range v {
			p, ok := properties[name].(map[string]any)
			if !ok {
				p, ok = s["additionalProperties"].(map[string]any)
			}
			if !ok {
				return fmt.Errorf("%s: %s isn't described", at, name)
			}
			if err := d.check(p, one, at+"."+name); err != nil {
				return err
			}
		}
	}
	if !slices.Contains(types, any(kind)) {
		return fmt.Errorf("%s: %s is not one of %v", at, kind, types)
	}
	return nil
}

// givesRights is a Rights.
type givesRights struct{}

func (givesRights) Base() string                                 { return "http://127.0.0.1:1" }
func (givesRights) Link() string                                 { return "http://127.0.0.1:1/#code=x" }
func (givesRights) Create(string, Grant) (string, string, error) { return "t", "i", nil }
func (givesRights) Revoke(string) error                          { return nil }
func (givesRights) List() []Token {
	return []Token{{ID: "i", Kind: "token", Scopes: []string{ScopeRead}, Created: ms}}
}

// TestOpenRPC calls every method with every parameter that the document names,
// and finds the answer as the document says.
func TestOpenRPC(t *testing.T) {
	d := describe(t)
	if d.OpenRPC == "" || d.Info.Version != "v1" || len(d.Methods) != len(table) {
		t.Fatalf("%q, version %q, %d methods of %d", d.OpenRPC, d.Info.Version, len(d.Methods), len(table))
	}
	for name := range samples {
		if _, ok := table[name]; !ok {
			t.Errorf("there is no method %s", name)
		}
	}
	for _, m := range d.Methods {
		t.Run(m.Name, func(t *testing.T) {
			sample := samples[m.Name]
			switch {
			case m.Name == "readQR":
				picture := asPNG(t, drawQR(t, "RUSHLIGHT", 4, 0, 0, color.Black, color.White))
				sample = `{"image":"` + base64.StdEncoding.EncodeToString(picture) + `"}`
			case sample == "":
				sample = "{}"
			}
			var given map[string]any
			if err := json.Unmarshal([]byte(sample), &given); err != nil {
				t.Fatal(err)
			}
			named := map[string]bool{}
			for _, p := range m.Params {
				named[p.Name] = true
				v, ok := given[p.Name]
				if !ok {
					t.Errorf("the sample lacks %s", p.Name)
				} else if err := d.check(p.Schema, v, p.Name); err != nil {
					t.Error(err)
				}
			}
			for name := range given {
				if !named[name] {
					t.Errorf("the parameter %s isn't described", name)
				}
			}
			if strings.TrimSpace(m.Summary) == "" {
				t.Error("it isn't said what it does")
			}
			result := call(t, m.Name, sample)
			if err := d.check(m.Result.Schema, result, m.Name); err != nil {
				t.Error(err)
			}
			for _, p := range m.Params {
				if !p.Required {
					continue
				}
				less := maps.Clone(given)
				delete(less, p.Name)
				b, err := json.Marshal(less)
				if err != nil {
					t.Fatal(err)
				}
				if got := rawCall(t, m.Name, string(b)); got["error"] == nil {
					t.Errorf("it works without %s", p.Name)
				}
			}
			if got := rawCall(t, m.Name, `{"nonsense":1}`); got["error"] == nil {
				t.Error("a parameter that isn't there is taken")
			}
		})
	}
}

func call(t *testing.T, method, params string) any {
	t.Helper()
	m := rawCall(t, method, params)
	if m["error"] != nil {
		t.Fatalf("%s %s: %v", method, params, m["error"])
	}
	return m["result"]
}

// rawCall calls a method of a daemon that has something of everything.
func rawCall(t *testing.T, method, params string) map[string]any {
	t.Helper()
	s := &Server{
		Daemon: &scripted{watch: func(ctx context.Context, _ uint64, started func(uint64), _ func(Event) error) error {
			started(3)
			<-ctx.Done()
			return ctx.Err()
		}},
		Version: "v1", Rights: givesRights{}, Shutdown: func() {}, Lock: func() {}, Choose: func(r ChoicesRequest) (Choices, error) { return r.On(Choices{Notify: NotifyPlain}) }, Recovery: func(bool) string { return "code" }, Wipe: func() error { return nil },
		Unlock: func(context.Context, []byte) error { return nil },
		Backup: func(context.Context, BackupRequest) (Backup, error) { return Backup{Contacts: 1}, nil },
	}
	if method == "unlock" {
		s.Daemon = nil
	}
	body := []byte(`{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":` + params + `}`)
	o := &oneShot{in: oneLine(body), more: make(chan struct{}), ctx: t.Context()}
	s.serveConn(t.Context(), o, Owner, true)
	line, _, _ := bytes.Cut(o.out, []byte("\n"))
	var m map[string]any
	if err := json.Unmarshal(line, &m); err != nil {
		t.Fatalf("%s: %v", o.out, err)
	}
	return m
}

// TestOpenRPCControl: a document that is wrong is noticed.
func TestOpenRPCControl(t *testing.T) {
	d := describe(t)
	contact := map[string]any{"$ref": "#/components/schemas/Contact"}
	var good map[string]any
	b, err := json.Marshal(bobContact)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &good); err != nil {
		t.Fatal(err)
	}
	if err := d.check(contact, good, ""); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(map[string]any){
		"missing":    func(m map[string]any) { delete(m, "uuid") },
		"wrong type": func(m map[string]any) { m["verified"] = "yes" },
		"unknown":    func(m map[string]any) { m["shoe"] = 43 },
		"null":       func(m map[string]any) { m["name"] = nil },
	} {
		bad := maps.Clone(good)
		spoil(bad)
		if d.check(contact, bad, "") == nil {
			t.Errorf("%s isn't noticed", name)
		}
	}
}
