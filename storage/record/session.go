package record

import (
	"rushlight/protocol/identity"
	"rushlight/protocol/wire"
	"rushlight/storage"
)

// Session is one ratchet with one device of a contact.
type Session struct {
	Account identity.AccountID
	Device  identity.DeviceID
	ID      [16]byte
	// Generation counts the sessions that took each other's place (spec §5.7).
	Generation uint32
	Created    int64  // unix seconds
	Lost       int64  // unix seconds since which another is used for sending; 0 while this one is
	Dead       bool   // was rolled back: nothing may be sent in it ever again
	Proved     bool   // the other side has it: something was received in it or acknowledged
	State      []byte // ratchet.Session
}

// SessionKey is the key of one session.
func SessionKey(n Namer, a identity.AccountID, d identity.DeviceID, id [16]byte) storage.Key {
	pa, pd := n.Pseudonym("account", a[:]), n.Pseudonym("device", d[:])
	return key(FamilySession, pa[:], pd[:], id[:])
}

// SessionFamily is the prefix of all sessions.
func SessionFamily() storage.Key { return key(FamilySession) }

// Marshal encodes s.
func (s *Session) Marshal() []byte {
	return wire.NewWriter(make([]byte, 0, len(s.State)+160)).U8(1).Raw(s.Account[:]).Raw(s.Device[:]).Raw(s.ID[:]).
		U32(s.Generation).U64(uint64(s.Created)).U64(uint64(s.Lost)).Bool(s.Dead).Bool(s.Proved).Vec24(s.State).Out()
}

// ParseSession decodes a [Session].
func ParseSession(b []byte) (*Session, error) {
	r := wire.NewReader(b)
	version(r)
	s := &Session{Account: r.A32(), Device: r.A16(), ID: r.A16(), Generation: r.U32()}
	s.Created, s.Lost, s.Dead = int64(r.U64()), int64(r.U64()), r.Bool()
	s.Proved, s.State = r.Bool(), r.Vec24(1<<20)
	return s, r.Close()
}
