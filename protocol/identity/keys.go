package identity

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"

	"rushlight/protocol/wire"
)

// Account is the key that decides which devices speak for a person. It signs
// manifests and nothing else, and is kept sealed under the recovery code
// except while it does.
type Account struct{ Key ed25519.PrivateKey }

// NewAccount makes a new account.
func NewAccount() *Account {
	return &Account{Key: newSigningKey()}
}

// Public returns the account's public key.
func (a *Account) Public() [32]byte { return publicKey(a.Key) }

// ID returns the account's id.
func (a *Account) ID() AccountID { return NewAccountID(a.Public()) }

// Device holds the two private keys of one device: Signing (Ed25519) for
// cards and bundles, Agreement (X25519) for handshakes. Neither is ever used
// for the other's purpose (spec §3.2).
type Device struct {
	Signing   ed25519.PrivateKey
	Agreement *ecdh.PrivateKey
}

// NewDevice makes the keys of a new device.
func NewDevice() *Device {
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		panic("identity: " + err.Error()) // crypto/rand does not fail
	}
	return &Device{Signing: newSigningKey(), Agreement: k}
}

// ID returns the device's id.
func (d *Device) ID() DeviceID { return NewDeviceID(publicKey(d.Signing)) }

// Info returns the device's entry for a manifest; added is the day it joined,
// in days since 1970.
func (d *Device) Info(added uint32) DeviceInfo {
	return DeviceInfo{
		Signing:   publicKey(d.Signing),
		Agreement: [32]byte(d.Agreement.PublicKey().Bytes()),
		Added:     added,
	}
}

const deviceVersion = 1

// Marshal encodes the private keys, for storage that is itself sealed.
func (d *Device) Marshal() []byte {
	return wire.NewWriter(nil).U8(deviceVersion).
		Raw(d.Signing.Seed()).Raw(d.Agreement.Bytes()).Out()
}

// ParseDevice reverses [Device.Marshal].
func ParseDevice(b []byte) (*Device, error) {
	r := wire.NewReader(b)
	if r.U8() != deviceVersion {
		r.Fail("unknown version")
	}
	seed, agree := r.Bytes(32), r.Bytes(32)
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("reading device keys: %w", err)
	}
	k, err := ecdh.X25519().NewPrivateKey(agree)
	if err != nil {
		return nil, fmt.Errorf("reading device keys: %w", err)
	}
	return &Device{Signing: ed25519.NewKeyFromSeed(seed), Agreement: k}, nil
}

func newSigningKey() ed25519.PrivateKey {
	_, k, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic("identity: " + err.Error()) // crypto/rand does not fail
	}
	return k
}

func publicKey(k ed25519.PrivateKey) [32]byte { return [32]byte(k[32:]) }
