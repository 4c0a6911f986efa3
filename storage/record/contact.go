package record

import (
	"rushlight/protocol/identity"
	"rushlight/protocol/wire"
	"rushlight/storage"
)

// ContactState says how far two people know each other.
type ContactState uint8

// The states of a contact.
const (
	ContactPending  ContactState = 1 // asked, not yet answered
	ContactApproved ContactState = 2
	ContactBlocked  ContactState = 3
)

// maxGreeting is the length of the longest greeting in bytes.
const maxGreeting = 4000

// Contact is another person's account as this device knows it.
type Contact struct {
	Account    identity.AccountID
	State      ContactState
	Petname    string // the name this person gave
	Verified   bool   // the safety number was compared
	KeyChanged bool   // was verified under another key: sending waits for a new verification
	Card       []byte // newest signed card, empty before the first
	Presence   [32]byte
	Added      int64    // unix seconds
	Invite     [16]byte // the last one through which the two came together
	Undecided  bool     // was blocked instead of approved or declined
	Greeting   string   // what somebody who asks to be a contact says, until that is decided
}

// ContactKey is the key of one contact.
func ContactKey(n Namer, a identity.AccountID) storage.Key {
	p := n.Pseudonym("account", a[:])
	return key(FamilyContact, p[:])
}

// ContactPrefix is the prefix of all contacts.
func ContactPrefix() storage.Key { return key(FamilyContact) }

// Marshal encodes c: its version is 2 when one of the last two fields is there.
func (c *Contact) Marshal() []byte {
	more := c.Undecided || c.Greeting != ""
	w := wire.NewWriter(nil).U8(grown(more)).Raw(c.Account[:]).U8(uint8(c.State)).Vec8([]byte(c.Petname)).
		Bool(c.Verified).Bool(c.KeyChanged).Vec16(c.Card).Raw(c.Presence[:]).
		U64(uint64(c.Added)).Raw(c.Invite[:])
	if more {
		w.Bool(c.Undecided).Vec16([]byte(c.Greeting))
	}
	return w.Out()
}

// ParseContact decodes a [Contact].
func ParseContact(b []byte) (*Contact, error) {
	r := wire.NewReader(b)
	more := hasGrown(r)
	c := &Contact{Account: r.A32(), State: ContactState(r.U8())}
	if c.State < ContactPending || c.State > ContactBlocked {
		r.Fail("unknown contact state")
	}
	c.Petname, c.Verified, c.KeyChanged = string(r.Vec8(255)), r.Bool(), r.Bool()
	c.Card, c.Presence, c.Added, c.Invite = r.Vec16(32768), r.A32(), int64(r.U64()), r.A16()
	if more {
		c.Undecided, c.Greeting = r.Bool(), string(r.Vec16(maxGreeting))
		if !c.Undecided && c.Greeting == "" {
			r.Fail("a newer version for nothing")
		}
	}
	return c, r.Close()
}
