package message

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

// Type says what a body is. Numbers are never used twice (spec §9.3).
type Type uint16

// The known types of body. A message of any other type is kept and shown as
// one that needs a newer version.
const (
	TypeText Type = 1
)

// Record types of bodies, the same in every type of body (spec §9.3).
const (
	recordText   uint16 = 1
	recordSalt   uint16 = 2
	recordExpiry uint16 = 3
	recordBurn   uint16 = 4
)

// saltSize is the length of the random bytes that keep the hash of an erased
// text from telling whether a guess is right.
const saltSize = 16

// MaxText is the length of the longest text, in bytes of UTF-8.
const MaxText = 49_152

// What a person's text is refused for.
var (
	ErrEmpty   = errors.New("message: text is empty")
	ErrTooLong = fmt.Errorf("message: text is longer than %d bytes", MaxText)
	ErrNotText = errors.New("message: text is not valid UTF-8")
)

// Text is a body of type [TypeText].
type Text struct {
	Text string
	Salt [saltSize]byte // random; all zeros is none
	Lifetime
	// Rest are the records this version does not know, all of a type above
	// those it does.
	Rest []wire.Record
}

// NewBody checks a text and encodes the body that holds it, with a fresh salt.
// Errors: [ErrEmpty], [ErrTooLong], [ErrNotText], [ErrExpiry], [ErrBurn].
func NewBody(text string, l Lifetime) ([]byte, error) {
	t := Text{Text: text, Lifetime: l}
	suite.Random(t.Salt[:])
	return t.Marshal()
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

// Marshal encodes the body. Errors: [ErrEmpty], [ErrTooLong], [ErrNotText],
// [ErrExpiry], [ErrBurn], or that Rest is out of order.
func (t *Text) Marshal() ([]byte, error) {
	if err := checkText(t.Text); err != nil {
		return nil, err
	}
	if err := t.Check(); err != nil {
		return nil, err
	}
	n := 5 + len(t.Text) + 5 + saltSize + 2*9
	for _, rec := range t.Rest {
		n += 5 + len(rec.Value)
	}
	if n > MaxBody {
		return nil, fmt.Errorf("encoding a text: %w: body over its limit", wire.ErrMalformed)
	}
	w := wire.NewWriter(make([]byte, 0, n)).Record(recordText, []byte(t.Text))
	if t.Salt != [saltSize]byte{} {
		w.Record(recordSalt, t.Salt[:])
	}
	t.append(w)
	for _, rec := range t.Rest {
		w.Record(rec.Type, rec.Value)
	}
	if _, err := records(w.Out()); err != nil {
		return nil, fmt.Errorf("encoding a text: %w", err)
	}
	return w.Out(), nil
}

// ParseText decodes a body of type [TypeText]. Errors: those of
// [Text.Marshal], and wire.ErrMalformed.
func ParseText(body []byte) (*Text, error) {
	recs, err := records(body)
	if err != nil {
		return nil, fmt.Errorf("reading a text: %w", err)
	}
	if len(recs) == 0 || recs[0].Type != recordText {
		return nil, fmt.Errorf("reading a text: %w: no text record", wire.ErrMalformed)
	}
	t := &Text{Text: string(recs[0].Value)}
	if err := checkText(t.Text); err != nil {
		return nil, fmt.Errorf("reading a text: %w", err)
	}
	for i, rec := range recs[1:] {
		if rec.Type > recordBurn {
			t.Rest = recs[1+i:]
			break
		}
		taken, err := t.read(rec)
		if rec.Type == recordSalt {
			taken = len(rec.Value) == saltSize && copy(t.Salt[:], rec.Value) > 0 && t.Salt != [saltSize]byte{}
		}
		if err != nil || !taken {
			return nil, fmt.Errorf("reading a text: %w: a known record with a wrong value", wire.ErrMalformed)
		}
	}
	return t, nil
}

// records reads a whole body as records.
func records(body []byte) ([]wire.Record, error) {
	r := wire.NewReader(body)
	recs := r.Records(MaxBody)
	return recs, r.Close()
}
