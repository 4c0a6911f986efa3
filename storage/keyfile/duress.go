package keyfile

import (
	"errors"
	"fmt"

	"rushlight/protocol/suite"
)

// A duress passphrase opens nothing of the profile: it destroys it, and opens a
// decoy in its place. Whether one was set can't be seen in the file, and trying
// it takes as long as any other. What the decoy can't hide is its age: its
// files are as old as the moment it was opened.

// ErrTaken: a passphrase that is to open the profile opens the decoy, or the
// other way round.
var ErrTaken = errors.New("keyfile: the passphrase is in use already")

// SetDuress makes duress the passphrase that opens the decoy, in place of any
// other; with an empty one there is none. passphrase is the profile's.
func SetDuress(dir string, passphrase, duress []byte) error {
	f, s, err := load(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	root, hash, err := s.openReal(passphrase)
	clear(root[:])
	clear(hash)
	if err != nil {
		return err
	}
	suite.Random(s.duress[:])
	if len(duress) > 0 {
		if len(duress) > MaxPassphrase {
			return errPassphraseSize
		}
		root, _, hash, err := s.open(duress)
		clear(root[:])
		defer clear(hash)
		if err == nil {
			return ErrTaken
		}
		if !errors.Is(err, ErrWrongPassphrase) {
			return err
		}
		s.duress = s.wrapDecoy(hash)
	}
	return s.replace(f)
}

// wrapDecoy wraps a fresh root under the hash of a duress passphrase.
func (s slots) wrapDecoy(hash []byte) (wrap [wrapSize]byte) {
	var decoy [32]byte
	suite.Random(decoy[:])
	defer clear(decoy[:])
	key := s.pass.keyOf(hash, labelDuress)
	defer clear(key)
	copy(wrap[:], suite.Seal(nil, key, s.pass.head(), decoy[:]))
	return wrap
}

// Unlock is [Open] for a profile that is to be used. When the passphrase is that
// of the decoy, destroy is called first, to destroy all the profile has, then
// the slots are overwritten: from then on the passphrase is the decoy's only
// one, and no recovery code opens anything. When destroy fails, nothing else is
// done, and the error is destroy's.
func Unlock(dir string, passphrase []byte, destroy func() error) (root [32]byte, decoy bool, err error) {
	f, s, err := load(dir)
	if err != nil {
		return root, false, err
	}
	defer func() { _ = f.Close() }()
	root, decoy, hash, err := s.open(passphrase)
	defer clear(hash)
	if err != nil || !decoy {
		return root, false, err
	}
	if err := destroy(); err != nil {
		clear(root[:])
		return [32]byte{}, false, fmt.Errorf("keyfile: %w", err)
	}
	key := s.pass.keyOf(hash, labelPassphrase)
	defer clear(key)
	var nobody [RecoverySize]byte
	suite.Random(nobody[:])
	s.pass.wrap = suite.Seal(nil, key, s.pass.head(), root[:])
	s.recovery = wrapRecovery(nobody[:], root)
	suite.Random(s.duress[:])
	if err := s.replace(f); err != nil {
		clear(root[:])
		return [32]byte{}, false, err
	}
	return root, true, nil
}
