// Package stamp is the single-use right to put one envelope into one mailbox.
//
// It is not a payment and not an identity: a stamp names neither the contact
// that holds it nor the mailbox, except to the relay that made it. It promises
// that nobody without the relay's key can make a stamp or tell two apart, and
// that the relay can bound and take back what one mailbox has given out with
// one bit for each (spec §11).
package stamp

import (
	"errors"
	"fmt"

	"rushlight/protocol/envelope"
	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

// Size is the length of a stamp in bytes (spec §11.1).
const Size = 1 + suite.TokenOverhead + ticketSize

const ticketSize = 8 + 4 + 2 + 1 + 1

// Stamp is a stamp as it is handed out, end to end, and shown at a deposit.
type Stamp [Size]byte

// Ticket is what a stamp says to the relay that made it (spec §11.1).
type Ticket struct {
	Handle uint64         // the relay's own name for the mailbox
	Serial uint32         // number of the stamp in the mailbox
	ExpDay uint16         // last day on which it is good
	Class  envelope.Class // size of the envelope that it pays for
}

// ErrInvalid is returned for a stamp that none of the relay's keys made.
var ErrInvalid = errors.New("stamp: not made by this relay")

const labelStamp suite.Label = "rushlight/stamp/stamp/1"

func (t Ticket) marshal(dst []byte) []byte {
	return wire.NewWriter(dst).U64(t.Handle).U32(t.Serial).U16(t.ExpDay).U8(uint8(t.Class)).U8(0).Out()
}

func parseTicket(b []byte) (t Ticket, err error) {
	r := wire.NewReader(b)
	t = Ticket{Handle: r.U64(), Serial: r.U32(), ExpDay: r.U16(), Class: envelope.Class(r.U8())}
	if !t.Class.Valid() {
		r.Fail("unknown class")
	}
	if r.U8() != 0 {
		r.Fail("unknown flags")
	}
	if err := r.Close(); err != nil {
		return Ticket{}, fmt.Errorf("stamp: ticket: %w", err)
	}
	return t, nil
}
