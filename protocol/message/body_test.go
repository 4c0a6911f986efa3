package message_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rushlight/protocol/file"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/wire"
)

// bodies is one body of each type with every record it may have.
func bodies() map[string]*message.Body {
	life := message.Lifetime{Expiry: time.Hour, Burn: 30 * time.Second}
	styles := []message.Style{{0, 2, message.Bold}, {0, 2, message.Italic}, {2, 4, message.Spoiler}}
	mentions := []message.Mention{{2, 4, identity.AccountID{9}}}
	return map[string]*message.Body{
		"text": {
			Type: message.TypeText, Text: "ü @ann!", Salt: [16]byte{1}, Lifetime: life, ReplyTo: message.ID{2}, Forwarded: true,
			Styles: styles, Mentions: mentions, Rest: []wire.Record{{Type: 99, Value: []byte("new")}},
		},
		"preview": {
			Type: message.TypeText, Text: "see https://example.org/ü !", Salt: [16]byte{1}, Preview: &message.Preview{
				Start: 4, Length: 22, Title: "Ü", Description: "of it", Image: []byte("small"), Rest: []wire.Record{{Type: 4, Value: []byte("new")}},
			},
		},
		"other preview": {
			Type: message.TypeEdit, Text: "https://example.org", Salt: [16]byte{1}, Target: message.ID{3},
			Preview: &message.Preview{Length: 19, Title: "Title"},
		},
		"edit":       {Type: message.TypeEdit, Text: "ü @ann?", Salt: [16]byte{1}, Lifetime: life, Styles: styles, Mentions: mentions, Target: message.ID{3}},
		"reaction":   {Type: message.TypeReaction, Salt: [16]byte{1}, Lifetime: life, Target: message.ID{3}, Emoji: "👍🏽"},
		"taken back": {Type: message.TypeReaction, Salt: [16]byte{1}, Target: message.ID{3}},
		"timer":      {Type: message.TypeTimer, Salt: [16]byte{1}, Timer: life},
		"timer off":  {Type: message.TypeTimer, Salt: [16]byte{1}},
		"file":       {Type: message.TypeFiles, Salt: [16]byte{1}, Files: []message.File{{Name: "a", Size: 1, Key: file.Key{1}, Root: file.Name{2}}}},
		"voice":      {Type: message.TypeFiles, Salt: [16]byte{1}, Files: []message.File{{Name: "voice.webm", Size: 9, Key: file.Key{1}, Root: file.Name{2}, Voice: &message.Voice{Duration: 600_000, Bars: []byte{0, 255, 7}}}}},
		"files": {
			Type: message.TypeFiles, Text: "ü @ann!", Salt: [16]byte{1}, Lifetime: life, ReplyTo: message.ID{2}, Forwarded: true,
			Styles: styles, Mentions: mentions, Files: []message.File{
				{Name: "ü.jpg", Type: "image/jpeg", Size: 1 << 40, SHA256: [32]byte{3}, Key: file.Key{1}, Root: file.Name{2}, Thumbnail: []byte("small")},
				{Name: "b", Key: file.Key{1}, Root: file.Name{2}, Rest: []wire.Record{{Type: 99, Value: []byte("new")}}},
			},
		},
	}
}

func TestBodies(t *testing.T) {
	for name, b := range bodies() {
		enc, err := b.Marshal()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := message.ParseBody(b.Type, enc)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		again, err := got.Marshal()
		if err != nil || !bytes.Equal(again, enc) {
			t.Errorf("%s re-encodes differently, %v", name, err)
		}
		if l, err := message.LifetimeOf(enc); err != nil || l != b.Lifetime {
			t.Errorf("%s lives %v, %v", name, l, err)
		}
		for _, other := range []message.Type{message.TypeText, message.TypeEdit, message.TypeReaction, message.TypeTimer, message.TypeFiles} {
			if _, err := message.ParseBody(other, enc); other != b.Type && !errors.Is(err, wire.ErrMalformed) && !errors.Is(err, message.ErrEmpty) {
				t.Errorf("%s is read as type %d: %v", name, other, err)
			}
		}
	}
	if _, err := message.ParseBody(77, nil); !errors.Is(err, message.ErrUnknownType) {
		t.Errorf("an unknown type: %v", err)
	}
	if _, err := (&message.Body{Type: 77}).Marshal(); !errors.Is(err, message.ErrUnknownType) {
		t.Errorf("an unknown type: %v", err)
	}
}

func TestBodyRules(t *testing.T) {
	many := make([]message.Style, message.MaxMarks+1)
	for i := range many {
		many[i] = message.Style{Start: uint32(i), Length: 1, Kind: 1}
	}
	for name, change := range map[string]struct {
		of   string
		do   func(*message.Body)
		want error
	}{
		"file without a name":      {"file", func(b *message.Body) { b.Files[0].Name = "" }, message.ErrFileName},
		"file up there":            {"file", func(b *message.Body) { b.Files[0].Name = ".." }, message.ErrFileName},
		"file elsewhere":           {"file", func(b *message.Body) { b.Files[0].Name = "a/b" }, message.ErrFileName},
		"file elsewhere else":      {"file", func(b *message.Body) { b.Files[0].Name = `a\b` }, message.ErrFileName},
		"file with a bell":         {"file", func(b *message.Body) { b.Files[0].Name = "a\a" }, message.ErrFileName},
		"file without a key":       {"file", func(b *message.Body) { b.Files[0].Key = file.Key{} }, wire.ErrMalformed},
		"file too large":           {"file", func(b *message.Body) { b.Files[0].Size = 1<<40 + 1 }, wire.ErrMalformed},
		"voice without bars":       {"file", func(b *message.Body) { b.Files[0].Voice = &message.Voice{Duration: 1} }, wire.ErrMalformed},
		"voice of many bars":       {"file", func(b *message.Body) { b.Files[0].Voice = &message.Voice{Duration: 1, Bars: make([]byte, 129)} }, wire.ErrMalformed},
		"voice of no length":       {"file", func(b *message.Body) { b.Files[0].Voice = &message.Voice{Bars: make([]byte, 1)} }, wire.ErrMalformed},
		"voice too long":           {"file", func(b *message.Body) { b.Files[0].Voice = &message.Voice{Duration: 3_600_001, Bars: make([]byte, 1)} }, wire.ErrMalformed},
		"thumbnail too large":      {"file", func(b *message.Body) { b.Files[0].Thumbnail = make([]byte, 12<<10+1) }, wire.ErrMalformed},
		"odd media type":           {"file", func(b *message.Body) { b.Files[0].Type = "a b" }, wire.ErrMalformed},
		"too many files":           {"file", func(b *message.Body) { b.Files = slices.Repeat(b.Files, 17) }, message.ErrFiles},
		"no file":                  {"file", func(b *message.Body) { b.Files = nil }, wire.ErrMalformed},
		"style past the end":       {"text", func(b *message.Body) { b.Styles[2].Length = 9 }, wire.ErrMalformed},
		"style far out":            {"text", func(b *message.Body) { b.Styles[2].Start, b.Styles[2].Length = 1<<32-1, 1<<32-1 }, wire.ErrMalformed},
		"style within a char":      {"text", func(b *message.Body) { b.Styles[0].Start = 1 }, wire.ErrMalformed},
		"style ends within":        {"text", func(b *message.Body) { b.Styles[0].Length = 1 }, wire.ErrMalformed},
		"empty style":              {"text", func(b *message.Body) { b.Styles[0].Length = 0 }, wire.ErrMalformed},
		"style 0":                  {"text", func(b *message.Body) { b.Styles[0].Kind = 0 }, wire.ErrMalformed},
		"style twice":              {"text", func(b *message.Body) { b.Styles[1] = b.Styles[0] }, wire.ErrMalformed},
		"styles unsorted":          {"text", func(b *message.Body) { slices.Reverse(b.Styles) }, wire.ErrMalformed},
		"too many styles":          {"text", func(b *message.Body) { b.Text, b.Mentions, b.Styles = strings.Repeat("x", 999), nil, many }, wire.ErrMalformed},
		"mentions overlap":         {"text", func(b *message.Body) { b.Mentions = slices.Repeat(b.Mentions, 2) }, wire.ErrMalformed},
		"mention past the end":     {"edit", func(b *message.Body) { b.Mentions[0].Length = 99 }, wire.ErrMalformed},
		"edit of nothing":          {"edit", func(b *message.Body) { b.Target = message.ID{} }, wire.ErrMalformed},
		"edit to nothing":          {"edit", func(b *message.Body) { b.Text, b.Styles, b.Mentions = "", nil, nil }, message.ErrEmpty},
		"edit that answers":        {"edit", func(b *message.Body) { b.ReplyTo = message.ID{1} }, wire.ErrMalformed},
		"reaction to nothing":      {"reaction", func(b *message.Body) { b.Target = message.ID{} }, wire.ErrMalformed},
		"reaction too long":        {"reaction", func(b *message.Body) { b.Emoji = strings.Repeat("x", 33) }, message.ErrEmoji},
		"reaction with a space":    {"reaction", func(b *message.Body) { b.Emoji = "a b" }, message.ErrEmoji},
		"reaction with direction":  {"reaction", func(b *message.Body) { b.Emoji = "\u202e" }, message.ErrEmoji},
		"reaction no text":         {"reaction", func(b *message.Body) { b.Emoji = "\xff" }, message.ErrEmoji},
		"reaction with text":       {"reaction", func(b *message.Body) { b.Text = "x" }, wire.ErrMalformed},
		"timer too long":           {"timer", func(b *message.Body) { b.Timer.Expiry = 367 * 24 * time.Hour }, message.ErrExpiry},
		"timer burns too late":     {"timer", func(b *message.Body) { b.Timer.Burn = 8 * 24 * time.Hour }, message.ErrBurn},
		"preview of nothing":       {"preview", func(b *message.Body) { b.Preview.Length = 0 }, message.ErrPreview},
		"preview of plain http":    {"preview", func(b *message.Body) { b.Text = "see  http://example.org/ü !" }, message.ErrPreview},
		"preview of other words":   {"preview", func(b *message.Body) { b.Preview.Start, b.Preview.Length = 0, 4 }, message.ErrPreview},
		"preview past the end":     {"preview", func(b *message.Body) { b.Preview.Length = 99 }, message.ErrPreview},
		"preview within a char":    {"preview", func(b *message.Body) { b.Preview.Length = 21 }, message.ErrPreview},
		"preview with more words":  {"preview", func(b *message.Body) { b.Preview.Length += 2 }, message.ErrPreview},
		"preview of a turned one":  {"preview", func(b *message.Body) { b.Text = "see https://exam\u202ee.org/ü!" }, message.ErrPreview},
		"preview of the scheme":    {"preview", func(b *message.Body) { b.Preview.Length = 8 }, message.ErrPreview},
		"preview without a title":  {"preview", func(b *message.Body) { b.Preview.Title = "" }, message.ErrPreview},
		"preview of two lines":     {"preview", func(b *message.Body) { b.Preview.Title = "a\nb" }, message.ErrPreview},
		"preview that is turned":   {"preview", func(b *message.Body) { b.Preview.Description = "a\u202eb" }, message.ErrPreview},
		"preview with a long name": {"preview", func(b *message.Body) { b.Preview.Title = strings.Repeat("x", 641) }, message.ErrPreview},
		"preview that is long":     {"preview", func(b *message.Body) { b.Preview.Description = strings.Repeat("x", 1281) }, message.ErrPreview},
		"preview that is large":    {"preview", func(b *message.Body) { b.Preview.Image = make([]byte, 12<<10+1) }, message.ErrPreview},
		"preview reaction": {"preview", func(b *message.Body) {
			b.Type, b.Target, b.Emoji, b.Text = message.TypeReaction, message.ID{1}, "x", ""
		}, message.ErrPreview},
		"known among the unknown": {"text", func(b *message.Body) { b.Rest[0].Type = 11 }, wire.ErrMalformed},
	} {
		b := bodies()[change.of]
		change.do(b)
		if enc, err := b.Marshal(); !errors.Is(err, change.want) {
			t.Errorf("%s: %v, %x", name, err, enc)
		}
	}
	text := func(rec ...wire.Record) []byte {
		w := wire.NewWriter(nil).Record(1, []byte("ü"))
		for _, r := range rec {
			w.Record(r.Type, r.Value)
		}
		return w.Out()
	}
	for name, b := range map[string][]byte{
		"short reply":       text(wire.Record{Type: 5, Value: make([]byte, 15)}),
		"reply to zeros":    text(wire.Record{Type: 5, Value: make([]byte, 16)}),
		"forwarded 2":       text(wire.Record{Type: 6, Value: []byte{2}}),
		"forwarded 0":       text(wire.Record{Type: 6, Value: []byte{0}}),
		"no styles":         text(wire.Record{Type: 7}),
		"half a style":      text(wire.Record{Type: 7, Value: make([]byte, 8)}),
		"half a character":  text(wire.Record{Type: 7, Value: []byte{0, 0, 0, 0, 0, 0, 0, 1, 1}}),
		"no mentions":       text(wire.Record{Type: 8}),
		"text with a timer": text(wire.Record{Type: 11, Value: make([]byte, 8)}),
		"half a preview":    text(wire.Record{Type: 13, Value: make([]byte, 7)}),
		"preview, record 0": text(wire.Record{Type: 13, Value: make([]byte, 8+5)}),
		"preview, no value": text(wire.Record{Type: 13, Value: wire.NewWriter(nil).U32(0).U32(9).Record(1, []byte("x")).Record(2, nil).Out()}),
	} {
		if _, err := message.ParseText(b); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzBody(f *testing.F) {
	for _, b := range bodies() {
		enc, err := b.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint16(b.Type), enc)
	}
	f.Fuzz(func(t *testing.T, typ uint16, enc []byte) {
		b, err := message.ParseBody(message.Type(typ), enc)
		if err != nil {
			return
		}
		again, err := b.Marshal()
		if err != nil || !bytes.Equal(again, enc) {
			t.Fatalf("two spellings, %v", err)
		}
	})
}

// An erased message has the id of the whole one, and nothing of its text.
func TestErased(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMessage(t)
		e := m.Erase()
		if e.ID() != m.ID() || e.Hash() != m.Hash() || len(e.Body) > 0 {
			t.Fatal("it is another message")
		}
		if _, err := e.Marshal(); !errors.Is(err, wire.ErrMalformed) {
			t.Fatalf("it is sent as a whole one: %v", err)
		}
		b, err := e.MarshalErased()
		if err != nil {
			t.Fatal(err)
		}
		whole, err := m.MarshalErased()
		if err != nil || !bytes.Equal(b, whole) {
			t.Fatalf("a whole one is erased differently, %v", err)
		}
		got, err := message.ParseErased(b)
		if err != nil || got.ID() != m.ID() || got.Hash() != m.Hash() {
			t.Fatalf("the id changes on the way, %v", err)
		}
		for _, bad := range [][]byte{nil, b[:len(b)-1], append(bytes.Clone(b), 0)} {
			if _, err := message.ParseErased(bad); !errors.Is(err, wire.ErrMalformed) {
				t.Fatalf("%d bytes instead of %d: %v", len(bad), len(b), err)
			}
		}
	})
}

// FuzzErased: what says that a message is gone has one spelling, alone and in
// its packet, and stands for the very message that was erased.
func FuzzErased(f *testing.F) {
	whole, err := sample().Marshal()
	if err != nil {
		f.Fatal(err)
	}
	b, err := sample().MarshalErased()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, uint8(message.Unsent), uint32(5))
	f.Add(b, uint8(message.Lost), uint32(0))
	f.Add(whole, uint8(9), uint32(366*24*3600))
	f.Fuzz(func(t *testing.T, b []byte, reason uint8, expiry uint32) {
		if m, err := message.Parse(b); err == nil {
			e := m.Erase()
			if e.Hash() != m.Hash() || e.ID() != m.ID() {
				t.Fatal("erasing makes it another message")
			}
			if b, err = e.MarshalErased(); err != nil {
				t.Fatal(err)
			}
			if _, err := message.ParseErased(b); err != nil {
				t.Fatal(err)
			}
		}
		packet := append([]byte{byte(message.KindErased), reason, byte(expiry >> 24), byte(expiry >> 16), byte(expiry >> 8), byte(expiry)}, b...)
		p, perr := message.ParsePacket(packet)
		m, err := message.ParseErased(b)
		if err != nil {
			if perr == nil {
				t.Fatal("a packet around what is malformed")
			}
			return
		}
		if again, err := m.MarshalErased(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("two spellings, %v", err)
		}
		lasts := time.Duration(expiry) * time.Second
		if bad := reason == 0 || (message.Lifetime{Expiry: lasts}).Check() != nil || len(packet) > message.MaxPacket; bad != (perr != nil) {
			t.Fatalf("a packet with reason %d, %v: %v", reason, lasts, perr)
		}
		if perr != nil {
			return
		}
		e := p.(*message.Erased)
		if e.Message.Hash() != m.Hash() || e.Expiry != lasts || e.Reason != message.Reason(reason) {
			t.Fatalf("the packet says something else: %+v", e)
		}
		if again, err := message.MarshalPacket(e); err != nil || !bytes.Equal(again, packet) {
			t.Fatalf("two spellings of the packet, %v", err)
		}
	})
}
