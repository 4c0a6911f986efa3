package handshake

import (
	"crypto/ed25519"
	"crypto/mlkem"
	"fmt"
	"time"

	"rushlight/protocol/identity"
	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

const (
	labelBundle     suite.Label = "rushlight/handshake/bundle/1"
	labelBundleHash suite.Label = "rushlight/handshake/bundle-hash/1"
)

const (
	bundleVersion = 1
	sealKeySize   = mlkem.EncapsulationKeySize768 + 32

	// Grace is how long after a bundle's end its maker still answers flights
	// that were under way. Its secrets are deleted then (spec §5.2).
	Grace = 7 * 24 * time.Hour
	// skew is how far a clock may be behind the clock of a bundle's maker.
	skew = 7 * 24 * time.Hour
)

// SignedKey is an X25519 key with its lifetime in unix seconds: valid from
// NotBefore until before NotAfter.
type SignedKey struct {
	ID        uint32
	NotBefore uint32
	NotAfter  uint32
	Key       [32]byte
}

// PQKey is an ML-KEM-768 key with its lifetime. A last-resort key is used by
// many; any other by one.
type PQKey struct {
	ID         uint32
	NotBefore  uint32
	NotAfter   uint32
	LastResort bool
	Key        [mlkem.EncapsulationKeySize768]byte
}

// OneTimeKey is an X25519 key for a single use.
type OneTimeKey struct {
	ID  uint32
	Key [32]byte
}

// Bundle is what a device publishes so that others can start a session with
// it while it is offline, signed by its signing key (spec §5.2). It is either
// for one use, with OneTime and a PQ key of its own, or of last resort,
// without OneTime.
type Bundle struct {
	Account   identity.AccountID
	Device    identity.DeviceID
	Agreement [32]byte // the device's X25519 key, as in its manifest
	Signed    SignedKey
	PQ        PQKey
	OneTime   *OneTimeKey
	Seal      [sealKeySize]byte // HPKE X-Wing key for the first flight
	Sig       [64]byte
}

// LastResort reports whether the bundle may be used more than once, so that a
// session from it can be replayed and lacks forward secrecy until the first
// answer.
func (b *Bundle) LastResort() bool { return b.PQ.LastResort }

// Verify checks that the bundle is valid now and made by a device that m
// lists, m included. Errors: [ErrExpired], [ErrUntrusted].
func (b *Bundle) Verify(m *identity.Manifest, now time.Time) error {
	if err := m.Verify(); err != nil {
		return fmt.Errorf("checking a bundle: %w", err)
	}
	d, ok := m.Device(b.Device)
	if !ok || m.ID() != b.Account || d.Agreement != b.Agreement || b.check() != nil ||
		!suite.Verify(ed25519.PublicKey(d.Signing[:]), b.Sig[:], labelBundle, b.body()) {
		return fmt.Errorf("checking a bundle: %w", ErrUntrusted)
	}
	if !b.valid(now, 0) {
		return fmt.Errorf("checking a bundle: %w", ErrExpired)
	}
	return nil
}

func (b *Bundle) valid(now time.Time, grace time.Duration) bool {
	for _, w := range [][2]uint32{{b.Signed.NotBefore, b.Signed.NotAfter}, {b.PQ.NotBefore, b.PQ.NotAfter}} {
		if now.Add(skew).Unix() < int64(w[0]) || now.Add(-grace).Unix() >= int64(w[1]) {
			return false
		}
	}
	return true
}

// check holds the bundle to the forms of spec §5.2.
func (b *Bundle) check() error {
	if (b.OneTime == nil) != b.PQ.LastResort {
		return fmt.Errorf("%w: neither one-time nor last-resort", wire.ErrMalformed)
	}
	return nil
}

// Hash identifies the bundle, signature included. Invites and flights name
// bundles by it.
func (b *Bundle) Hash() [32]byte { return suite.Hash(labelBundleHash, b.Marshal()) }

func (b *Bundle) body() []byte {
	w := wire.NewWriter(make([]byte, 0, 3072)).U8(bundleVersion).U8(suite.ID).
		Raw(b.Account[:]).Raw(b.Device[:]).Raw(typed(typeX25519, b.Agreement[:])).
		U32(b.Signed.ID).U32(b.Signed.NotBefore).U32(b.Signed.NotAfter).
		Raw(typed(typeX25519, b.Signed.Key[:])).
		U32(b.PQ.ID).U32(b.PQ.NotBefore).U32(b.PQ.NotAfter).Bool(b.PQ.LastResort).
		Raw(typed(typeMLKEM, b.PQ.Key[:])).
		Bool(b.OneTime != nil)
	if b.OneTime != nil {
		w.U32(b.OneTime.ID).Raw(typed(typeX25519, b.OneTime.Key[:]))
	}
	return w.Raw(typed(typeXWing, b.Seal[:])).Out()
}

// Marshal encodes the bundle (spec §5.2).
func (b *Bundle) Marshal() []byte { return append(b.body(), b.Sig[:]...) }

// ParseBundle decodes a bundle. Call [Bundle.Verify] before using it.
func ParseBundle(in []byte) (*Bundle, error) {
	r := wire.NewReader(in)
	if r.U8() != bundleVersion || r.U8() != suite.ID {
		r.Fail("unknown version or suite")
	}
	b := &Bundle{Account: r.A32(), Device: r.A16()}
	readTyped(r, typeX25519, b.Agreement[:])
	b.Signed.ID, b.Signed.NotBefore, b.Signed.NotAfter = r.U32(), r.U32(), r.U32()
	readTyped(r, typeX25519, b.Signed.Key[:])
	b.PQ.ID, b.PQ.NotBefore, b.PQ.NotAfter = r.U32(), r.U32(), r.U32()
	b.PQ.LastResort = r.Bool()
	readTyped(r, typeMLKEM, b.PQ.Key[:])
	if r.Bool() {
		b.OneTime = &OneTimeKey{ID: r.U32()}
		readTyped(r, typeX25519, b.OneTime.Key[:])
	}
	readTyped(r, typeXWing, b.Seal[:])
	r.Fill(b.Sig[:])
	err := r.Close()
	if err == nil {
		err = b.check()
	}
	if err != nil {
		return nil, fmt.Errorf("reading a bundle: %w", err)
	}
	return b, nil
}
