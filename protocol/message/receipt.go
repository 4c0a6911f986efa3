package message

import (
	"bytes"
	"fmt"

	"rushlight/protocol/identity"
	"rushlight/protocol/wire"
)

// Receipt says what the sending device holds and what was read there. It is
// cumulative: a later one says all that an earlier one said, so a lost receipt
// does no harm and receipts are never acknowledged (spec §9.6).
type Receipt struct{ Entries []ReceiptEntry }

// ReceiptEntry is about the messages of one author device in one conversation.
// Everything read was delivered.
type ReceiptEntry struct {
	Conversation ConversationID
	Author       identity.DeviceID
	Delivered    Intervals
	Read         Intervals
}

func (e *ReceiptEntry) compare(o *ReceiptEntry) int {
	if c := bytes.Compare(e.Conversation[:], o.Conversation[:]); c != 0 {
		return c
	}
	return bytes.Compare(e.Author[:], o.Author[:])
}

// check applies the rules that both encoding and decoding follow.
func (rc *Receipt) check() error {
	if len(rc.Entries) == 0 || len(rc.Entries) > MaxReceipts {
		return fmt.Errorf("%w: bad number of receipt entries", wire.ErrMalformed)
	}
	for i := range rc.Entries {
		e := &rc.Entries[i]
		switch {
		case i > 0 && rc.Entries[i-1].compare(e) >= 0:
			return fmt.Errorf("%w: receipt entries not sorted and unique", wire.ErrMalformed)
		case e.Delivered.Empty():
			return fmt.Errorf("%w: empty receipt entry", wire.ErrMalformed)
		case !e.Delivered.Contains(&e.Read):
			return fmt.Errorf("%w: read before delivered", wire.ErrMalformed)
		}
	}
	return nil
}

func (rc *Receipt) append(w *wire.Writer) error {
	if err := rc.check(); err != nil {
		return err
	}
	w.U8(uint8(len(rc.Entries)))
	for i := range rc.Entries {
		e := &rc.Entries[i]
		w.Raw(e.Conversation[:]).Raw(e.Author[:])
		e.Delivered.Append(w)
		e.Read.Append(w)
	}
	return nil
}

func parseReceipt(content []byte) (*Receipt, error) {
	r := wire.NewReader(content)
	n := int(r.U8())
	rc := &Receipt{}
	for range n {
		var e ReceiptEntry
		e.Conversation, e.Author = r.A16(), r.A16()
		e.Delivered.Read(r)
		e.Read.Read(r)
		if r.Err() != nil {
			break
		}
		rc.Entries = append(rc.Entries, e)
	}
	if err := r.Close(); err != nil {
		return nil, err
	}
	return rc, rc.check()
}
