package record

import (
	"rushlight/protocol/wire"
	"rushlight/storage"
)

// Self is this device's identity. It is written once, at the first start, and
// again when the name or the manifest changes.
type Self struct {
	Device     []byte   // private device keys, identity.Device
	Manifest   []byte   // the account's device manifest
	AccountKey []byte   // account key sealed under the recovery code
	HostKey    [32]byte // seed of the network host's key: random, unrelated to the account
	Name       string   // the name this person claims
}

// SelfKey is the key of the one [Self].
func SelfKey() storage.Key { return key(FamilySelf) }

// Marshal encodes s.
func (s *Self) Marshal() []byte {
	return wire.NewWriter(nil).U8(1).Vec16(s.Device).Vec16(s.Manifest).Vec16(s.AccountKey).
		Raw(s.HostKey[:]).Vec8([]byte(s.Name)).Out()
}

// ParseSelf decodes a [Self].
func ParseSelf(b []byte) (*Self, error) {
	r := wire.NewReader(b)
	version(r)
	s := &Self{Device: r.Vec16(4096), Manifest: r.Vec16(16384), AccountKey: r.Vec16(1024), HostKey: r.A32()}
	s.Name = string(r.Vec8(255))
	return s, r.Close()
}

// version reads the version of a record that never grew.
func version(r *wire.Reader) {
	if r.U8() != 1 {
		r.Fail("unknown record version")
	}
}

// A record that has grown has version 1 as long as nothing is in what was added,
// and 2 with it.

func grown(more bool) uint8 {
	if more {
		return 2
	}
	return 1
}

func hasGrown(r *wire.Reader) bool {
	v := r.U8()
	if v != 1 && v != 2 {
		r.Fail("unknown record version")
	}
	return v == 2
}
