package record

import (
	"rushlight/protocol/identity"
	"rushlight/protocol/wire"
	"rushlight/storage"
)

// InviteUse is one of the uses that an invite allows.
type InviteUse struct {
	Bundle []byte   // public one-time bundle; empty once used
	Hash   [32]byte // its hash, as the link carries it
	Secret []byte   // private half; destroyed by the transaction that uses it
	Used   bool
}

// MaxTurnedAway is how many people an invite can turn away: each has used it.
const MaxTurnedAway = 8

// Invite is a link this device gave out.
type Invite struct {
	ID            [16]byte
	Secret        [32]byte
	Expires       int64 // unix seconds
	NeedsApproval bool
	Note          string
	Uses          []InviteUse          // 1 to 8
	TurnedAway    []identity.AccountID // used it, and were declined or removed
}

// InviteKey is the key of one invite.
func InviteKey(id [16]byte) storage.Key { return key(FamilyInvite, id[:]) }

// InvitePrefix is the prefix of all invites.
func InvitePrefix() storage.Key { return key(FamilyInvite) }

// Marshal encodes v: its version is 2 when somebody was turned away.
func (v *Invite) Marshal() []byte {
	more := len(v.TurnedAway) > 0
	w := wire.NewWriter(nil).U8(grown(more)).Raw(v.ID[:]).Raw(v.Secret[:]).U64(uint64(v.Expires)).
		Bool(v.NeedsApproval).Vec16([]byte(v.Note)).U8(uint8(len(v.Uses)))
	for _, u := range v.Uses {
		w.Vec16(u.Bundle).Raw(u.Hash[:]).Vec16(u.Secret).Bool(u.Used)
	}
	if more {
		w.U8(uint8(len(v.TurnedAway)))
		for _, a := range v.TurnedAway {
			w.Raw(a[:])
		}
	}
	return w.Out()
}

// ParseInvite decodes an [Invite].
func ParseInvite(b []byte) (*Invite, error) {
	r := wire.NewReader(b)
	more := hasGrown(r)
	v := &Invite{ID: r.A16(), Secret: r.A32(), Expires: int64(r.U64()), NeedsApproval: r.Bool(), Note: string(r.Vec16(1024))}
	n := int(r.U8())
	if n > 8 {
		r.Fail("too many uses")
	}
	for i := 0; i < n && r.Err() == nil; i++ {
		v.Uses = append(v.Uses, InviteUse{Bundle: r.Vec16(16384), Hash: r.A32(), Secret: r.Vec16(16384), Used: r.Bool()})
	}
	if more {
		n := int(r.U8())
		if n == 0 || n > MaxTurnedAway {
			r.Fail("nobody, or too many, turned away")
		}
		for ; n > 0 && r.Err() == nil; n-- {
			v.TurnedAway = append(v.TurnedAway, r.A32())
		}
	}
	return v, r.Close()
}

// Join is an invite that this person accepted and that was not answered yet.
type Join struct {
	Account  identity.AccountID
	Link     string
	Started  int64  // unix seconds
	Sent     bool   // the first flight is in the outbox
	Greeting string // what its maker, who decides, is told
}

// JoinKey is the key of one join.
func JoinKey(n Namer, a identity.AccountID) storage.Key {
	p := n.Pseudonym("account", a[:])
	return key(FamilyJoin, p[:])
}

// JoinPrefix is the prefix of all joins.
func JoinPrefix() storage.Key { return key(FamilyJoin) }

// Marshal encodes j: its version is 2 when there is a greeting.
func (j *Join) Marshal() []byte {
	more := j.Greeting != ""
	w := wire.NewWriter(nil).U8(grown(more)).Raw(j.Account[:]).Vec16([]byte(j.Link)).U64(uint64(j.Started)).Bool(j.Sent)
	if more {
		w.Vec16([]byte(j.Greeting))
	}
	return w.Out()
}

// ParseJoin decodes a [Join].
func ParseJoin(b []byte) (*Join, error) {
	r := wire.NewReader(b)
	more := hasGrown(r)
	j := &Join{Account: r.A32(), Link: string(r.Vec16(8192)), Started: int64(r.U64()), Sent: r.Bool()}
	if more {
		if j.Greeting = string(r.Vec16(maxGreeting)); j.Greeting == "" {
			r.Fail("a newer version for nothing")
		}
	}
	return j, r.Close()
}

// Awaiting says of a contact whose invite needed approval that nothing has shown
// yet whether it was given.
type Awaiting struct {
	Account identity.AccountID
	Since   int64 // unix seconds
}

// AwaitingKey is the key of one [Awaiting].
func AwaitingKey(n Namer, a identity.AccountID) storage.Key {
	p := n.Pseudonym("account", a[:])
	return key(FamilyAwaiting, p[:])
}

// AwaitingPrefix is the prefix of all [Awaiting].
func AwaitingPrefix() storage.Key { return key(FamilyAwaiting) }

// Marshal encodes w.
func (w *Awaiting) Marshal() []byte {
	return wire.NewWriter(nil).U8(1).Raw(w.Account[:]).U64(uint64(w.Since)).Out()
}

// ParseAwaiting decodes an [Awaiting].
func ParseAwaiting(b []byte) (*Awaiting, error) {
	r := wire.NewReader(b)
	version(r)
	w := &Awaiting{Account: r.A32(), Since: int64(r.U64())}
	return w, r.Close()
}

// Prekey is the private half of a bundle given to a contact for re-keying: a
// one-time bundle, or one of last resort that is that contact's alone.
type Prekey struct {
	Account identity.AccountID // whom it was given to
	Bundle  []byte
	Secret  []byte
	Made    int64 // unix seconds
	// Of one of last resort: the flights that were answered, by their replay
	// keys, at most [MaxUses], and since when the contact has a newer one, in
	// unix seconds; 0 is not.
	Uses     [][32]byte
	Replaced int64
}

// MaxUses is how many flights to one bundle are answered at most.
const MaxUses = 256

// PrekeyKey is the key of the prekey of one bundle.
func PrekeyKey(hash [32]byte) storage.Key { return key(FamilyPrekey, hash[:]) }

// PrekeyPrefix is the prefix of all prekeys.
func PrekeyPrefix() storage.Key { return key(FamilyPrekey) }

// Marshal encodes p.
func (p *Prekey) Marshal() []byte {
	w := wire.NewWriter(nil).U8(1).Raw(p.Account[:]).Vec16(p.Bundle).Vec16(p.Secret).U64(uint64(p.Made)).U16(uint16(len(p.Uses)))
	for _, k := range p.Uses {
		w.Raw(k[:])
	}
	return w.U64(uint64(p.Replaced)).Out()
}

// ParsePrekey decodes a [Prekey].
func ParsePrekey(b []byte) (*Prekey, error) {
	r := wire.NewReader(b)
	version(r)
	p := &Prekey{Account: r.A32(), Bundle: r.Vec16(16384), Secret: r.Vec16(16384), Made: int64(r.U64())}
	n := int(r.U16())
	if n > MaxUses {
		r.Fail("too many uses")
	}
	for ; n > 0 && r.Err() == nil; n-- {
		p.Uses = append(p.Uses, r.A32())
	}
	p.Replaced = int64(r.U64())
	return p, r.Close()
}

// AnsweredKey is the key of one [Answered], by the hash of the flight's
// envelope.
func AnsweredKey(hash [32]byte) storage.Key { return key(FamilyAnswered, hash[:]) }

// Answered is a first flight that started a session.
type Answered struct {
	Account identity.AccountID
	Device  identity.DeviceID
	Session [16]byte
	Tag     [16]byte // of the flight on a direct stream
}

// Marshal encodes a.
func (a *Answered) Marshal() []byte {
	return wire.NewWriter(nil).U8(1).Raw(a.Account[:]).Raw(a.Device[:]).Raw(a.Session[:]).Raw(a.Tag[:]).Out()
}

// ParseAnswered decodes an [Answered].
func ParseAnswered(b []byte) (*Answered, error) {
	r := wire.NewReader(b)
	version(r)
	a := &Answered{Account: r.A32(), Device: r.A16(), Session: r.A16(), Tag: r.A16()}
	return a, r.Close()
}
