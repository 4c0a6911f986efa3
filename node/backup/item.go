package backup

import (
	"bufio"
	"errors"
	"io"

	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/wire"
	"rushlight/storage/record"
)

// The types of items. An item is type u8 ‖ vec24. The order in a backup is: one
// self; each contact, followed by its conversation if there is one, and that by
// the conversation's messages, tombs, numbers and waits; one end.
const (
	itemSelf    = 1 // account key sealed vec16 ‖ manifest vec16 ‖ name vec8
	itemContact = 2 // record.Contact without the presence secret
	itemHistory = 3 // history.State vec24 ‖ skip u64 ‖ waiting u32
	itemMessage = 4 // order u64 ‖ state u8 ‖ changed u64 ‖ missing u8 ‖ record.Message
	itemTomb    = 5 // id[16] ‖ order u64 ‖ state u8 ‖ mine u8: a message that isn't in the backup
	itemNumber  = 6 // device[16] ‖ seq u64 ‖ record.Number
	itemWait    = 7 // parent id[16] ‖ child id[16]
	itemEnd     = 8 // contacts u32 ‖ messages u32
)

// maxItem bounds one item; the largest is a history.
const maxItem = 1 << 19

func writeItem(w io.Writer, typ byte, body []byte) error {
	_, err := w.Write(wire.NewWriter(make([]byte, 0, 4+len(body))).U8(typ).Vec24(body).Out())
	return err
}

// readItem returns the next item; io.EOF follows the last.
func readItem(r *bufio.Reader) (typ byte, body []byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = ErrDamaged
		}
		return 0, nil, err
	}
	n := int(head[1])<<16 | int(head[2])<<8 | int(head[3])
	if n > maxItem {
		return 0, nil, ErrDamaged
	}
	body = make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = ErrDamaged
		}
		return 0, nil, err
	}
	return head[0], body, nil
}

// me is who the account is.
type me struct {
	accountKey []byte
	manifest   *identity.Manifest
	name       string
}

func (m *me) marshal() []byte {
	return wire.NewWriter(nil).Vec16(m.accountKey).Vec16(m.manifest.Marshal()).Vec8([]byte(m.name)).Out()
}

func parseMe(b []byte) (*me, error) {
	r := wire.NewReader(b)
	m := &me{accountKey: r.Vec16(1024)}
	raw := r.Vec16(identity.MaxManifest)
	m.name = string(r.Vec8(255))
	if err := r.Close(); err != nil {
		return nil, err
	}
	var err error
	if m.manifest, err = identity.ParseManifest(raw); err == nil {
		err = m.manifest.Verify()
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// past is what is known of a conversation besides its messages.
type past struct {
	history []byte
	skip    uint64
	waiting uint32
}

func (p *past) marshal() []byte {
	return wire.NewWriter(nil).Vec24(p.history).U64(p.skip).U32(p.waiting).Out()
}

func parsePast(b []byte) (*past, error) {
	r := wire.NewReader(b)
	p := &past{history: r.Vec24(1 << 18), skip: r.U64(), waiting: r.U32()}
	return p, r.Close()
}

// said is a message and what is known of it.
type said struct {
	order   uint64
	state   record.MessageState
	changed int64
	missing uint8
	rec     *record.Message
	content *message.Message
}

func (s *said) marshal() []byte {
	return wire.NewWriter(nil).U64(s.order).U8(uint8(s.state)).U64(uint64(s.changed)).U8(s.missing).Raw(s.rec.Marshal()).Out()
}

func parseSaid(b []byte) (*said, error) {
	r := wire.NewReader(b)
	s := &said{order: r.U64(), state: state(r), changed: int64(r.U64()), missing: r.U8()}
	rest := r.Rest()
	if err := r.Close(); err != nil {
		return nil, err
	}
	var err error
	if s.rec, err = record.ParseMessage(rest); err == nil {
		s.content, err = message.Parse(s.rec.Content)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func state(r *wire.Reader) record.MessageState {
	s := record.MessageState(r.U8())
	if s < record.StateQueued || s > record.StateFailed {
		r.Fail("unknown message state")
	}
	return s
}

// tomb stands for a message whose content isn't there.
type tomb struct {
	id    message.ID
	order uint64
	state record.MessageState
	mine  bool
}

func (t *tomb) marshal() []byte {
	return wire.NewWriter(nil).Raw(t.id[:]).U64(t.order).U8(uint8(t.state)).Bool(t.mine).Out()
}

func parseTomb(b []byte) (*tomb, error) {
	r := wire.NewReader(b)
	t := &tomb{id: r.A16(), order: r.U64(), state: state(r), mine: r.Bool()}
	return t, r.Close()
}

// number is which message of a device has a number.
type number struct {
	device identity.DeviceID
	seq    uint64
	rec    *record.Number
}

func (n *number) marshal() []byte {
	return wire.NewWriter(nil).Raw(n.device[:]).U64(n.seq).Raw(n.rec.Marshal()).Out()
}

func parseNumber(b []byte) (*number, error) {
	r := wire.NewReader(b)
	n := &number{device: r.A16(), seq: r.U64()}
	rest := r.Rest()
	if err := r.Close(); err != nil {
		return nil, err
	}
	var err error
	if n.rec, err = record.ParseNumber(rest); err != nil {
		return nil, err
	}
	return n, nil
}

// Summary says what is in a backup.
type Summary struct {
	Contacts, Messages uint32
}

func (s Summary) marshal() []byte {
	return wire.NewWriter(nil).U32(s.Contacts).U32(s.Messages).Out()
}

func parseSummary(b []byte) (s Summary, err error) {
	r := wire.NewReader(b)
	s = Summary{r.U32(), r.U32()}
	return s, r.Close()
}
