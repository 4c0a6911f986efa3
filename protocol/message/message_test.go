package message_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rushlight/protocol/envelope"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/wire"
)

func sample() *message.Message {
	body, err := (&message.Body{Type: message.TypeText, Text: "hello"}).Marshal()
	if err != nil {
		panic(err)
	}
	return &message.Message{
		Header: message.Header{
			Conversation: message.ConversationID{1},
			Author:       identity.DeviceID{2},
			Seq:          2,
			Prev:         [32]byte{3},
			Parents:      []message.ID{{4}, {5}},
			HLC:          6 << 16,
			VDig:         [8]byte{7},
		},
		Type: message.TypeText,
		Body: body,
	}
}

func drawMessage(t *rapid.T) *message.Message {
	m := &message.Message{Type: message.Type(rapid.Uint16().Draw(t, "type"))}
	copy(m.Conversation[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "conversation"))
	copy(m.Author[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "author"))
	m.Seq = rapid.Uint64Range(1, message.MaxSeq).Draw(t, "seq")
	if m.Seq > 1 {
		m.Prev = [32]byte{1}
	}
	for i := range rapid.IntRange(0, message.MaxParents).Draw(t, "parents") {
		m.Parents = append(m.Parents, message.ID{byte(i), 1})
	}
	m.HLC = rapid.Uint64().Draw(t, "hlc")
	w := wire.NewWriter(nil)
	for i := range rapid.IntRange(0, 4).Draw(t, "records") {
		w.Record(uint16(i*3), rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "value"))
	}
	m.Body = w.Out()
	return m
}

func TestMessageRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMessage(t)
		b, err := m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := message.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		again, err := got.Marshal()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("re-encodes differently, %v", err)
		}
		if got.ID() != m.ID() || got.Hash() != m.Hash() {
			t.Fatal("the id changes on the way")
		}
		at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
		b[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if other, err := message.Parse(b); err == nil && other.ID() == m.ID() {
			t.Fatalf("byte %d is not in the id", at)
		}
	})
}

func TestMessageRules(t *testing.T) {
	if _, err := sample().Marshal(); err != nil {
		t.Fatalf("control: %v", err)
	}
	good, _ := sample().Marshal()
	for name, change := range map[string]func(*message.Message){
		"number 0":             func(m *message.Message) { m.Seq = 0 },
		"number over limit":    func(m *message.Message) { m.Seq = message.MaxSeq + 1 },
		"first with prev":      func(m *message.Message) { m.Seq = 1 },
		"second without prev":  func(m *message.Message) { m.Prev = [32]byte{} },
		"parents unsorted":     func(m *message.Message) { slices.Reverse(m.Parents) },
		"parent twice":         func(m *message.Message) { m.Parents[1] = m.Parents[0] },
		"nine parents":         func(m *message.Message) { m.Parents = slices.Repeat(m.Parents, 5)[:9] },
		"body over limit":      func(m *message.Message) { m.Body = wire.NewWriter(nil).Record(1, make([]byte, message.MaxBody)).Out() },
		"body no records":      func(m *message.Message) { m.Body = []byte{1} },
		"records out of order": func(m *message.Message) { m.Body = wire.NewWriter(nil).Record(2, nil).Record(1, nil).Out() },
	} {
		m := sample()
		change(m)
		if _, err := m.Marshal(); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, b := range map[string][]byte{
		"empty":     nil,
		"truncated": good[:len(good)-1],
		"trailing":  append(bytes.Clone(good), 0),
	} {
		if _, err := message.Parse(b); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnknownTypeIsKept(t *testing.T) {
	m := sample()
	m.Type = 60_000
	m.Body = wire.NewWriter(nil).Record(7, []byte("new")).Record(900, nil).Out()
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := message.Parse(b)
	if err != nil || got.Type != 60_000 || !bytes.Equal(got.Body, m.Body) {
		t.Errorf("got type %d, %v", got.Type, err)
	}
}

func TestIDs(t *testing.T) {
	id := sample().ID()
	got, err := message.ParseID(id.String())
	if err != nil || got != id {
		t.Errorf("%v, %v", got, err)
	}
	for _, s := range []string{"", id.String()[1:], id.String() + "0", strings.ToUpper(message.ID{0xab}.String()), strings.Repeat("g", 32)} {
		if _, err := message.ParseID(s); !errors.Is(err, message.ErrMistyped) {
			t.Errorf("%q: %v", s, err)
		}
		if _, err := message.ParseConversationID(s); !errors.Is(err, message.ErrMistyped) {
			t.Errorf("conversation %q: %v", s, err)
		}
	}
	var back message.ID
	text, _ := id.MarshalText()
	if err := back.UnmarshalText(text); err != nil || back != id {
		t.Errorf("as text: %v", err)
	}
	conv := message.ConversationID{9, 1}
	if got, err := message.ParseConversationID(conv.String()); err != nil || got != conv {
		t.Errorf("conversation: %v, %v", got, err)
	}
	a, b := identity.AccountID{1}, identity.AccountID{2}
	if message.DirectConversation(a, b) != message.DirectConversation(b, a) {
		t.Error("the conversation depends on who asks")
	}
	if message.DirectConversation(a, b) == message.DirectConversation(a, a) {
		t.Error("two conversations have one id")
	}
}

func TestText(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"longest":  {strings.Repeat("x", message.MaxText), nil},
		"short":    {"ü", nil},
		"empty":    {"", message.ErrEmpty},
		"too long": {strings.Repeat("x", message.MaxText+1), message.ErrTooLong},
		"not text": {"a\xff", message.ErrNotText},
		"half":     {"ü"[:1], message.ErrNotText},
	} {
		body, err := message.NewBody(c.text, message.Lifetime{})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if c.want != nil {
			body = wire.NewWriter(nil).Record(1, []byte(c.text)).Out()
		}
		got, err := message.ParseText(body)
		if !errors.Is(err, c.want) || err == nil && got.Text != c.text {
			t.Errorf("%s, parsed: %v", name, err)
		}
	}
	if !strings.Contains(message.ErrTooLong.Error(), "49152") {
		t.Errorf("%q does not name the limit", message.ErrTooLong)
	}
	long := message.Body{Type: message.TypeText, Text: "x", Rest: []wire.Record{{Type: 99, Value: make([]byte, message.MaxBody)}}}
	if _, err := long.Marshal(); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("body over its limit: %v", err)
	}
}

func TestTextKeepsUnknownRecords(t *testing.T) {
	body := wire.NewWriter(nil).Record(1, []byte("hi")).Record(59, []byte{9}).Record(700, nil).Out()
	got, err := message.ParseText(body)
	if err != nil {
		t.Fatal(err)
	}
	again, err := got.Marshal()
	if err != nil || !bytes.Equal(again, body) {
		t.Errorf("%x, %v", again, err)
	}
}

func TestLifetimes(t *testing.T) {
	day := 24 * time.Hour
	for _, c := range []struct {
		l    message.Lifetime
		want error
	}{
		{message.Lifetime{}, nil},
		{message.Lifetime{Expiry: 5 * time.Second, Burn: time.Second}, nil},
		{message.Lifetime{Expiry: 365 * day, Burn: 7 * day}, nil},
		{message.Lifetime{Expiry: 4 * time.Second}, message.ErrExpiry},
		{message.Lifetime{Expiry: 367 * day}, message.ErrExpiry},
		{message.Lifetime{Expiry: 5500 * time.Millisecond}, message.ErrExpiry},
		{message.Lifetime{Expiry: -time.Minute}, message.ErrExpiry},
		{message.Lifetime{Burn: 8 * day}, message.ErrBurn},
		{message.Lifetime{Burn: time.Millisecond}, message.ErrBurn},
	} {
		body, err := message.NewBody("x", c.l)
		if !errors.Is(err, c.want) {
			t.Errorf("%v: %v", c.l, err)
		}
		if err != nil {
			continue
		}
		if got, err := message.LifetimeOf(body); err != nil || got != c.l {
			t.Errorf("%v, read: %v %v", c.l, got, err)
		}
		text, err := message.ParseText(body)
		if err != nil || text.Lifetime != c.l || text.Salt == [16]byte{} {
			t.Errorf("%v, parsed: %+v %v", c.l, text, err)
		}
	}
	for name, rec := range map[string]wire.Record{
		"short salt": {Type: 2, Value: []byte{1}}, "no salt": {Type: 2, Value: make([]byte, 16)},
		"no expiry": {Type: 3, Value: make([]byte, 4)}, "long expiry": {Type: 3, Value: make([]byte, 5)},
		"too long a burn": {Type: 4, Value: []byte{1, 0, 0, 0}},
	} {
		body := wire.NewWriter(nil).Record(1, []byte("x")).Record(rec.Type, rec.Value).Out()
		if _, err := message.ParseText(body); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Two messages with the same text have different hashes, whatever else is the
// same: what is kept of an erased text doesn't tell whether a guess is right.
func TestSalt(t *testing.T) {
	a, b := sample(), sample()
	if a.BodyHash() != b.BodyHash() {
		t.Fatal("control: without a salt the hashes are the same")
	}
	for _, m := range []*message.Message{a, b} {
		body, err := message.NewBody("hello", message.Lifetime{})
		if err != nil {
			t.Fatal(err)
		}
		m.Body = body
	}
	if a.BodyHash() == b.BodyHash() || a.ID() == b.ID() {
		t.Error("a guess can be tested")
	}
}

// TestLongestTextFits takes the longest text with every header at its longest
// through a packet into the largest envelope.
func TestLongestTextFits(t *testing.T) {
	body, err := message.NewBody(strings.Repeat("x", message.MaxText), message.Lifetime{})
	if err != nil {
		t.Fatal(err)
	}
	m := sample()
	m.Body, m.Parents = body, nil
	for i := range message.MaxParents {
		m.Parents = append(m.Parents, message.ID{byte(i)})
	}
	p, err := message.MarshalPacket(m)
	if err != nil {
		t.Fatal(err)
	}
	if len(p) > envelope.L.MaxBody() {
		t.Errorf("%d bytes do not fit %d", len(p), envelope.L.MaxBody())
	}
	if message.MaxSize+1 > message.MaxPacket || message.MaxPacket > envelope.L.MaxBody() {
		t.Errorf("limits: message %d, packet %d, envelope %d", message.MaxSize, message.MaxPacket, envelope.L.MaxBody())
	}
}

func FuzzMessage(f *testing.F) {
	b, err := sample().Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := message.Parse(b)
		if err != nil {
			return
		}
		again, err := m.Marshal()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("two spellings, %v", err)
		}
		if text, err := message.ParseText(m.Body); err == nil {
			if body, err := text.Marshal(); err != nil || !bytes.Equal(body, m.Body) {
				t.Fatalf("two spellings of a body, %v", err)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	enc, err := sample().Marshal()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		m, err := message.Parse(enc)
		if err != nil {
			b.Fatal(err)
		}
		m.ID()
	}
}
