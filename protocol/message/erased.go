package message

import (
	"fmt"
	"time"

	"rushlight/protocol/wire"
)

// Reason is why a body is gone (spec §9.8).
type Reason uint8

// The reasons.
const (
	// Unsent: its author took the message back from everybody.
	Unsent Reason = 1
	// Lost: it ended at its author before anybody is known to have it.
	Lost Reason = 2
)

// Erased is what its author sends in place of a message whose body is gone. It
// takes the message's place in the log, so that nothing waits for it (spec
// §9.8).
type Erased struct {
	Reason  Reason
	Expiry  time.Duration // of the message, in whole seconds; 0 is none
	Message *Message      // with Erased set
}

// Erase returns the message without its body; its hash and id stay the same.
func (m *Message) Erase() *Message {
	h := m.BodyHash()
	e := *m
	e.Body, e.Erased = nil, &h
	return &e
}

// MarshalErased encodes a message without its body: header ‖ type u16 ‖ body
// hash[32].
func (m *Message) MarshalErased() ([]byte, error) {
	w := wire.NewWriter(make([]byte, 0, headerMax+2+32))
	r := wire.NewReader(nil)
	m.check(r)
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("encoding an erased message: %w", err)
	}
	h := m.BodyHash()
	m.append(w)
	return w.U16(uint16(m.Type)).Raw(h[:]).Out(), nil
}

// ParseErased reverses [Message.MarshalErased].
func ParseErased(b []byte) (*Message, error) {
	r := wire.NewReader(b)
	m := &Message{}
	m.read(r)
	m.Type = Type(r.U16())
	h := r.A32()
	m.Erased = &h
	m.check(r)
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("reading an erased message: %w", err)
	}
	return m, nil
}

func (e *Erased) append(w *wire.Writer) error {
	if e.Reason == 0 || e.Message == nil {
		return fmt.Errorf("%w: erased without a reason or a message", wire.ErrMalformed)
	}
	if err := (Lifetime{Expiry: e.Expiry}).Check(); err != nil {
		return fmt.Errorf("%w: %w", wire.ErrMalformed, err)
	}
	b, err := e.Message.MarshalErased()
	w.U8(uint8(e.Reason)).U32(uint32(e.Expiry / time.Second)).Raw(b)
	return err
}

func parseErased(content []byte) (*Erased, error) {
	r := wire.NewReader(content)
	e := &Erased{Reason: Reason(r.U8()), Expiry: time.Duration(r.U32()) * time.Second}
	if e.Reason == 0 || (Lifetime{Expiry: e.Expiry}).Check() != nil {
		r.Fail("erased without a reason, or with a wrong expiry")
	}
	rest := r.Rest()
	if err := r.Err(); err != nil {
		return nil, err
	}
	m, err := ParseErased(rest)
	e.Message = m
	return e, err
}
