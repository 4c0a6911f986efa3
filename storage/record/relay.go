package record

import (
	"rushlight/protocol/identity"
	"rushlight/protocol/relayset"
	"rushlight/protocol/stamp"
	"rushlight/protocol/wire"
	"rushlight/storage"
)

// Relay is a relay at which this device has a mailbox.
type Relay struct {
	Key     [32]byte // the relay's Ed25519 key
	Addrs   [][]byte // binary multiaddrs without the peer id
	Seed    [32]byte // of the mailbox key, which is used for nothing else
	Nonce   [16]byte // of the request lane's address
	Token   []byte   // that the operator gave, or nothing
	Added   int64    // unix seconds
	Ready   bool     // the mailbox was made
	Log     [16]byte // what the mailbox's log was called
	Next    uint64   // the highest number seen
	Faults  uint32   // how often the relay had lost mail
	Leaving int64    // unix seconds since which it is given up; 0 is not
	Worked  int64    // unix seconds when it last answered
	Down    bool     // it has not answered for a day
	Canary  int64    // unix seconds of the last test with a letter to oneself
	Missed  uint8    // tests in a row that failed
	Lied    int64    // unix seconds when it was shown to have lied; 0 is never
	Proof   []byte   // that it has: see engine.Proof
	Refused uint32   // deposits that it says it had no room for, since it has the mailbox
	Crowded uint32   // requests that it says others took the place of
	Full    int64    // unix seconds when one of these was last seen to have grown; 0 is never
}

// RelayKey is the key of one [Relay].
func RelayKey(n Namer, relay [32]byte) storage.Key {
	p := n.Pseudonym("relay", relay[:])
	return key(FamilyRelay, p[:])
}

// RelayPrefix is the prefix of all relays.
func RelayPrefix() storage.Key { return key(FamilyRelay) }

func writeAddrs(w *wire.Writer, addrs [][]byte) {
	w.U8(uint8(len(addrs)))
	for _, a := range addrs {
		w.Vec8(a)
	}
}

func readAddrs(r *wire.Reader) (out [][]byte) {
	n := int(r.U8())
	if n > relayset.MaxAddrs {
		r.Fail("too many addresses")
	}
	for ; n > 0 && r.Err() == nil; n-- {
		out = append(out, r.Vec8(relayset.MaxAddr))
	}
	return out
}

// Marshal encodes v.
func (v *Relay) Marshal() []byte {
	w := wire.NewWriter(nil).U8(1).Raw(v.Key[:])
	writeAddrs(w, v.Addrs)
	return w.Raw(v.Seed[:]).Raw(v.Nonce[:]).Vec8(v.Token).U64(uint64(v.Added)).Bool(v.Ready).
		Raw(v.Log[:]).U64(v.Next).U32(v.Faults).U64(uint64(v.Leaving)).
		U64(uint64(v.Worked)).Bool(v.Down).U64(uint64(v.Canary)).U8(v.Missed).U64(uint64(v.Lied)).Vec16(v.Proof).
		U32(v.Refused).U32(v.Crowded).U64(uint64(v.Full)).Out()
}

// ParseRelay decodes a [Relay].
func ParseRelay(b []byte) (*Relay, error) {
	r := wire.NewReader(b)
	version(r)
	v := &Relay{Key: r.A32(), Addrs: readAddrs(r)}
	v.Seed, v.Nonce, v.Token, v.Added, v.Ready = r.A32(), r.A16(), r.Vec8(64), int64(r.U64()), r.Bool()
	v.Log, v.Next, v.Faults, v.Leaving = r.A16(), r.U64(), r.U32(), int64(r.U64())
	v.Worked, v.Down, v.Canary, v.Missed = int64(r.U64()), r.Bool(), int64(r.U64()), r.U8()
	v.Lied, v.Proof = int64(r.U64()), r.Vec16(1024)
	v.Refused, v.Crowded, v.Full = r.U32(), r.U32(), int64(r.U64())
	return v, r.Close()
}

// Revoked are stamps that are to be taken back at one relay, by their serials.
type Revoked struct{ Serials []uint32 }

// MaxRevoked bounds the serials of one [Revoked].
const MaxRevoked = 1 << 16

// RevokedKey is the key of the [Revoked] of one relay.
func RevokedKey(n Namer, relay [32]byte) storage.Key {
	p := n.Pseudonym("relay", relay[:])
	return key(FamilyRevoked, p[:])
}

// Marshal encodes v.
func (v *Revoked) Marshal() []byte {
	w := wire.NewWriter(nil).U8(1).U32(uint32(len(v.Serials)))
	for _, s := range v.Serials {
		w.U32(s)
	}
	return w.Out()
}

// ParseRevoked decodes a [Revoked].
func ParseRevoked(b []byte) (*Revoked, error) {
	r := wire.NewReader(b)
	version(r)
	v := &Revoked{}
	n := r.U32()
	if n > MaxRevoked {
		r.Fail("too many serials")
	}
	for ; n > 0 && r.Err() == nil; n-- {
		v.Serials = append(v.Serials, r.U32())
	}
	return v, r.Close()
}

// Given is what a contact was told about this device's relays.
type Given struct {
	Seq    uint64 // number of the set that was told; 0 is none
	Relays []GivenRelay
	Spares [][32]byte // hashes of the bundles for new sessions that it holds
	Beacon [16]byte   // hash of the keys of the beacon that it was told
	// Standing are hashes of the bundles for many sessions that it may use,
	// oldest first, at most [MaxStanding]. Held says that it has the newest.
	Standing [][32]byte
	Held     bool
}

// GivenRelay is what a contact was given for one relay.
type GivenRelay struct {
	Key     [32]byte
	Left    [3]uint16 // stamps that it can't have used yet, by class
	Serials []uint32  // of all that it was given lately
}

// MaxSerials bounds the serials of one [GivenRelay].
const MaxSerials = 2048

// GivenKey is the key of what one contact was told.
func GivenKey(n Namer, a identity.AccountID) storage.Key {
	p := n.Pseudonym("account", a[:])
	return key(FamilyGiven, p[:])
}

// Marshal encodes g.
func (g *Given) Marshal() []byte {
	w := wire.NewWriter(nil).U8(1).U64(g.Seq).U8(uint8(len(g.Relays)))
	for _, x := range g.Relays {
		w.Raw(x.Key[:])
		for _, n := range x.Left {
			w.U16(n)
		}
		w.U16(uint16(len(x.Serials)))
		for _, s := range x.Serials {
			w.U32(s)
		}
	}
	w.U8(uint8(len(g.Spares)))
	for _, h := range g.Spares {
		w.Raw(h[:])
	}
	w.Raw(g.Beacon[:]).U8(uint8(len(g.Standing)))
	for _, h := range g.Standing {
		w.Raw(h[:])
	}
	return w.Bool(g.Held).Out()
}

// ParseGiven decodes a [Given].
func ParseGiven(b []byte) (*Given, error) {
	r := wire.NewReader(b)
	version(r)
	g := &Given{Seq: r.U64()}
	for n := int(r.U8()); n > 0 && r.Err() == nil; n-- {
		x := GivenRelay{Key: r.A32()}
		for i := range x.Left {
			x.Left[i] = r.U16()
		}
		for m := int(r.U16()); m > 0 && r.Err() == nil; m-- {
			x.Serials = append(x.Serials, r.U32())
		}
		g.Relays = append(g.Relays, x)
	}
	for n := int(r.U8()); n > 0 && r.Err() == nil; n-- {
		g.Spares = append(g.Spares, r.A32())
	}
	g.Beacon = r.A16()
	n := int(r.U8())
	if n > MaxStanding {
		r.Fail("too many bundles")
	}
	for ; n > 0 && r.Err() == nil; n-- {
		g.Standing = append(g.Standing, r.A32())
	}
	g.Held = r.Bool()
	return g, r.Close()
}

// Posted is how far an outbox entry has come at the recipient's relays.
type Posted struct {
	Account identity.AccountID
	Seq     uint64
	Rounds  uint8 // how often it was deposited at as many relays as it should
	Due     int64 // unix seconds of the next deposit; 0 while there is one to make
	Third   bool  // the next deposit is one more copy of this round
	Since   int64 // unix seconds since which there is a copy of this round; 0 is none
	Copies  []Copy
}

// Copy is the deposit of one envelope at one relay.
type Copy struct {
	Relay  [32]byte
	Stamp  stamp.Stamp
	Stored bool // the relay has signed for it
	Lane   bool // it goes through the request lane, without a stamp
}

// PostedKey is the key of one [Posted].
func PostedKey(n Namer, a identity.AccountID, seq uint64) storage.Key {
	p := n.Pseudonym("account", a[:])
	return key(FamilyPosted, p[:], u64(seq))
}

// PostedPrefix is the prefix of all.
func PostedPrefix() storage.Key { return key(FamilyPosted) }

// Marshal encodes p.
func (p *Posted) Marshal() []byte {
	w := wire.NewWriter(nil).U8(1).Raw(p.Account[:]).U64(p.Seq).U8(p.Rounds).U64(uint64(p.Due)).Bool(p.Third).U64(uint64(p.Since)).U8(uint8(len(p.Copies)))
	for _, c := range p.Copies {
		w.Raw(c.Relay[:]).Raw(c.Stamp[:]).Bool(c.Stored).Bool(c.Lane)
	}
	return w.Out()
}

// ParsePosted decodes a [Posted].
func ParsePosted(b []byte) (*Posted, error) {
	r := wire.NewReader(b)
	version(r)
	p := &Posted{Account: r.A32(), Seq: r.U64(), Rounds: r.U8(), Due: int64(r.U64()), Third: r.Bool(), Since: int64(r.U64())}
	for n := int(r.U8()); n > 0 && r.Err() == nil; n-- {
		c := Copy{Relay: r.A32()}
		r.Fill(c.Stamp[:])
		c.Stored, c.Lane = r.Bool(), r.Bool()
		p.Copies = append(p.Copies, c)
	}
	return p, r.Close()
}

// Asked is a request to the maker of an invite, left at the maker's relays.
type Asked struct {
	Account  identity.AccountID
	Content  []byte   // what is asked
	Cure     [16]byte // random, of the content
	Deposits []Copy   // at the relays of the invite
}

// AskedKey is the key of one [Asked].
func AskedKey(n Namer, a identity.AccountID) storage.Key {
	p := n.Pseudonym("account", a[:])
	return key(FamilyAsked, p[:])
}

// Marshal encodes q.
func (q *Asked) Marshal() []byte {
	w := wire.NewWriter(nil).U8(1).Raw(q.Account[:]).Vec16(q.Content).Raw(q.Cure[:]).U8(uint8(len(q.Deposits)))
	for _, c := range q.Deposits {
		w.Raw(c.Relay[:]).Raw(c.Stamp[:]).Bool(c.Stored).Bool(c.Lane)
	}
	return w.Out()
}

// ParseAsked decodes an [Asked].
func ParseAsked(b []byte) (*Asked, error) {
	r := wire.NewReader(b)
	version(r)
	q := &Asked{Account: r.A32(), Content: r.Vec16(1 << 15), Cure: r.A16()}
	for n := int(r.U8()); n > 0 && r.Err() == nil; n-- {
		c := Copy{Relay: r.A32()}
		r.Fill(c.Stamp[:])
		c.Stored, c.Lane = r.Bool(), r.Bool()
		q.Deposits = append(q.Deposits, c)
	}
	return q, r.Close()
}

// Issue is the number of this device's newest set of relays.
type Issue struct{ Seq uint64 }

// IssueKey is the key of the one [Issue].
func IssueKey() storage.Key { return key(FamilyIssue) }

// Marshal encodes i.
func (i *Issue) Marshal() []byte { return wire.NewWriter(nil).U8(1).U64(i.Seq).Out() }

// ParseIssue decodes an [Issue].
func ParseIssue(b []byte) (*Issue, error) {
	r := wire.NewReader(b)
	version(r)
	i := &Issue{Seq: r.U64()}
	return i, r.Close()
}
