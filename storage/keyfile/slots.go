package keyfile

import (
	"errors"
	"fmt"
	"math"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

const (
	labelPassphrase suite.Label = "rushlight/keyfile/passphrase/1"
	labelRecovery   suite.Label = "rushlight/keyfile/recovery/1"
	labelDuress     suite.Label = "rushlight/keyfile/duress/1"
)

const (
	format       = 2
	kindPass     = 1
	kindRecovery = 2
	kindDuress   = 3
	saltSize     = 16
	wrapSize     = 32 + suite.SealOverhead
)

// slots is what one record of the file holds:
// format u8 ‖ (kind u8 ‖ slot vec16)*, kinds ascending. All three are always
// there. The duress slot wraps the root of a decoy under another passphrase, or
// is random: nobody can tell without that passphrase. It has the parameters and
// the salt of the passphrase's slot, so that one hash tries both.
type slots struct {
	pass     passSlot
	recovery recoverySlot
	duress   [wrapSize]byte
}

// passSlot wraps the root under a passphrase:
// memory u32 (KiB) ‖ time u32 ‖ threads u8 ‖ salt[16] ‖ wrap[80].
type passSlot struct {
	params Params
	salt   [saltSize]byte
	wrap   []byte // nil when there is no such slot
}

// recoverySlot wraps the root under the recovery code: salt[16] ‖ wrap[80].
type recoverySlot struct {
	salt [saltSize]byte
	wrap []byte
}

func (s slots) marshal() []byte {
	w := wire.NewWriter(nil).U8(format)
	if s.pass.wrap != nil {
		w.U8(kindPass).Vec16(append(s.pass.head(), s.pass.wrap...))
	}
	if s.recovery.wrap != nil {
		w.U8(kindRecovery).Vec16(append(s.recovery.head(), s.recovery.wrap...))
	}
	w.U8(kindDuress).Vec16(s.duress[:])
	return w.Out()
}

// parseSlots refuses parameters outside the limits, before anything is hashed.
func parseSlots(b []byte) (s slots, err error) {
	r := wire.NewReader(b)
	v := r.U8()
	if v > format {
		return s, ErrVersion
	} else if v == 0 {
		r.Fail("format")
	}
	last, end := uint8(0), uint8(kindDuress)
	if v == 1 {
		end = kindRecovery
		suite.Random(s.duress[:])
	}
	for r.Err() == nil && r.Len() > 0 {
		kind := r.U8()
		slot := wire.NewReader(r.Vec16(math.MaxUint16))
		if kind <= last || kind > end {
			r.Fail("slots out of order")
		}
		last = kind
		switch kind {
		case kindPass:
			s.pass.params = Params{Memory: slot.U32(), Time: slot.U32(), Threads: slot.U8()}
			slot.Fill(s.pass.salt[:])
			s.pass.wrap = slot.Bytes(wrapSize)
		case kindRecovery:
			slot.Fill(s.recovery.salt[:])
			s.recovery.wrap = slot.Bytes(wrapSize)
		case kindDuress:
			slot.Fill(s.duress[:])
		}
		if slot.Close() != nil {
			r.Fail("slot")
		}
	}
	if v == format && last != kindDuress {
		r.Fail("a slot is missing")
	}
	if err := r.Close(); err != nil {
		return slots{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if s.pass.wrap != nil && s.pass.params.check() != nil {
		return slots{}, ErrDowngrade
	}
	return s, nil
}

func (s passSlot) head() []byte {
	return wire.NewWriter(nil).U32(s.params.Memory).U32(s.params.Time).U8(s.params.Threads).Raw(s.salt[:]).Out()
}

func (s recoverySlot) head() []byte { return append([]byte(nil), s.salt[:]...) }

var errPassphraseSize = errors.New("keyfile: a passphrase has 1 to MaxPassphrase bytes")

func wrapPassphrase(passphrase []byte, root [32]byte, p Params) (s passSlot, err error) {
	if len(passphrase) == 0 || len(passphrase) > MaxPassphrase {
		return s, errPassphraseSize
	}
	chosen := p != Params{}
	if !chosen {
		if p, err = Calibrate(); err != nil {
			return s, err
		}
	}
	if err := p.check(); err != nil {
		return s, err
	}
	s.params = p
	suite.Random(s.salt[:])
	key, err := s.key(passphrase)
	if err != nil && !chosen && p != Floor {
		// Calibration saw less memory than this takes.
		s.params = Floor
		key, err = s.key(passphrase)
	}
	if err != nil {
		return s, err
	}
	defer clear(key)
	s.wrap = suite.Seal(nil, key, s.head(), root[:])
	return s, nil
}

// again wraps the root under a new passphrase with the same parameters and
// salt, which the duress slot has too.
func (s passSlot) again(passphrase []byte, root [32]byte) (passSlot, error) {
	if len(passphrase) == 0 || len(passphrase) > MaxPassphrase {
		return s, errPassphraseSize
	}
	key, err := s.key(passphrase)
	if err != nil {
		return s, err
	}
	defer clear(key)
	s.wrap = suite.Seal(nil, key, s.head(), root[:])
	return s, nil
}

// open tries the passphrase's slot and the duress slot, always both and always
// after one full argon2id, also for a slot that isn't there. hash is the
// caller's to wipe.
func (s slots) open(passphrase []byte) (root [32]byte, duress bool, hash []byte, err error) {
	if len(passphrase) > MaxPassphrase {
		passphrase = passphrase[:MaxPassphrase+1] // wrong at any rate
	}
	if s.pass.wrap == nil {
		s.pass.params = Default
	}
	if hash, err = stretch(s.pass.params, s.pass.salt[:], passphrase); err != nil {
		return root, false, nil, err
	}
	key, other := s.pass.keyOf(hash, labelPassphrase), s.pass.keyOf(hash, labelDuress)
	defer clear(key)
	defer clear(other)
	decoy, derr := unwrap(other, s.pass.head(), s.duress[:], ErrWrongPassphrase)
	root, err = unwrap(key, s.pass.head(), s.pass.wrap, ErrWrongPassphrase)
	if err != nil && derr == nil {
		return decoy, true, hash, nil
	}
	return root, false, hash, err
}

// key is keyOf(argon2id(passphrase, salt)) under the slot's own label.
func (s passSlot) key(passphrase []byte) ([]byte, error) {
	hash, err := stretch(s.params, s.salt[:], passphrase)
	if err != nil {
		return nil, err
	}
	defer clear(hash)
	return s.keyOf(hash, labelPassphrase), nil
}

func (s passSlot) keyOf(hash []byte, l suite.Label) []byte {
	return suite.Derive(hash, nil, 32, l, s.head())
}

func wrapRecovery(code []byte, root [32]byte) (s recoverySlot) {
	suite.Random(s.salt[:])
	key := s.key(code)
	defer clear(key)
	s.wrap = suite.Seal(nil, key, s.head(), root[:])
	return s
}

func (s recoverySlot) open(code []byte) (root [32]byte, err error) {
	if len(code) != RecoverySize {
		return root, ErrWrongRecovery
	}
	key := s.key(code)
	defer clear(key)
	return unwrap(key, s.head(), s.wrap, ErrWrongRecovery)
}

// key needs no stretching: the code is 128 random bits.
func (s recoverySlot) key(code []byte) []byte {
	return suite.Derive(code, s.salt[:], 32, labelRecovery)
}

func unwrap(key, head, wrap []byte, wrong error) (root [32]byte, err error) {
	b, err := suite.Open(nil, key, head, wrap)
	if err != nil || len(b) != len(root) {
		return root, wrong
	}
	copy(root[:], b)
	clear(b)
	return root, nil
}
