package handshake

import (
	"crypto/hpke"
	"fmt"

	"rushlight/protocol/suite"
)

const (
	labelInviteOpener suite.Label = "rushlight/handshake/opener-invite/1"
	labelBundleOpener suite.Label = "rushlight/handshake/opener-bundle/1"
	labelFirstBox     suite.Label = "rushlight/handshake/first-box/1"
	labelFirstInfo    suite.Label = "rushlight/handshake/first-hpke/1"
	labelFirstTag     suite.Label = "rushlight/handshake/first-tag/1"
)

// FirstOverhead is what [SealFirst] adds to its payload: the box and the HPKE
// encapsulation and tag.
const FirstOverhead = suite.BoxOverhead + 1120 + 16

// OpenerFor derives the key of the outer layer of a first flight: from the
// invite's secret and the bundle's hash, or, for bundles that came without an
// invite (nil), from the hash alone, when it only keeps what passes by from
// looking like HPKE (spec §5.5).
func OpenerFor(inviteSecret *[32]byte, bundle [32]byte) [32]byte {
	if inviteSecret == nil {
		return suite.MAC(bundle[:], labelBundleOpener)
	}
	return suite.MAC(inviteSecret[:], labelInviteOpener, bundle[:])
}

// FirstTag is the envelope tag under which a first flight lies at a relay, so
// that its recipient finds it without trying to open everything. It is the
// same for all flights to one bundle at one relay.
func FirstTag(opener, relay [32]byte) [16]byte {
	h := suite.MAC(opener[:], labelFirstTag, relay[:])
	return [16]byte(h[:16])
}

// SealFirst encrypts a payload (see [First]) to the maker of b: HPKE with
// X-Wing (draft-ietf-hpke-pq), HKDF-SHA-256 and ChaCha20-Poly1305, inside
// XChaCha20-Poly1305 under a key from the opener (spec §5.5). The sender stays
// hidden from everybody but the recipient; the payload's authenticity is the
// flight's.
func SealFirst(opener [32]byte, b *Bundle, payload []byte) ([]byte, error) {
	pk, err := hpke.MLKEM768X25519().NewPublicKey(b.Seal[:])
	if err != nil {
		return nil, fmt.Errorf("sealing a first flight: %w", ErrUntrusted)
	}
	inner, err := hpke.Seal(pk, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), firstInfo(b.Hash()), payload)
	if err != nil {
		return nil, fmt.Errorf("sealing a first flight: %w", err)
	}
	return suite.SealBox(nil, firstKey(opener), nil, inner), nil
}

// OpenFirst reverses [SealFirst]. A sealed text for another bundle, under
// another opener or with a bit changed gives [suite.ErrOpen].
func OpenFirst(opener [32]byte, s *Secrets, sealed []byte) ([]byte, error) {
	inner, err := suite.OpenBox(nil, firstKey(opener), nil, sealed)
	if err != nil {
		return nil, fmt.Errorf("opening a first flight: %w", err)
	}
	payload, err := hpke.Open(s.seal, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), firstInfo(s.Bundle), inner)
	if err != nil {
		return nil, fmt.Errorf("opening a first flight: %w", suite.ErrOpen)
	}
	return payload, nil
}

func firstKey(opener [32]byte) []byte {
	k := suite.MAC(opener[:], labelFirstBox)
	return k[:]
}

func firstInfo(bundle [32]byte) []byte { return suite.Frame(labelFirstInfo, bundle[:]) }
