package identity

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

const (
	labelManifest     suite.Label = "rushlight/identity/manifest/1"
	labelManifestHash suite.Label = "rushlight/identity/manifest-hash/1"
)

// Limits of a manifest (spec §3.3).
const (
	MaxDevices  = 8
	MaxRevoked  = 128
	MaxManifest = 4096 // bytes, more than the limits above can fill
)

const manifestVersion = 1

// ErrSignature is returned when a signature does not verify.
var ErrSignature = errors.New("identity: bad signature")

// DeviceInfo is the public part of a device: its Ed25519 and X25519 keys and
// the day it joined the account, in days since 1970.
type DeviceInfo struct {
	Signing   [32]byte
	Agreement [32]byte
	Added     uint32
}

// ID returns the device's id.
func (d DeviceInfo) ID() DeviceID { return NewDeviceID(d.Signing) }

// Manifest is the list of devices that speak for an account, signed by the
// account key and linked to its predecessor by hash (spec §3.3). It does not
// expire: freshness comes from devices telling each other the number they
// know.
type Manifest struct {
	Account [32]byte     // Ed25519 public key of the account
	Seq     uint64       // 1 for the first
	Prev    [32]byte     // hash of the manifest before, zero for the first
	Devices []DeviceInfo // 1 to 8, ascending by id
	Revoked []DeviceID   // ascending, never shrinks
	Sig     [64]byte
}

// NewManifest signs the list of devices that is to follow prev, or the first
// one when prev is nil. Devices that prev lists and the new list lacks are
// revoked for good.
func NewManifest(a *Account, prev *Manifest, devices []DeviceInfo) (*Manifest, error) {
	m := &Manifest{Account: a.Public(), Seq: 1, Devices: sortDevices(devices)}
	if prev != nil {
		m.Seq, m.Prev = prev.Seq+1, prev.Hash()
		m.Revoked = append(m.Revoked, prev.Revoked...)
		for _, d := range prev.Devices {
			if _, ok := m.Device(d.ID()); !ok {
				m.Revoked = append(m.Revoked, d.ID())
			}
		}
		m.Revoked = sortIDs(m.Revoked)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("making a manifest: %w", err)
	}
	copy(m.Sig[:], signManifest(a, m))
	if prev != nil {
		if err := m.Succeeds(prev); err != nil {
			return nil, fmt.Errorf("making a manifest: %w", err)
		}
	}
	return m, nil
}

func signManifest(a *Account, m *Manifest) []byte {
	return suite.Sign(a.Key, labelManifest, m.body())
}

// ID returns the id of the account.
func (m *Manifest) ID() AccountID { return NewAccountID(m.Account) }

// Hash identifies what the manifest says; the signature is not part of it.
func (m *Manifest) Hash() [32]byte { return suite.Hash(labelManifestHash, m.body()) }

// Device returns the listed device with this id.
func (m *Manifest) Device(id DeviceID) (DeviceInfo, bool) {
	for _, d := range m.Devices {
		if d.ID() == id {
			return d, true
		}
	}
	return DeviceInfo{}, false
}

// Verify checks the limits and the account's signature. It says nothing about
// other manifests of the account: see [Manifest.Succeeds].
func (m *Manifest) Verify() error {
	if err := m.check(); err != nil {
		return fmt.Errorf("checking a manifest: %w", err)
	}
	if !suite.Verify(ed25519.PublicKey(m.Account[:]), m.Sig[:], labelManifest, m.body()) {
		return fmt.Errorf("checking a manifest: %w", ErrSignature)
	}
	return nil
}

// check holds a manifest to spec §3.3, signature aside.
func (m *Manifest) check() error {
	bad := func(why string) error { return fmt.Errorf("%w: %s", wire.ErrMalformed, why) }
	if m.Seq == 0 || (m.Seq == 1) != (m.Prev == [32]byte{}) {
		return bad("manifest number and predecessor disagree")
	}
	if n := len(m.Devices); n == 0 || n > MaxDevices || len(m.Revoked) > MaxRevoked {
		return bad("manifest over its limits")
	}
	var last DeviceID
	seen := make(map[[32]byte]bool, len(m.Devices))
	for i, d := range m.Devices {
		id := d.ID()
		if i > 0 && bytes.Compare(last[:], id[:]) >= 0 {
			return bad("devices out of order")
		}
		if seen[d.Agreement] {
			return bad("two devices share a key")
		}
		last, seen[d.Agreement] = id, true
	}
	for i, id := range m.Revoked {
		if i > 0 && bytes.Compare(m.Revoked[i-1][:], id[:]) >= 0 {
			return bad("revoked devices out of order")
		}
		if _, ok := m.Device(id); ok {
			return bad("revoked device is listed")
		}
	}
	return nil
}

func (m *Manifest) body() []byte {
	w := wire.NewWriter(nil).U8(manifestVersion).U8(suite.ID).
		Raw(m.Account[:]).U64(m.Seq).Raw(m.Prev[:]).U8(uint8(len(m.Devices)))
	for _, d := range m.Devices {
		w.Raw(d.Signing[:]).Raw(d.Agreement[:]).U32(d.Added)
	}
	w.U8(uint8(len(m.Revoked)))
	for _, id := range m.Revoked {
		w.Raw(id[:])
	}
	return w.Out()
}

// Marshal encodes the manifest (spec §3.3).
func (m *Manifest) Marshal() []byte { return append(m.body(), m.Sig[:]...) }

// ParseManifest decodes a manifest and holds it to its limits. It does not
// check the signature: call [Manifest.Verify] before believing it.
func ParseManifest(b []byte) (*Manifest, error) {
	m := &Manifest{}
	r := wire.NewReader(b)
	if r.U8() != manifestVersion || r.U8() != suite.ID {
		r.Fail("unknown version or suite")
	}
	m.Account, m.Seq, m.Prev = r.A32(), r.U64(), r.A32()
	for n := int(r.U8()); n > 0 && r.Err() == nil; n-- {
		m.Devices = append(m.Devices, DeviceInfo{Signing: r.A32(), Agreement: r.A32(), Added: r.U32()})
	}
	for n := int(r.U8()); n > 0 && r.Err() == nil; n-- {
		m.Revoked = append(m.Revoked, r.A16())
	}
	r.Fill(m.Sig[:])
	err := r.Close()
	if err == nil {
		err = m.check()
	}
	if err != nil {
		return nil, fmt.Errorf("reading a manifest: %w", err)
	}
	return m, nil
}
