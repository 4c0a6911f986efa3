package handshake

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/mlkem"
	"encoding/binary"
	"fmt"
	"time"

	"rushlight/protocol/identity"
	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

// Secrets is the private half of a bundle. That of a one-time bundle is
// deleted by the transaction that stores the session made from it, unused ones
// and those of last resort when the bundle's end and [Grace] have passed.
type Secrets struct {
	Bundle  [32]byte // hash of the public half
	signed  *ecdh.PrivateKey
	pq      *mlkem.DecapsulationKey768
	oneTime *ecdh.PrivateKey // nil for last resort
	seal    hpke.PrivateKey
}

// NewOneTimeBundle makes a bundle for one use: for an invite, or for a contact
// to keep.
func NewOneTimeBundle(d *identity.Device, m *identity.Manifest, now time.Time, lifetime time.Duration) (*Bundle, *Secrets, error) {
	return newBundle(d, m, now, lifetime, false)
}

// NewLastResortBundle makes a bundle that many may use, for contact requests
// from strangers. It is replaced weekly (spec §5.2).
func NewLastResortBundle(d *identity.Device, m *identity.Manifest, now time.Time, lifetime time.Duration) (*Bundle, *Secrets, error) {
	return newBundle(d, m, now, lifetime, true)
}

func newBundle(d *identity.Device, m *identity.Manifest, now time.Time, lifetime time.Duration, lastResort bool) (*Bundle, *Secrets, error) {
	if err := lists(m, d); err != nil {
		return nil, nil, fmt.Errorf("making a bundle: %w", err)
	}
	from, until := uint32(now.Unix()), uint32(now.Add(lifetime).Unix())
	s, err := newSecrets(!lastResort)
	if err != nil {
		return nil, nil, fmt.Errorf("making a bundle: %w", err)
	}
	b := &Bundle{
		Account:   m.ID(),
		Device:    d.ID(),
		Agreement: public(d.Agreement),
		Signed:    SignedKey{ID: newID(), NotBefore: from, NotAfter: until, Key: public(s.signed)},
		PQ:        PQKey{ID: newID(), NotBefore: from, NotAfter: until, LastResort: lastResort},
	}
	copy(b.PQ.Key[:], s.pq.EncapsulationKey().Bytes())
	copy(b.Seal[:], s.seal.PublicKey().Bytes())
	if s.oneTime != nil {
		b.OneTime = &OneTimeKey{ID: newID(), Key: public(s.oneTime)}
	}
	copy(b.Sig[:], suite.Sign(d.Signing, labelBundle, b.body()))
	s.Bundle = b.Hash()
	return b, s, nil
}

func newSecrets(oneTime bool) (s *Secrets, err error) {
	s = &Secrets{}
	if s.signed, err = newKey(); err != nil {
		return nil, err
	}
	if s.pq, err = mlkem.GenerateKey768(); err != nil {
		return nil, err
	}
	if oneTime {
		if s.oneTime, err = newKey(); err != nil {
			return nil, err
		}
	}
	s.seal, err = hpke.MLKEM768X25519().GenerateKey()
	return s, err
}

// LastResort reports whether these are the secrets of a last-resort bundle,
// which outlive their use.
func (s *Secrets) LastResort() bool { return s.oneTime == nil }

const (
	secretsVersion = 1
	sealSeedSize   = 32
)

// Marshal encodes the secrets, for storage that is itself sealed: version u8 ‖
// bundle[32] ‖ signed[32] ‖ ML-KEM seed[64] ‖ X-Wing seed[32] ‖ one-time[32]?
func (s *Secrets) Marshal() []byte {
	seed, err := s.seal.Bytes()
	if err != nil {
		panic("handshake: " + err.Error()) // only for keys held outside the process
	}
	w := wire.NewWriter(nil).U8(secretsVersion).Raw(s.Bundle[:]).
		Raw(s.signed.Bytes()).Raw(s.pq.Bytes()).Raw(seed).Bool(s.oneTime != nil)
	if s.oneTime != nil {
		w.Raw(s.oneTime.Bytes())
	}
	return w.Out()
}

// ParseSecrets reverses [Secrets.Marshal].
func ParseSecrets(in []byte) (*Secrets, error) {
	s, err := parseSecrets(in)
	if err != nil {
		return nil, fmt.Errorf("reading bundle secrets: %w", err)
	}
	return s, nil
}

func parseSecrets(in []byte) (*Secrets, error) {
	r := wire.NewReader(in)
	if r.U8() != secretsVersion {
		r.Fail("unknown version")
	}
	s := &Secrets{Bundle: r.A32()}
	signed, pq, seal := r.Bytes(32), r.Bytes(mlkem.SeedSize), r.Bytes(sealSeedSize)
	var oneTime []byte
	if r.Bool() {
		oneTime = r.Bytes(32)
	}
	err := r.Close()
	if err != nil {
		return nil, err
	}
	if s.signed, err = ecdh.X25519().NewPrivateKey(signed); err != nil {
		return nil, err
	}
	if s.pq, err = mlkem.NewDecapsulationKey768(pq); err != nil {
		return nil, err
	}
	if oneTime != nil {
		if s.oneTime, err = ecdh.X25519().NewPrivateKey(oneTime); err != nil {
			return nil, err
		}
	}
	s.seal, err = hpke.MLKEM768X25519().NewPrivateKey(seal)
	return s, err
}

// newID names a key among those of one device. It needs to be neither secret
// nor unique: what must not be confused is hashed whole.
func newID() uint32 {
	var b [4]byte
	suite.Random(b[:])
	return binary.BigEndian.Uint32(b[:])
}

func public(k *ecdh.PrivateKey) [32]byte { return [32]byte(k.PublicKey().Bytes()) }
