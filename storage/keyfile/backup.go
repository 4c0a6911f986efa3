package keyfile

import (
	"fmt"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

const labelBackup suite.Label = "rushlight/keyfile/backup/1"

// SlotSize is the length in bytes of what [NewSlot] returns.
const SlotSize = 4 + 4 + 1 + saltSize + wrapSize

// NewSlot wraps a fresh key, which isn't a profile's, under a passphrase: the
// layout is that of the passphrase's slot, the label another. Zero Params are
// chosen by [Calibrate].
func NewSlot(passphrase []byte, p Params) (slot []byte, key [32]byte, err error) {
	if len(passphrase) == 0 || len(passphrase) > MaxPassphrase {
		return nil, key, errPassphraseSize
	}
	if (p == Params{}) {
		if p, err = Calibrate(); err != nil {
			return nil, key, err
		}
	}
	if err := p.check(); err != nil {
		return nil, key, err
	}
	s := passSlot{params: p}
	suite.Random(s.salt[:])
	hash, err := stretch(s.params, s.salt[:], passphrase)
	if err != nil {
		return nil, key, err
	}
	defer clear(hash)
	k := s.keyOf(hash, labelBackup)
	defer clear(k)
	suite.Random(key[:])
	return suite.Seal(s.head(), k, s.head(), key[:]), key, nil
}

// OpenSlot returns the key in a slot, or [ErrWrongPassphrase]. Parameters
// outside the limits are refused before anything is hashed.
func OpenSlot(slot, passphrase []byte) (key [32]byte, err error) {
	r := wire.NewReader(slot)
	var s passSlot
	s.params = Params{Memory: r.U32(), Time: r.U32(), Threads: r.U8()}
	r.Fill(s.salt[:])
	wrap := r.Bytes(wrapSize)
	if err := r.Close(); err != nil {
		return key, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if s.params.check() != nil {
		return key, ErrDowngrade
	}
	if len(passphrase) > MaxPassphrase {
		passphrase = passphrase[:MaxPassphrase+1] // wrong at any rate
	}
	hash, err := stretch(s.params, s.salt[:], passphrase)
	if err != nil {
		return key, err
	}
	defer clear(hash)
	k := s.keyOf(hash, labelBackup)
	defer clear(k)
	return unwrap(k, s.head(), wrap, ErrWrongPassphrase)
}
