package message

import (
	"errors"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

// Type says what a body is. Numbers are never used twice (spec §9.3).
type Type uint16

// The known types of body. A message of any other type is kept and shown as
// one that needs a newer version.
const (
	TypeText     Type = 1
	TypeEdit     Type = 2 // another text for an earlier message of the same author
	TypeReaction Type = 3 // an emoji under a message, in place of the author's earlier one
	TypeTimer    Type = 4 // how long later messages of the conversation live
	TypeFiles    Type = 5 // files, with or without a text
)

// Record types of bodies, the same in every type of body (spec §9.3).
const (
	recordText     uint16 = 1
	recordSalt     uint16 = 2
	recordExpiry   uint16 = 3
	recordBurn     uint16 = 4
	recordReply    uint16 = 5
	recordForward  uint16 = 6
	recordStyles   uint16 = 7
	recordMentions uint16 = 8
	recordTarget   uint16 = 9
	recordEmoji    uint16 = 10
	recordTimer    uint16 = 11
	recordFiles    uint16 = 12
	recordPreview  uint16 = 13
	recordLast            = recordPreview
)

// mayHold and mustHold are the records of each type of body, a bit for each.
var (
	always  = bit(recordSalt) | bit(recordExpiry) | bit(recordBurn)
	mayHold = map[Type]uint16{
		TypeText: always | bit(recordText) | bit(recordReply) | bit(recordForward) | bit(recordStyles) | bit(recordMentions) |
			bit(recordPreview),
		TypeEdit:     always | bit(recordText) | bit(recordStyles) | bit(recordMentions) | bit(recordTarget) | bit(recordPreview),
		TypeReaction: always | bit(recordTarget) | bit(recordEmoji),
		TypeTimer:    always | bit(recordTimer),
		TypeFiles: always | bit(recordText) | bit(recordReply) | bit(recordForward) | bit(recordStyles) | bit(recordMentions) |
			bit(recordFiles) | bit(recordPreview),
	}
	mustHold = map[Type]uint16{
		TypeText:     bit(recordText),
		TypeEdit:     bit(recordText) | bit(recordTarget),
		TypeReaction: bit(recordTarget),
		TypeTimer:    bit(recordTimer),
		TypeFiles:    bit(recordFiles),
	}
)

func bit(record uint16) uint16 { return 1 << record }

// saltSize is the length of the random bytes that keep the hash of an erased
// text from telling whether a guess is right.
const saltSize = 16

// Limits of bodies (spec §9.3).
const (
	MaxText  = 49_152 // bytes of UTF-8 of the longest text
	MaxEmoji = 32     // bytes of UTF-8 of a reaction
)

// What a body is refused for.
var (
	ErrEmpty   = errors.New("message: text is empty")
	ErrTooLong = fmt.Errorf("message: text is longer than %d bytes", MaxText)
	ErrNotText = errors.New("message: text is not valid UTF-8")
	ErrEmoji   = fmt.Errorf("message: a reaction is 1 to %d bytes without spaces", MaxEmoji)
	// ErrUnknownType: the body is of a type that only a newer version knows.
	ErrUnknownType = errors.New("message: body of an unknown type")
)

// Body is what a message of a known type says. Which fields a type uses is in
// the table of spec §9.3; the others must be zero.
type Body struct {
	Type      Type
	Text      string         // text, edit, files
	Salt      [saltSize]byte // random; all zeros is none
	Lifetime                 // of this message
	ReplyTo   ID             // text, files: the message it answers; zero is none
	Forwarded bool           // text, files: somebody else wrote it
	Styles    []Style        // text, edit, files
	Mentions  []Mention      // text, edit, files
	Target    ID             // edit, reaction: the message it is about
	Emoji     string         // reaction; empty takes it back
	Timer     Lifetime       // timer: of later messages
	Files     []File         // files
	Preview   *Preview       // text, edit, files; nil is none
	// Rest are the records this version does not know, all of a type above
	// those it does.
	Rest []wire.Record
}

// NewBody checks a text and encodes the body that holds it, with a fresh salt.
// Errors: [ErrEmpty], [ErrTooLong], [ErrNotText], [ErrExpiry], [ErrBurn].
func NewBody(text string, l Lifetime) ([]byte, error) {
	return (&Body{Type: TypeText, Text: text, Lifetime: l}).Salted().Marshal()
}

// Salted puts a fresh salt into the body, which it returns.
func (b *Body) Salted() *Body {
	suite.Random(b.Salt[:])
	return b
}

func checkText(s string) error {
	switch {
	case s == "":
		return ErrEmpty
	case len(s) > MaxText:
		return ErrTooLong
	case !utf8.ValidString(s):
		return ErrNotText
	}
	return nil
}

// CheckEmoji returns [ErrEmoji] for what can't be a reaction.
func CheckEmoji(s string) error {
	if s == "" || len(s) > MaxEmoji || !utf8.ValidString(s) {
		return ErrEmoji
	}
	for _, r := range s {
		if unicode.IsControl(r) || unicode.IsSpace(r) || unicode.Is(unicode.Bidi_Control, r) {
			return ErrEmoji
		}
	}
	return nil
}

// check applies the rules that both encoding and decoding follow.
func (b *Body) check() error {
	if mustHold[b.Type]&bit(recordText) != 0 || b.Text != "" {
		if err := checkText(b.Text); err != nil {
			return err
		}
	}
	if b.Emoji != "" {
		if err := CheckEmoji(b.Emoji); err != nil {
			return err
		}
	}
	if err := checkStyles(b.Text, b.Styles); err != nil {
		return err
	}
	if err := checkMentions(b.Text, b.Mentions); err != nil {
		return err
	}
	if err := checkFiles(b.Files); err != nil {
		return err
	}
	if err := b.Preview.check(b.Text); err != nil {
		return err
	}
	if err := b.Timer.Check(); err != nil {
		return err
	}
	return b.Check()
}

// Marshal encodes the body. Errors: [ErrEmpty], [ErrTooLong], [ErrNotText],
// [ErrEmoji], [ErrPreview], [ErrExpiry], [ErrBurn], [ErrUnknownType], or what is
// malformed.
func (b *Body) Marshal() ([]byte, error) {
	may, known := mayHold[b.Type]
	if !known {
		return nil, ErrUnknownType
	}
	if err := b.check(); err != nil {
		return nil, err
	}
	n := 256 + len(b.Text) + 9*len(b.Styles) + 40*len(b.Mentions) + b.Preview.size()
	for i := range b.Files {
		n += 160 + len(b.Files[i].Name) + len(b.Files[i].Type) + len(b.Files[i].Thumbnail)
	}
	for _, rec := range b.Rest {
		n += 5 + len(rec.Value)
	}
	if n > MaxBody+256 {
		return nil, fmt.Errorf("encoding a body: %w: over its limit", wire.ErrMalformed)
	}
	w := wire.NewWriter(make([]byte, 0, n))
	held := uint16(0)
	put := func(record uint16, there bool, value []byte) {
		if there {
			held |= bit(record)
			w.Record(record, value)
		}
	}
	put(recordText, b.Text != "", []byte(b.Text))
	put(recordSalt, b.Salt != [saltSize]byte{}, b.Salt[:])
	b.append(w)
	put(recordReply, b.ReplyTo != ID{}, b.ReplyTo[:])
	put(recordForward, b.Forwarded, []byte{1})
	put(recordStyles, len(b.Styles) > 0, marshalStyles(b.Styles))
	put(recordMentions, len(b.Mentions) > 0, marshalMentions(b.Mentions))
	put(recordTarget, b.Target != ID{}, b.Target[:])
	put(recordEmoji, b.Emoji != "", []byte(b.Emoji))
	put(recordTimer, b.Type == TypeTimer, wire.NewWriter(nil).
		U32(uint32(b.Timer.Expiry/time.Second)).U32(uint32(b.Timer.Burn/time.Second)).Out())
	put(recordFiles, len(b.Files) > 0, marshalFiles(b.Files))
	put(recordPreview, b.Preview != nil, b.Preview.marshal())
	for _, rec := range b.Rest {
		if rec.Type <= recordLast {
			return nil, fmt.Errorf("encoding a body: %w: known record among the unknown", wire.ErrMalformed)
		}
		w.Record(rec.Type, rec.Value)
	}
	if _, err := records(w.Out()); err != nil {
		return nil, fmt.Errorf("encoding a body: %w", err)
	}
	if held&^may != 0 || mustHold[b.Type]&^held != 0 {
		return nil, fmt.Errorf("encoding a body: %w: wrong records for its type", wire.ErrMalformed)
	}
	return w.Out(), nil
}

// ParseText decodes a body of type [TypeText].
func ParseText(body []byte) (*Body, error) { return ParseBody(TypeText, body) }

// ParseBody decodes a body of a type. Errors: those of [Body.Marshal].
func ParseBody(t Type, body []byte) (*Body, error) {
	may, known := mayHold[t]
	if !known {
		return nil, ErrUnknownType
	}
	recs, err := records(body)
	if err != nil {
		return nil, fmt.Errorf("reading a body: %w", err)
	}
	b := &Body{Type: t}
	held := uint16(0)
	for i, rec := range recs {
		if rec.Type > recordLast {
			b.Rest = recs[i:]
			break
		}
		held |= bit(rec.Type)
		if may&bit(rec.Type) == 0 || !b.take(rec) {
			return nil, fmt.Errorf("reading a body: %w: a known record with a wrong value or in the wrong place", wire.ErrMalformed)
		}
	}
	if mustHold[t]&^held != 0 {
		return nil, fmt.Errorf("reading a body: %w: a record is missing", wire.ErrMalformed)
	}
	if err := b.check(); err != nil {
		return nil, fmt.Errorf("reading a body: %w", err)
	}
	return b, nil
}

// take reads the value of a known record; false when it is malformed.
func (b *Body) take(rec wire.Record) bool {
	r := wire.NewReader(rec.Value)
	switch rec.Type {
	case recordText:
		b.Text = string(rec.Value)
		return b.Text != "" || mustHold[b.Type]&bit(recordText) != 0
	case recordEmoji:
		b.Emoji = string(rec.Value)
		return b.Emoji != ""
	case recordSalt:
		b.Salt = r.A16()
		return r.Close() == nil && b.Salt != [saltSize]byte{}
	case recordExpiry, recordBurn:
		return b.read(rec) == nil
	case recordReply:
		b.ReplyTo = r.A16()
		return r.Close() == nil && b.ReplyTo != ID{}
	case recordTarget:
		b.Target = r.A16()
		return r.Close() == nil && b.Target != ID{}
	case recordForward:
		b.Forwarded = r.U8() == 1
		return r.Close() == nil && b.Forwarded
	case recordStyles:
		b.Styles = readStyles(r)
		return r.Close() == nil && len(b.Styles) > 0
	case recordMentions:
		b.Mentions = readMentions(r)
		return r.Close() == nil && len(b.Mentions) > 0
	case recordTimer:
		b.Timer.Expiry = time.Duration(r.U32()) * time.Second
		b.Timer.Burn = time.Duration(r.U32()) * time.Second
		return r.Close() == nil
	case recordFiles:
		b.Files = readFiles(r)
		return r.Close() == nil && len(b.Files) > 0
	case recordPreview:
		var err error
		b.Preview, err = readPreview(r)
		return err == nil
	}
	return false
}

// records reads a whole body as records.
func records(body []byte) ([]wire.Record, error) {
	r := wire.NewReader(body)
	recs := r.Records(MaxBody)
	return recs, r.Close()
}

// TextOf returns the text of an encoded message of type text or files, nil when
// there is none; it reads nothing else and checks nothing. The text aliases
// content.
func TextOf(content []byte) []byte {
	r := wire.NewReader(content)
	var h Header
	h.read(r)
	if t := Type(r.U16()); t != TypeText && t != TypeFiles {
		return nil
	}
	r.U24()
	if r.U16() != recordText {
		return nil
	}
	return r.Vec24(MaxText)
}
