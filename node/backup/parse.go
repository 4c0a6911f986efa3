package backup

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"rushlight/protocol/history"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage/record"
)

// Verify reads a backup to its end, after [Slot], and writes nothing: every
// byte of it is authentic, and every item is whole.
func Verify(r io.Reader, slot []byte, key [32]byte) (Summary, error) {
	p := &parser{}
	return p.run(r, slot, key)
}

// CheckCode reports whether the recovery code is that of the account in a
// backup: identity.ErrWrongCode.
func CheckCode(r io.Reader, slot []byte, key [32]byte, code identity.RecoveryCode) error {
	_, body, err := readItem(bufio.NewReader(newReader(r, slot, key)))
	if err != nil {
		return err
	}
	m, err := parseMe(body)
	if err != nil {
		return ErrDamaged
	}
	_, err = identity.OpenAccountKey(code, m.accountKey)
	return err
}

// sink takes the items of a backup in their order.
type sink interface {
	self(m *me) error
	contact(c *record.Contact, conv message.ConversationID) error
	history(p *past) error
	message(s *said) error
	tomb(t *tomb) error
	number(n *number) error
	wait(parent, child message.ID) error
	end() error
}

// nothing is the sink of who only looks.
type nothing struct{}

func (nothing) self(*me) error                                        { return nil }
func (nothing) contact(*record.Contact, message.ConversationID) error { return nil }
func (nothing) history(*past) error                                   { return nil }
func (nothing) message(*said) error                                   { return nil }
func (nothing) tomb(*tomb) error                                      { return nil }
func (nothing) number(*number) error                                  { return nil }
func (nothing) wait(_, _ message.ID) error                            { return nil }
func (nothing) end() error                                            { return nil }

// parser holds items to their layout and order.
type parser struct {
	into sink // nil: nothing
	own  identity.AccountID
	with *record.Contact
	talk bool // a conversation has begun
	sum  Summary
}

func (p *parser) run(r io.Reader, slot []byte, key [32]byte) (Summary, error) {
	if p.into == nil {
		p.into = nothing{}
	}
	b := bufio.NewReader(newReader(r, slot, key))
	ended := false
	for n := 0; ; n++ {
		typ, body, err := readItem(b)
		if errors.Is(err, io.EOF) && ended {
			return p.sum, nil
		}
		if errors.Is(err, io.EOF) || err == nil && (ended || (typ == itemSelf) != (n == 0)) {
			err = ErrDamaged
		}
		if err == nil {
			err = p.item(typ, body)
			ended = typ == itemEnd
		}
		if err != nil {
			return Summary{}, err
		}
	}
}

func bad(err error) error { return fmt.Errorf("%w: %w", ErrDamaged, err) }

// item takes one; what doesn't follow its layout is damage.
func (p *parser) item(typ byte, body []byte) error {
	switch typ {
	case itemSelf:
		m, err := parseMe(body)
		if err != nil {
			return bad(err)
		}
		p.own = m.manifest.ID()
		return p.into.self(m)
	case itemContact:
		c, err := record.ParseContact(body)
		if err != nil {
			return bad(err)
		}
		p.with, p.talk = c, false
		p.sum.Contacts++
		return p.into.contact(c, message.DirectConversation(p.own, c.Account))
	case itemHistory:
		h, err := parsePast(body)
		if err == nil {
			_, err = history.ParseState(h.history)
		}
		if err != nil {
			return bad(err)
		}
		if p.with == nil || p.talk {
			return ErrDamaged
		}
		p.talk = true
		return p.into.history(h)
	case itemEnd:
		s, err := parseSummary(body)
		if err != nil || s != p.sum {
			return ErrDamaged
		}
		return p.into.end()
	}
	if !p.talk {
		return ErrDamaged
	}
	return p.said(typ, body)
}

// said takes an item of a conversation.
func (p *parser) said(typ byte, body []byte) error {
	switch typ {
	case itemMessage:
		s, err := parseSaid(body)
		if err != nil {
			return bad(err)
		}
		if s.content.Conversation != message.DirectConversation(p.own, p.with.Account) {
			return ErrDamaged
		}
		p.sum.Messages++
		return p.into.message(s)
	case itemTomb:
		t, err := parseTomb(body)
		if err != nil {
			return bad(err)
		}
		return p.into.tomb(t)
	case itemNumber:
		n, err := parseNumber(body)
		if err != nil {
			return bad(err)
		}
		return p.into.number(n)
	case itemWait:
		if len(body) == 32 {
			return p.into.wait(message.ID(body[:16]), message.ID(body[16:]))
		}
	}
	return ErrDamaged
}
