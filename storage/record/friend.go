package record

import (
	"rushlight/protocol/identity"
	"rushlight/protocol/wire"
	"rushlight/storage"
)

// Owner is the secret of this device's beacon.
type Owner struct {
	Keys [64]byte // beacon.Owner
}

// OwnerKey is the key of the one [Owner].
func OwnerKey() storage.Key { return key(FamilyOwner) }

// Marshal encodes o.
func (o *Owner) Marshal() []byte { return wire.NewWriter(nil).U8(1).Raw(o.Keys[:]).Out() }

// ParseOwner decodes an [Owner].
func ParseOwner(b []byte) (*Owner, error) {
	r := wire.NewReader(b)
	version(r)
	o := &Owner{}
	r.Fill(o.Keys[:])
	return o, r.Close()
}

// Limits of a [Friend].
const (
	MaxFriendHints = 8
	MaxVouched     = 8
)

// Friend is what one device of a contact has said about where it is: how to
// read its beacon, its addresses, and whom else they may be told.
type Friend struct {
	Account identity.AccountID
	Reader  [64]byte // beacon.Reader: public ‖ secret; zero before it was told
	Made    int64    // when the device said so, by its clock, Unix milliseconds
	Hints   []identity.Hint
	Vouched [][32]byte // whoever knows one of these may be told, besides contacts
	Purse   uint32     // bytes left for calls to addresses it names
	PurseAt int64      // when that was, Unix seconds; 0 is never
}

// FriendKey is the key of what is known of one contact.
func FriendKey(n Namer, a identity.AccountID) storage.Key {
	p := n.Pseudonym("account", a[:])
	return key(FamilyFriend, p[:])
}

// FriendPrefix is the prefix of all friends.
func FriendPrefix() storage.Key { return key(FamilyFriend) }

// Marshal encodes f: its version is 2 when there is a purse.
func (f *Friend) Marshal() []byte {
	w := wire.NewWriter(nil).U8(grown(f.PurseAt != 0)).Raw(f.Account[:]).Raw(f.Reader[:]).U64(uint64(f.Made)).U8(uint8(len(f.Hints)))
	for _, h := range f.Hints {
		w.Vec8(h.Peer).Vec8(h.Addr)
	}
	w.U8(uint8(len(f.Vouched)))
	for _, v := range f.Vouched {
		w.Raw(v[:])
	}
	if f.PurseAt != 0 {
		w.U32(f.Purse).U64(uint64(f.PurseAt))
	}
	return w.Out()
}

// ParseFriend decodes a [Friend].
func ParseFriend(b []byte) (*Friend, error) {
	r := wire.NewReader(b)
	more := hasGrown(r)
	f := &Friend{Account: r.A32()}
	r.Fill(f.Reader[:])
	f.Made = int64(r.U64())
	n := int(r.U8())
	if n > MaxFriendHints {
		r.Fail("too many hints")
	}
	for ; n > 0 && r.Err() == nil; n-- {
		f.Hints = append(f.Hints, identity.Hint{Peer: r.Vec8(64), Addr: r.Vec8(128)})
	}
	if n = int(r.U8()); n > MaxVouched {
		r.Fail("too many secrets")
	}
	for ; n > 0 && r.Err() == nil; n-- {
		f.Vouched = append(f.Vouched, r.A32())
	}
	if more {
		if f.Purse, f.PurseAt = r.U32(), int64(r.U64()); f.PurseAt == 0 {
			r.Fail("no time of the purse")
		}
	}
	return f, r.Close()
}
