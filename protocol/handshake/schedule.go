package handshake

import (
	"crypto/ecdh"
	"crypto/rand"

	"rushlight/protocol/suite"
)

// step is one X25519 operation.
type step struct {
	private *ecdh.PrivateKey
	public  *ecdh.PublicKey
}

// mix returns DH1 ‖ DH2 ‖ DH3 [‖ DH4] ‖ SS (spec §5.4). Each part is 32 bytes;
// whether DH4 is there is in the transcript.
func mix(steps []step, ss []byte) ([]byte, error) {
	out := make([]byte, 0, 32*(len(steps)+1))
	for _, s := range steps {
		dh, err := s.private.ECDH(s.public) // refuses an all-zero result
		if err != nil {
			return nil, err
		}
		out = append(out, dh...)
	}
	return append(out, ss...), nil
}

// transcript is the hash of everything both sides must agree on (spec §5.4).
func transcript(b *Bundle, f *Flight) [32]byte {
	var opk, pqopk []byte
	if b.OneTime != nil {
		opk = typed(typeX25519, b.OneTime.Key[:])
		pqopk = typed(typeMLKEM, b.PQ.Key[:])
	}
	account := f.Manifest.ID()
	return suite.Hash(labelTranscript,
		[]byte{suite.ID},
		b.Marshal(),
		account[:], f.Device[:], f.Manifest.Marshal(),
		f.generation(),
		typed(typeX25519, f.Ephemeral[:]),
		opk, pqopk,
		typed(typeCiphertext, f.Ciphertext[:]),
	)
}

// schedule derives the root key, and the proof of its knowledge that the
// flight carries (spec §5.4).
func schedule(ikm []byte, t [32]byte) (root, confirm [32]byte) {
	okm := suite.Derive(ikm, nil, 64, labelKeys, t[:])
	return [32]byte(okm[:32]), suite.MAC(okm[32:], labelConfirm, t[:])
}

func newKey() (*ecdh.PrivateKey, error) { return ecdh.X25519().GenerateKey(rand.Reader) }

func x25519Key(b [32]byte) (*ecdh.PublicKey, error) { return ecdh.X25519().NewPublicKey(b[:]) }
