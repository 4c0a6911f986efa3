package beacon

import (
	"crypto/sha512"
	"fmt"

	"filippo.io/edwards25519"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

// Key blinding as in Tor's rend-spec-v3, appendix A.2, without clamping the
// factor (spec §13.2). What a blinded key signs verifies as plain Ed25519.
const (
	labelBlind     suite.Label = "rushlight/beacon/blind/1"
	labelNonceKey  suite.Label = "rushlight/beacon/nonce-key/1"
	labelNonce     suite.Label = "rushlight/beacon/nonce/1"
	labelSignature suite.Label = "rushlight/beacon/signature/1"
)

// factor is what the owner's key is multiplied with at a place.
func (r Reader) factor(p Place) *edwards25519.Scalar {
	e, n := p.fields()
	w := suite.Wide(labelBlind, r.Public[:], r.Secret[:], e, n)
	return uniform(w)
}

func uniform(w [64]byte) *edwards25519.Scalar {
	s, err := new(edwards25519.Scalar).SetUniformBytes(w[:])
	if err != nil {
		panic("beacon: " + err.Error()) // it has 64 bytes
	}
	return s
}

// blindedPublic is the owner's public key at a place.
func (r Reader) blindedPublic(p Place) ([32]byte, error) {
	a, err := point(r.Public)
	if err != nil {
		return [32]byte{}, err
	}
	return [32]byte(new(edwards25519.Point).ScalarMult(r.factor(p), a).Bytes()), nil
}

// point decodes a public key: one spelling, and not of small order, where
// signatures mean nothing.
func point(b [32]byte) (*edwards25519.Point, error) {
	a, err := new(edwards25519.Point).SetBytes(b[:])
	if err != nil || [32]byte(a.Bytes()) != b ||
		new(edwards25519.Point).MultByCofactor(a).Equal(edwards25519.NewIdentityPoint()) == 1 {
		return nil, fmt.Errorf("%w: not a key of the curve", wire.ErrMalformed)
	}
	return a, nil
}

// blinded is the owner's private key at a place.
type blinded struct {
	scalar *edwards25519.Scalar
	public [32]byte
	nonces [64]byte
}

// blind derives the private key of a place. The expansion of the seed is that
// of RFC 8032 §5.1.5.
func (o *Owner) blind(p Place) *blinded {
	d := sha512.Sum512(o.seed[:])
	a, err := new(edwards25519.Scalar).SetBytesWithClamping(d[:32])
	if err != nil {
		panic("beacon: " + err.Error()) // it has 32 bytes
	}
	a.Multiply(o.Reader().factor(p), a)
	e, n := p.fields()
	return &blinded{
		scalar: a,
		public: [32]byte(new(edwards25519.Point).ScalarBaseMult(a).Bytes()),
		nonces: suite.Wide(labelNonceKey, d[32:], o.read[:], e, n),
	}
}

// sign is Ed25519 (RFC 8032 §5.1.6) over the frame of the body with a scalar
// in place of a seed.
func (b *blinded) sign(body []byte) []byte {
	msg := suite.Frame(labelSignature, body)
	r := uniform(suite.Wide(labelNonce, b.nonces[:], msg))
	commitment := new(edwards25519.Point).ScalarBaseMult(r).Bytes()
	k := uniform(sha512.Sum512(wire.NewWriter(nil).Raw(commitment).Raw(b.public[:]).Raw(msg).Out()))
	s := new(edwards25519.Scalar).MultiplyAdd(k, b.scalar, r)
	return append(commitment, s.Bytes()...)
}
