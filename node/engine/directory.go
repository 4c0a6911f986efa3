package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"rushlight/protocol/identity"
	"rushlight/storage/record"
)

// Contact is a contact as everybody but the loop sees it.
type Contact struct {
	record.Contact
	Name    string // what the contact calls itself, if a card came
	Devices []identity.DeviceInfo
	Hints   []identity.Hint // addresses out of the card
}

// Shown is what the person calls the contact.
func (c *Contact) Shown() string {
	if c.Petname != "" {
		return c.Petname
	}
	return c.Name
}

// looksLike reports whether a person sees no difference between two states of
// a contact.
func (c *Contact) looksLike(o *Contact) bool {
	return c.State == o.State && c.Petname == o.Petname && c.Name == o.Name &&
		c.Verified == o.Verified && c.KeyChanged == o.KeyChanged && c.Greeting == o.Greeting
}

// directory is an immutable picture of all contacts.
type directory struct {
	contacts map[identity.AccountID]*Contact
	devices  map[identity.DeviceID]identity.AccountID
	peers    map[identity.DeviceID][]identity.Hint // addresses that worked
}

func newDirectory() *directory {
	return &directory{
		contacts: map[identity.AccountID]*Contact{},
		devices:  map[identity.DeviceID]identity.AccountID{},
		peers:    map[identity.DeviceID][]identity.Hint{},
	}
}

func newContact(rec *record.Contact) (*Contact, error) {
	c := &Contact{Contact: *rec}
	if len(rec.Card) > 0 {
		card, err := identity.ParseCard(rec.Card)
		if err != nil {
			return nil, fmt.Errorf("reading a contact's card: %w", err)
		}
		c.Name, c.Devices, c.Hints = card.Name, card.Manifest.Devices, card.Hints
	}
	return c, nil
}

// with returns a picture that also holds the given changes. A nil contact is
// one that was removed.
func (d *directory) with(contacts map[identity.AccountID]*Contact, peers map[identity.DeviceID][]identity.Hint) *directory {
	n := &directory{contacts: maps.Clone(d.contacts), devices: d.devices, peers: d.peers}
	if len(peers) > 0 {
		n.peers = maps.Clone(d.peers)
		maps.Copy(n.peers, peers)
	}
	for a, c := range contacts {
		delete(n.contacts, a)
		if c != nil {
			n.contacts[a] = c
		}
	}
	if len(contacts) > 0 {
		n.devices = make(map[identity.DeviceID]identity.AccountID, len(d.devices)+1)
		for a, c := range n.contacts {
			for _, dev := range c.Devices {
				n.devices[dev.ID()] = a
			}
		}
	}
	return n
}

// Contacts lists all contacts in the order of their shown names.
func (e *Engine) Contacts() []*Contact {
	out := slices.Collect(maps.Values(e.people.Load().contacts))
	slices.SortFunc(out, func(a, b *Contact) int {
		if n := strings.Compare(strings.ToLower(a.Shown()), strings.ToLower(b.Shown())); n != 0 {
			return n
		}
		return strings.Compare(a.Account.String(), b.Account.String())
	})
	return out
}

// Contact returns one contact, or nil.
func (e *Engine) Contact(a identity.AccountID) *Contact { return e.people.Load().contacts[a] }

// AccountOf finds the contact that a device belongs to, if its signing key is
// the one that the contact's manifest names.
func (e *Engine) AccountOf(d identity.DeviceID, dsk [32]byte) (identity.AccountID, bool) {
	p := e.people.Load()
	a, ok := p.devices[d]
	if !ok || identity.NewDeviceID(dsk) != d {
		return identity.AccountID{}, false
	}
	for _, dev := range p.contacts[a].Devices {
		if dev.Signing == dsk {
			return a, true
		}
	}
	return identity.AccountID{}, false
}

// Devices lists the devices of a contact.
func (e *Engine) Devices(a identity.AccountID) []identity.DeviceID {
	c := e.Contact(a)
	if c == nil {
		return nil
	}
	out := make([]identity.DeviceID, len(c.Devices))
	for i, d := range c.Devices {
		out[i] = d.ID()
	}
	return out
}

// Hints lists where a contact may be reached: what worked last first, then
// what its card says.
func (e *Engine) Hints(a identity.AccountID) []identity.Hint {
	p := e.people.Load()
	c := p.contacts[a]
	if c == nil {
		return nil
	}
	var out []identity.Hint
	add := func(hs []identity.Hint) {
		for _, h := range hs {
			if !slices.ContainsFunc(out, func(o identity.Hint) bool { return sameHint(o, h) }) {
				out = append(out, h)
			}
		}
	}
	for _, d := range c.Devices {
		add(p.peers[d.ID()])
	}
	add(c.Hints)
	return out
}

func sameHint(a, b identity.Hint) bool {
	return string(a.Peer) == string(b.Peer) && string(a.Addr) == string(b.Addr)
}

// Accounts lists the contacts that are worth dialling.
func (e *Engine) Accounts() []identity.AccountID {
	p := e.people.Load()
	out := make([]identity.AccountID, 0, len(p.contacts))
	for a, c := range p.contacts {
		if c.State != record.ContactBlocked && len(c.Devices) > 0 {
			out = append(out, a)
		}
	}
	return out
}

// Presence lists the secrets under which contacts announce themselves on a
// local network.
func (e *Engine) Presence(yield func(identity.AccountID, [32]byte) bool) {
	for a, c := range e.people.Load().contacts {
		if c.State == record.ContactApproved && c.Presence != [32]byte{} && !yield(a, c.Presence) {
			return
		}
	}
}
