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

// Contact is another person's account as this device knows it.
type Contact struct {
	Account    identity.AccountID
	State      ContactState
	Petname    string // the name this person gave
	Verified   bool   // the safety number was compared
	KeyChanged bool   // was verified under another key: sending waits for a new verification
	Card       []byte // newest signed card, empty before the first
	Presence   [32]byte
	Added      int64 // unix seconds
	Invite     [16]byte
}

// ContactKey is the key of one contact.
func ContactKey(n Namer, a identity.AccountID) storage.Key {
	p := n.Pseudonym("account", a[:])
	return key(FamilyContact, p[:])
}

// ContactPrefix is the prefix of all contacts.
func ContactPrefix() storage.Key { return key(FamilyContact) }

// Marshal encodes c.
func (c *Contact) Marshal() []byte {
	return wire.NewWriter(nil).U8(1).Raw(c.Account[:]).U8(uint8(c.State)).Vec8([]byte(c.Petname)).
		Bool(c.Verified).Bool(c.KeyChanged).Vec16(c.Card).Raw(c.Presence[:]).
		U64(uint64(c.Added)).Raw(c.Invite[:]).Out()
}

// ParseContact decodes a [Contact].
func ParseContact(b []byte) (*Contact, error) {
	r := wire.NewReader(b)
	version(r)
	c := &Contact{Account: r.A32(), State: ContactState(r.U8())}
	if c.State < ContactPending || c.State > ContactBlocked {
		r.Fail("unknown contact state")
	}
	c.Petname, c.Verified, c.KeyChanged = string(r.Vec8(255)), r.Bool(), r.Bool()
	c.Card, c.Presence, c.Added, c.Invite = r.Vec16(32768), r.A32(), int64(r.U64()), r.A16()
	return c, r.Close()
}
