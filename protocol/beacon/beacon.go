// Package beacon makes and reads beacons (spec §13): signed, encrypted records
// of one size by which contacts find an account whose addresses and relays they
// have lost. They lie where strangers keep them, under keys that change daily.
//
// It fetches and stores nothing. It promises that only the holder of an [Owner]
// makes a beacon that [Check] accepts under that owner's keys, that only a
// holder of its [Reader] reads it, and that nobody else can tell whether two
// beacons, of two days or of two places of one day, have the same owner. That
// they were put at the same time, or from one address, is for the caller to
// hide.
package beacon

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"time"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

// Derivations of spec §13.1 to §13.3.
const (
	labelPhase  suite.Label = "rushlight/beacon/phase/1"
	labelKey    suite.Label = "rushlight/beacon/key/1"
	labelSeal   suite.Label = "rushlight/beacon/seal/1"
	labelNumber suite.Label = "rushlight/beacon/number/1"
	labelInvite suite.Label = "rushlight/beacon/invite/1"
)

// Limits (spec §13.1).
const (
	Size     = 1024           // of every beacon
	Places   = 3              // at which one epoch's beacon lies
	Day      = 24 * time.Hour // an epoch
	MaxAhead = 72 * time.Hour // how far ahead a beacon may expire
)

// Key is where a beacon lies. It says nothing about its owner.
type Key [32]byte

// Place is one of the places of one epoch of one owner.
type Place struct {
	Epoch uint64
	N     uint8 // 0 to 2
}

// Owner is the secret of whoever makes a beacon. It has nothing to do with any
// other key of the account.
type Owner struct {
	seed [32]byte // of an Ed25519 key
	read [32]byte
}

// NewOwner makes a fresh owner.
func NewOwner() *Owner {
	o := &Owner{}
	suite.Random(o.seed[:])
	suite.Random(o.read[:])
	return o
}

// InviteOwner is the owner of the beacon of an invite. Whoever has the invite
// can be it, and so can write there as its maker does.
func InviteOwner(secret [32]byte) *Owner {
	o := &Owner{}
	b := suite.Derive(secret[:], nil, 64, labelInvite)
	copy(o.seed[:], b)
	copy(o.read[:], b[32:])
	return o
}

// Marshal encodes o: seed[32] ‖ read secret[32].
func (o *Owner) Marshal() []byte { return append(o.seed[:len(o.seed):len(o.seed)], o.read[:]...) }

// ParseOwner decodes an [Owner].
func ParseOwner(b []byte) (*Owner, error) {
	r := wire.NewReader(b)
	o := &Owner{seed: r.A32(), read: r.A32()}
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("reading the keys of a beacon: %w", err)
	}
	return o, nil
}

// Reader returns what contacts get.
func (o *Owner) Reader() Reader {
	return Reader{
		Public: [32]byte(ed25519.NewKeyFromSeed(o.seed[:])[32:]),
		Secret: o.read,
	}
}

// Reader finds and opens the beacons of one owner, now and for years to come.
type Reader struct {
	Public [32]byte // Ed25519 key
	Secret [32]byte
}

// phase is where in a UTC day the owner's epochs begin: not all at midnight.
func (r Reader) phase() uint64 {
	h := suite.Hash(labelPhase, r.Secret[:])
	return uint64(binary.BigEndian.Uint32(h[:])) % 86400
}

// Epoch is the owner's epoch at a time.
func (r Reader) Epoch(now time.Time) uint64 { return (uint64(now.Unix()) - r.phase()) / 86400 }

// Begin is when an epoch of the owner begins.
func (r Reader) Begin(epoch uint64) time.Time {
	return time.Unix(int64(epoch*86400+r.phase()), 0)
}

// Key returns where the beacon of a place lies. A Public that is no key of the
// curve is an error.
func (r Reader) Key(p Place) (Key, error) {
	blinded, err := r.blindedPublic(p)
	if err != nil {
		return Key{}, err
	}
	return keyOf(blinded), nil
}

func keyOf(blinded [32]byte) Key { return suite.Hash(labelKey, blinded[:]) }

// fields are the epoch and the number as they enter derivations.
func (p Place) fields() (epoch, n []byte) {
	return binary.BigEndian.AppendUint64(nil, p.Epoch), []byte{p.N}
}

// sealKey encrypts what lies at a place.
func (r Reader) sealKey(p Place) []byte {
	e, n := p.fields()
	return suite.Derive(r.Secret[:], nil, 32, labelSeal, e, n)
}

// number is the sequence number of what is made at a time for a place: it
// grows with time and, to others, begins anywhere.
func (r Reader) number(p Place, at time.Time) uint64 {
	return r.origin(p) + uint64(max(0, at.UnixMilli()))
}

func (r Reader) origin(p Place) uint64 {
	e, n := p.fields()
	m := suite.MAC(r.Secret[:], labelNumber, e, n)
	return binary.BigEndian.Uint64(m[:]) >> 2
}
